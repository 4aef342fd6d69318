//! The file system of a sandbox: the machine's programs and settings read-only, scratch where a test may write.
//!
//! The root is a small tmpfs. What runs programs (`/usr`, `/etc`, `/var`, …) is bound into it, read-only, without devices
//! and set-user-ids; `/home`, `/tmp`, `/var/tmp`, `/run` and `/dev/shm` are scratch. Everything else of the machine
//! (other homes, data, sockets of daemons below `/run`) is not there.

use super::{Failure, home};
use crate::atomic::spec::ATOMICS;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where the new root is put together.
const ROOT: &str = "/tmp";
const SHOWN: [&str; 12] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "var", "nix", "gnu"];
const EMPTY: [&str; 11] = ["boot", "dev", "home", "media", "mnt", "proc", "root", "run", "srv", "sys", "tmp"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Writable places: path, mode, size.
const SCRATCH: [(&str, &str); 4] = [
    ("home", "mode=755,size=128m,nr_inodes=64k"),
    ("tmp", "mode=1777,size=192m,nr_inodes=64k"),
    ("var/tmp", "mode=1777,size=64m,nr_inodes=16k"),
    ("run", "mode=755,size=4m,nr_inodes=1k"),
];

/// Builds it and makes it this process's root.
pub fn build(atomics: &Path) -> Result<(), Failure> {
    // Held, for it may stand where the new root will cover it.
    let atomics = File::open(atomics).map_err(Failure::path("opening", atomics))?;
    let root = Path::new(ROOT);
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(Failure::step("private mounts"))?;
    tmpfs(root, "mode=755,size=8m,nr_inodes=4k")?;
    for name in SHOWN {
        show(&Path::new("/").join(name), &root.join(name))?;
    }
    seal(root)?;
    for name in EMPTY {
        fs::create_dir(root.join(name)).map_err(Failure::path("making", root.join(name)))?;
    }
    for (name, options) in SCRATCH {
        if root.join(name).is_dir() {
            tmpfs(&root.join(name), options)?;
        }
    }
    devices(&root.join("dev"))?;
    let inert = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &root.join("proc"), Some("proc"), inert, none).map_err(Failure::Proc)?;
    // Of use to `lsmod` and its like; a container may mask it, and no test needs it.
    let _ = mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), inert | MsFlags::MS_RDONLY, none);
    home::furnish(root)?;
    let shown = root.join(ATOMICS.trim_start_matches('/'));
    fs::create_dir_all(&shown).map_err(Failure::path("making", &shown))?;
    bind(Path::new(&format!("/proc/self/fd/{}", atomics.as_raw_fd())), &shown)?;
    seal(&shown)?;
    enter(root)
}

/// Makes `root` the root, and forgets the old one.
fn enter(root: &Path) -> Result<(), Failure> {
    let old = root.join(".old");
    fs::create_dir(&old).map_err(Failure::path("making", &old))?;
    nix::unistd::pivot_root(root, &old).map_err(Failure::step("changing the root"))?;
    nix::unistd::chdir("/").map_err(Failure::step("changing the root"))?;
    umount2("/.old", MntFlags::MNT_DETACH).map_err(Failure::step("leaving the old root"))?;
    fs::remove_dir("/.old").map_err(Failure::path("removing", "/.old"))?;
    read_only(Path::new("/"), MsFlags::empty())
}

/// A folder of the machine as it is: a link to where it points, a folder bound.
fn show(from: &Path, to: &Path) -> Result<(), Failure> {
    let Ok(metadata) = fs::symlink_metadata(from) else { return Ok(()) };
    if metadata.is_symlink() {
        let target = fs::read_link(from).map_err(Failure::path("reading", from))?;
        return symlink(target, to).map_err(Failure::path("linking", to));
    }
    fs::create_dir(to).map_err(Failure::path("making", to))?;
    bind(from, to)
}

fn bind(from: &Path, to: &Path) -> Result<(), Failure> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(|errno| Failure::Path { step: "binding", path: to.to_owned(), source: errno.into() })
}

fn tmpfs(at: &Path, options: &str) -> Result<(), Failure> {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .map_err(|errno| Failure::Path { step: "mounting", path: at.to_owned(), source: errno.into() })
}

/// Makes every mount below `root` read-only.
fn seal(root: &Path) -> Result<(), Failure> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(Failure::path("reading", "mountinfo"))?;
    let below = mounts.lines().filter_map(mounted).filter(|(point, _)| point.starts_with(root));
    for (point, flags) in below.filter(|(point, _)| point != Path::new(ROOT)) {
        match read_only(&point, flags) {
            // Covered by another mount, or behind a folder that only root opens: out of a test's reach.
            Err(Failure::Path { source, .. })
                if [Errno::EACCES, Errno::ENOENT, Errno::EINVAL].iter().any(|e| *e as i32 == errno(&source)) => {}
            other => other?,
        }
    }
    Ok(())
}

fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// Remounts a mount read-only, with the flags that the kernel does not let a user namespace take away.
fn read_only(at: &Path, flags: MsFlags) -> Result<(), Failure> {
    let wanted = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, at, None::<&str>, wanted | flags, None::<&str>).map_err(|errno| Failure::Path {
        step: "making read-only",
        path: at.to_owned(),
        source: errno.into(),
    })
}

/// A line of mountinfo, proc_pid_mountinfo(5): the mount point and the flags that a remount has to keep.
fn mounted(line: &str) -> Option<(PathBuf, MsFlags)> {
    let mut fields = line.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let flags = options.split(',').map(|option| match option {
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    Some((unescaped(point), flags.fold(MsFlags::empty(), |all, flag| all | flag)))
}

/// A path with spaces and the like as `\040`.
fn unescaped(point: &str) -> PathBuf {
    let mut out = String::new();
    let mut parts = point.split('\\');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            None => out.push_str(part),
        }
    }
    PathBuf::from(out)
}

fn devices(dev: &Path) -> Result<(), Failure> {
    tmpfs(dev, "mode=755,size=64k,nr_inodes=64")?;
    for name in DEVICES {
        let (from, to) = (Path::new("/dev").join(name), dev.join(name));
        File::create(&to).map_err(Failure::path("making", &to))?;
        bind(&from, &to)?;
    }
    for (name, target) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")]
    {
        symlink(target, dev.join(name)).map_err(Failure::path("linking", dev.join(name)))?;
    }
    for folder in ["pts", "shm"] {
        fs::create_dir(dev.join(folder)).map_err(Failure::path("making", dev.join(folder)))?;
    }
    let options = "newinstance,ptmxmode=0666,mode=620";
    mount(Some("devpts"), &dev.join("pts"), Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, Some(options))
        .map_err(Failure::step("terminals"))?;
    tmpfs(&dev.join("shm"), "mode=1777,size=16m,nr_inodes=1k")?;
    fs::set_permissions(dev, fs::Permissions::from_mode(0o755)).map_err(Failure::path("making", dev))?;
    read_only(dev, MsFlags::empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_of_mountinfo_are_read() {
        let line = r"36 35 98:0 /mnt1 /mnt/a\040b rw,nosuid,relatime master:1 - ext3 /dev/root rw,errors=continue";
        let (point, flags) = mounted(line).unwrap();
        assert_eq!((point.to_str(), flags), (Some("/mnt/a b"), MsFlags::MS_NOSUID | MsFlags::MS_RELATIME));
        assert_eq!(mounted("36 35"), None);
    }
}

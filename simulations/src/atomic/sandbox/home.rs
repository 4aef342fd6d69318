//! The scratch home: what an ordinary user's home holds, so that searching it finds something.
//!
//! All of it is made up here: the history's commands, the host in the `.netrc`, keys that are no keys.

use super::Failure;
use crate::atomic::spec::{HOME, UID, USER};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const FILES: [(&str, &str, u32); 6] = [
    (
        ".bash_history",
        "ls -la\ncd projects\ngit pull\nmake test\nssh build.example.com\nmysql -u app -p example\n",
        0o600,
    ),
    (".netrc", "machine git.example.com login user password not-a-password\n", 0o600),
    (".ssh/authorized_keys", "ssh-ed25519 not-a-key user@laptop.example.com\n", 0o600),
    (".ssh/id_rsa", "-----BEGIN OPENSSH PRIVATE KEY-----\nnot a key\n-----END OPENSSH PRIVATE KEY-----\n", 0o600),
    (".gnupg/pubring.kbx", "", 0o600),
    ("projects/notes.txt", "deploy on thursday\n", 0o644),
];
const SKELETON: [&str; 3] = [".bashrc", ".profile", ".bash_logout"];

/// Makes the home below a root, and the account that owns it.
pub fn furnish(root: &Path) -> Result<(), Failure> {
    let home = root.join(HOME.trim_start_matches('/'));
    let write = |path: &Path, text: &[u8], mode: u32| -> Result<(), Failure> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Failure::path("making", folder))?;
        }
        fs::write(path, text).map_err(Failure::path("writing", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Failure::path("writing", path))
    };
    for (name, text, mode) in FILES {
        write(&home.join(name), text.as_bytes(), mode)?;
    }
    for name in SKELETON {
        let text = fs::read(root.join("etc/skel").join(name)).unwrap_or_default();
        write(&home.join(name), &text, 0o644)?;
    }
    for folder in [home.clone(), home.join(".ssh"), home.join(".gnupg")] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(Failure::path("making", folder))?;
    }
    // The machine's accounts, and one more: read-only files over its own.
    let accounts =
        [("passwd", format!("{USER}:x:{UID}:{UID}::{HOME}:/bin/bash\n")), ("group", format!("{USER}:x:{UID}:\n"))];
    for (name, ours) in accounts {
        let place = root.join("etc").join(name);
        let theirs = fs::read_to_string(&place).unwrap_or_default();
        let others = theirs.lines().filter(|line| !same_account(line));
        let text: String = others.map(|line| format!("{line}\n")).chain([ours]).collect();
        let copy = root.join(format!(".{name}"));
        write(&copy, text.as_bytes(), 0o644)?;
        if place.exists() {
            mount(Some(&copy), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(Failure::step("binding the accounts"))?;
        }
        fs::remove_file(&copy).map_err(Failure::path("removing", copy))?;
    }
    Ok(())
}

/// A line of passwd(5) or group(5) with the name or the number of the sandbox's user.
fn same_account(line: &str) -> bool {
    let mut fields = line.split(':');
    fields.next() == Some(USER) || fields.nth(1).and_then(|id| id.parse().ok()) == Some(UID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_replaces_its_like() {
        for (line, same) in [
            ("root:x:0:0:root:/root:/bin/bash", false),
            ("user:x:1001:1001::/home/user:/bin/sh", true),
            ("ada:x:1000:1000::/home/ada:/bin/sh", true),
            ("a:x", false),
        ] {
            assert_eq!(same_account(line), same, "{line}");
        }
    }
}

//! A disk that forgets what was not synced, fails to sync, or is full: `tests/disk/forgets.c` before a daemon's libc.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub struct Disk {
    folder: TempDir,
    /// How often the power was cut.
    cuts: usize,
}

impl Disk {
    /// None, and a word, where there is no C compiler.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/disk/forgets.c");
        let library = folder.path().join("forgets.so");
        let mut command = Command::new("cc");
        command.args(["-O1", "-shared", "-fPIC", source, "-ldl", "-lpthread", "-o"]).arg(&library);
        if !command.status().is_ok_and(|status| status.success()) {
            println!("skipped: no C compiler");
            return None;
        }
        fs::create_dir(folder.path().join("0")).unwrap();
        let disk = Self { folder, cuts: 0 };
        disk.remember();
        Some(disk)
    }

    /// The folder that is watched.
    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(self.cuts.to_string())
    }

    fn mirror(&self) -> PathBuf {
        self.folder.path().join("mirror")
    }

    /// What a process that is watched has to be told.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", text(&self.folder.path().join("forgets.so"))),
            ("DISK_ROOT", text(&self.root())),
            ("DISK_MIRROR", text(&self.mirror())),
        ]
    }

    /// All that is there is on the disk.
    fn remember(&self) {
        let _ = fs::remove_dir_all(self.mirror());
        fs::create_dir(self.mirror()).unwrap();
        self.remember_folder(&self.root());
    }

    fn remember_folder(&self, folder: &Path) {
        let mut list = String::new();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            let kind = if about.is_dir() { 'd' } else { 'f' };
            list += &format!("{} {kind} {}\n", about.ino(), entry.file_name().to_str().unwrap());
            if about.is_dir() {
                self.remember_folder(&entry.path());
            } else {
                fs::copy(entry.path(), self.mirror().join(format!("f{}", about.ino()))).unwrap();
            }
        }
        let inode = fs::metadata(folder).unwrap().ino();
        fs::write(self.mirror().join(format!("d{inode}")), list).unwrap();
    }

    /// Pulls the plug: the folder is what was synced. No process may be at work in it.
    pub fn cut(&mut self) {
        let inode = fs::metadata(self.root()).unwrap().ino();
        let before = self.root();
        self.cuts += 1;
        self.restore(inode, &self.root());
        fs::remove_dir_all(before).unwrap();
        self.remember();
    }

    fn restore(&self, inode: u64, into: &Path) {
        fs::create_dir(into).unwrap();
        // A folder that was never synced has its name at most.
        let list = fs::read_to_string(self.mirror().join(format!("d{inode}"))).unwrap_or_default();
        for line in list.lines() {
            let (inode, rest) = line.split_once(' ').unwrap();
            let (kind, name) = rest.split_once(' ').unwrap();
            let target = into.join(name);
            if kind == "d" {
                self.restore(inode.parse().unwrap(), &target);
            } else if fs::copy(self.mirror().join(format!("f{inode}")), &target).is_err() {
                // Its name was synced, and nothing else of it.
                fs::write(&target, "").unwrap();
            }
        }
    }
}

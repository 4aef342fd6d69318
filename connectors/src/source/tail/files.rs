//! The files that patterns name: found, opened, followed through rotation, and let go.

use super::file::{HEAD_BYTES, Id, Piece, Position, Tracked};
use super::positions::Remembered;
use super::{From, Options, TailError};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names of compressed files end so.
const COMPRESSED: [&str; 6] = ["gz", "zst", "bz2", "xz", "lz4", "zip"];
/// First bytes of what is no text of lines: compressed files, EVTX, Parquet, UTF-16.
const MAGIC: [&[u8]; 9] = [
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"\xfd7zXZ",
    b"PK\x03\x04",
    b"ElfFile\0",
    b"PAR1",
    b"\xff\xfe",
    b"\xfe\xff",
];

/// All files.
pub struct Files {
    options: Options,
    tracked: BTreeMap<Id, Tracked>,
    /// Files of an earlier run that have not been found yet.
    remembered: BTreeMap<Id, Remembered>,
    /// Paths that cannot be read, which was told.
    unreadable: BTreeSet<PathBuf>,
    scanned: bool,
    /// Whether nothing was remembered at the start.
    new: bool,
    changed: bool,
}

impl Files {
    /// None open yet. **Errors**: a path that is no pattern.
    pub fn open(options: Options, remembered: Vec<Remembered>) -> Result<Self, TailError> {
        for pattern in &options.paths {
            let wrong = |source| TailError::Pattern { pattern: pattern.clone(), source };
            glob::Pattern::new(pattern).map_err(wrong)?;
        }
        let new = remembered.is_empty();
        let remembered = remembered.into_iter().map(|file| (file.id(), file)).collect();
        let (tracked, unreadable) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { options, tracked, remembered, unreadable, scanned: false, new, changed: false })
    }

    /// Looks at what there is.
    pub fn scan(&mut self) {
        let mut seen = BTreeSet::new();
        for path in self.paths() {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    let id = Id::of(&metadata);
                    let known = self.tracked.get_mut(&id).map(|tracked| {
                        tracked.path.clone_from(&path);
                        (tracked.gone, tracked.last) = (None, false);
                    });
                    // A second path to a file, such as a link, changes nothing.
                    if !seen.insert(id) || known.is_some() {
                        continue;
                    }
                    if let Some(id) = self.try_begin(&path) {
                        seen.insert(id);
                    }
                }
                _ => {}
            }
        }
        if !self.scanned {
            self.find_renamed();
        }
        self.scanned = true;
        self.let_go(&seen);
    }

    fn paths(&self) -> BTreeSet<PathBuf> {
        let found = self.options.paths.iter().filter_map(|pattern| glob::glob(pattern).ok());
        let named_compressed = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| COMPRESSED.contains(&extension))
        };
        found.flatten().filter_map(Result::ok).filter(|path| !named_compressed(path)).collect()
    }

    fn try_begin(&mut self, path: &Path) -> Option<Id> {
        if self.tracked.len() >= self.options.files_max {
            return self.tell(path, "too many files are open: it waits");
        }
        match self.begin(path) {
            Ok(id) => {
                self.unreadable.remove(path);
                id
            }
            // Gone in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => self.tell(path, &error.to_string()),
        }
    }

    fn tell(&mut self, path: &Path, why: &str) -> Option<Id> {
        if self.unreadable.len() < self.options.files_max && self.unreadable.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), why, "tail: the file is not read");
        }
        None
    }

    fn begin(&mut self, path: &Path) -> io::Result<Option<Id>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let (id, head) = (Id::of(&metadata), Tracked::head_of(&file, HEAD_BYTES)?);
        if self.tracked.contains_key(&id) || MAGIC.iter().any(|magic| head.starts_with(magic)) {
            return Ok(None);
        }
        let old = self.remembered.remove(&id).and_then(|file| file.position(&head));
        let position = match old {
            Some(position) => position,
            None if self.options.from == From::End && self.new && !self.scanned => {
                Position { offset: metadata.len(), ..Position::default() }
            }
            None => Position::default(),
        };
        self.changed = true;
        self.tracked.insert(id, Tracked::new(file, path.to_owned(), position));
        Ok(Some(id))
    }

    /// Files that were renamed to what no pattern names while nobody looked: beside where they were.
    fn find_renamed(&mut self) {
        let folders: BTreeSet<PathBuf> =
            self.remembered.values().filter_map(|file| file.path.parent().map(Path::to_owned)).collect();
        for entry in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let id = Id::of(&metadata);
            let Some(remembered) = self.remembered.get(&id).filter(|_| metadata.is_file()) else { continue };
            let Ok(file) = File::open(entry.path()) else { continue };
            let Ok(head) = Tracked::head_of(&file, HEAD_BYTES) else { continue };
            if let Some(position) = remembered.position(&head) {
                self.tracked.insert(id, Tracked::new(file, entry.path(), position));
            }
            self.remembered.remove(&id);
        }
    }

    /// Files to which no path leads any more are let go some time after they grew last.
    fn let_go(&mut self, seen: &BTreeSet<Id>) {
        let (now, while_gone) = (Instant::now(), Duration::from_secs(self.options.gone_seconds));
        let before = self.tracked.len();
        self.tracked.retain(|id, tracked| {
            if seen.contains(id) {
                return true;
            }
            let gone = *tracked.gone.get_or_insert(now);
            // `last` was said a round ago: its last line was read since.
            let over = tracked.last;
            tracked.last = now.duration_since(gone) >= while_gone;
            !(over && tracked.last && tracked.is_done())
        });
        self.changed |= self.tracked.len() != before;
    }

    /// Those that are open.
    pub fn ids(&self) -> Vec<Id> {
        self.tracked.keys().copied().collect()
    }

    /// The next piece of one; none where there is nothing more now.
    pub fn read(&mut self, id: Id) -> Option<Piece> {
        let tracked = self.tracked.get_mut(&id)?;
        match tracked.piece(&self.options) {
            Ok(piece) => piece,
            Err(error) => {
                tracked.give_up();
                let path = tracked.path.clone();
                self.tell(&path, &error.to_string());
                None
            }
        }
    }

    /// A piece was taken.
    pub fn commit(&mut self, id: Id, next: Position) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            tracked.position = next;
            self.changed = true;
        }
    }

    /// Whether something is to be remembered since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What is to be remembered.
    pub fn remembered(&self) -> Vec<Remembered> {
        let open = self.tracked.iter().map(|(id, file)| Remembered::new(&file.path, *id, &file.position));
        open.chain(self.remembered.values().cloned()).take(2 * self.options.files_max).collect()
    }
}

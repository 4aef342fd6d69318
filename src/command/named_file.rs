//! A file that a command was given: read within a bound, and named in errors together with the option that it was
//! given by.

use super::Usage;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A small file: keys, policies, roots, certificates.
pub const SMALL_BYTES_MAX: u64 = 1 << 20;

/// A file, and the option that names it.
#[derive(Clone, Copy, Debug)]
pub struct NamedFile<'a> {
    option: &'static str,
    path: &'a Path,
}

impl<'a> NamedFile<'a> {
    /// The file of an option, such as `--key`.
    pub fn by(option: &'static str, path: &'a Path) -> Self {
        Self { option, path }
    }

    /// A file that is an argument of its own, without an option.
    pub fn argument(path: &'a Path) -> Self {
        Self::by("", path)
    }

    /// It, to be read.
    ///
    /// **Errors**: [`Usage`] when it is not there, or cannot be read.
    pub fn open(self) -> Result<File, Usage> {
        File::open(self.path).map_err(|error| self.wrong(error))
    }

    /// Its bytes.
    ///
    /// **Errors**: [`Usage`] when it cannot be read, or has more than `max`.
    pub fn bytes(self, max: u64) -> Result<Vec<u8>, Usage> {
        let bytes = self.head(max.saturating_add(1))?;
        if bytes.len() as u64 > max { Err(self.wrong(format_args!("more than {max} bytes"))) } else { Ok(bytes) }
    }

    /// Its first bytes: where what reads them has a bound of its own, and says so.
    ///
    /// **Errors**: [`Usage`] when it cannot be read.
    pub fn head(self, most: u64) -> Result<Vec<u8>, Usage> {
        let mut bytes = Vec::new();
        self.open()?.take(most).read_to_end(&mut bytes).map_err(|error| self.wrong(error))?;
        Ok(bytes)
    }

    /// Its text.
    ///
    /// **Errors**: as [`Self::bytes`], or no UTF-8.
    pub fn text(self, max: u64) -> Result<String, Usage> {
        String::from_utf8(self.bytes(max)?).map_err(|_| self.wrong("expected text in UTF-8"))
    }

    /// Looks whether something is there.
    ///
    /// **Errors**: [`Usage`] when it is not, or cannot be asked for.
    pub fn is_there(self) -> Result<(), Usage> {
        std::fs::metadata(self.path).map(drop).map_err(|error| self.wrong(error))
    }

    /// What is wrong with it.
    pub fn wrong(self, why: impl Display) -> Usage {
        let path = self.path.display();
        Usage(if self.option.is_empty() { format!("{path}: {why}") } else { format!("{}: {path}: {why}", self.option) })
    }
}

//! The file layer: all that the log asks of a disk. [`Disk`] is the real one, [`Bucket`] an object store; [`Memory`]
//! loses, for tests, what a power cut would lose.

mod bucket;
mod disk;
mod memory;

pub use bucket::Bucket;
pub use disk::Disk;
pub use memory::{Call, Memory};

use std::any::Any;
use std::fmt;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

/// One folder of files, without folders below.
pub trait Files: fmt::Debug + Send + Sync {
    /// Takes the folder, which is created where it is missing, until the answer is dropped. `None` if it is taken.
    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send>>>;
    /// Whether a file can be written on after its sync. Where not, each group of frames gets a segment of its own.
    fn grows(&self) -> bool {
        true
    }
    /// All names in it, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// A new, empty file to write and read.
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    /// A file that exists, to write and read from its beginning.
    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file another name, which nothing has.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Who has it open reads on.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes durable which names there are.
    fn sync_folder(&self) -> io::Result<()>;
    /// What errors call a file; the folder for the empty name.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file. It is written at its end, except for the same bytes again.
pub trait LogFile: Read + Write + Seek + Send + fmt::Debug {
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Cuts it there.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes its bytes and its length durable. After a failure nothing is known of what was written since the last
    /// success.
    fn sync(&mut self) -> io::Result<()>;
}

//! Inputs as users name them: files, folders (searched whole, in name order) and `-` for standard input.

use crate::command::Usage;
use crate::progress::Counted;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use tarn_ingest::container::{Blocks, Limits};

/// One container of records: a file or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file on disk.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Every input under `paths`, in the order given and by name inside a folder. Links are followed; those that lead
/// nowhere, or back to where they stand, are told on stderr and left out.
///
/// **Errors**: [`Usage`] when a path is not there or a folder holds no file.
pub fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            inputs.push(Input::Stdin);
            continue;
        }
        let metadata = std::fs::metadata(path).map_err(|error| Usage(format!("{}: {error}", path.display())))?;
        if metadata.is_file() || !metadata.is_dir() {
            inputs.push(Input::File(path.clone()));
            continue;
        }
        let before = inputs.len();
        for entry in walkdir::WalkDir::new(path).sort_by_file_name().follow_links(true) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if leads_nowhere(&error) => {
                    eprintln!("warning: {error}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type().is_file() && !hidden {
                inputs.push(Input::File(entry.into_path()));
            }
        }
        if inputs.len() == before {
            return Err(Usage(format!("{}: the folder holds no file", path.display())).into());
        }
    }
    Ok(inputs)
}

/// Whether a link is in a loop, or its target is not there.
fn leads_nowhere(error: &walkdir::Error) -> bool {
    error.loop_ancestor().is_some() || error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Bytes on disk of all inputs; standard input counts as none.
pub fn size(inputs: &[Input]) -> u64 {
    let bytes = |input: &Input| match input {
        Input::File(path) => std::fs::metadata(path).map_or(0, |m| m.len()),
        Input::Stdin => 0,
    };
    inputs.iter().map(bytes).sum()
}

impl Input {
    /// The name that findings and errors give: the path, or `-`.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".into(),
        }
    }

    /// Its blocks, counted on `bar`.
    ///
    /// **Errors**: it cannot be opened, or not read as what it says it is.
    pub fn blocks(&self, bar: &ProgressBar) -> anyhow::Result<Blocks> {
        Ok(match self.parquet()? {
            Some(file) => Blocks::open_file(file, Limits::default())?,
            None => Blocks::open(self.open(bar)?, Limits::default())?,
        })
    }

    /// Opens it for reading, counted on `bar`.
    fn open(&self, bar: &ProgressBar) -> std::io::Result<Box<dyn Read + Send>> {
        let inner: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Stdin => Box::new(std::io::stdin()),
        };
        Ok(Box::new(Counted::new(inner, bar.clone())))
    }

    /// The file, when it is Parquet: that is read from its end, a few rows at a time, and not as a stream.
    pub fn parquet(&self) -> std::io::Result<Option<File>> {
        let Self::File(path) = self else { return Ok(None) };
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let mut magic = [0_u8; 4];
        let is_parquet = file.read_exact(&mut magic).is_ok() && &magic == b"PAR1";
        file.rewind()?;
        Ok(is_parquet.then_some(file))
    }
}

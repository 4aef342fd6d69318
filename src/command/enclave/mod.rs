//! `tarn enclave`: keys go to what was attested.

mod attester;
mod authority;
mod broker;
mod ledger;
mod measure;
mod provenance;
mod seal;
mod store;
mod unseal;

use super::Usage;
use clap::{Args as ClapArgs, Subcommand};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// Seal files, release their keys to attested workloads, and open them there
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  tarn enclave seal model.bin --key models/scorer/weights --out model.sealed --store keys.json --wrapping-key wrapping.key
  tarn enclave broker --store keys.json --wrapping-key wrapping.key --policy policy.cedar --nitro-root root.der --lake ./lake --ledger-key evidence.key
  tarn enclave unseal model.sealed --broker http://127.0.0.1:8087 --authority authority.txt --out model.bin

docs/enclave.md has the whole round on one machine.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Seal(seal::Args),
    Broker(Box<broker::Args>),
    Unseal(unseal::Args),
    Measure(measure::Args),
    Authority(authority::Args),
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Seal(args) => args.run(),
            Command::Broker(args) => args.run(),
            Command::Unseal(args) => args.run(),
            Command::Measure(args) => args.run(),
            Command::Authority(args) => args.run(),
        }
    }
}

/// Bytes of a file that is read whole: policies, roots, key sets.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A small file's bytes.
///
/// **Errors**: [`Usage`] when it cannot be read, or is not small.
fn small_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let wrong = |error: std::io::Error| Usage(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).map_err(wrong)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Usage(format!("{}: is larger than {FILE_BYTES_MAX} bytes", path.display())).into());
    }
    Ok(bytes)
}

/// A small file's text.
///
/// **Errors**: as [`small_file`], or no UTF-8.
fn small_text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(small_file(path)?).map_err(|_| Usage(format!("{}: is no text", path.display())).into())
}

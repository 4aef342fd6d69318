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

use clap::{Args as ClapArgs, Subcommand};
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

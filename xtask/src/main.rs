//! `cargo xtask`: the one tool with which Motte is built, run, tested, drawn and measured.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::run;

/// Builds, runs, tests, draws and measures Motte.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot the system: at the terminal (Ctrl-A X ends the machine), or with -c for some commands
    #[command(after_help = "Example: cargo xtask run -c 'ls /bin | wc -l'")]
    Run {
        #[command(flatten)]
        options: run::Options,
        /// Run these at the shell without a terminal, shut down, and end with the status of the last
        #[arg(short = 'c', value_name = "COMMANDS", allow_hyphen_values = true)]
        commands: Option<String>,
        /// With -c: end the machine after so many seconds, with status 124
        #[arg(long, value_name = "SECONDS", requires = "commands")]
        timeout: Option<u64>,
        /// Print the kernel's log at the end
        #[arg(long)]
        kernel_log: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments.command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("motte: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run { options, commands, timeout, kernel_log } => match commands {
            Some(commands) => run::commands(&options, &commands, timeout, kernel_log),
            None => run::interactive(&options, kernel_log),
        },
    }
}

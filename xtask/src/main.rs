//! `cargo xtask`: the one tool with which Motte is built, run, tested, drawn and measured.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, campaign, disk, new_service, powercut, run, test, torture, unsafe_check, workspace};

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
    /// Run every test; closes with the counts of cargo's own runner
    #[command(after_help = "Example: cargo xtask test --filter pipe")]
    Test {
        #[command(flatten)]
        options: test::Options,
    },
    /// Check format, lints and the places of unsafe, then run every test: what CI does
    #[command(after_help = "Example: cargo xtask check --host-only")]
    Check {
        #[command(flatten)]
        options: test::CheckOptions,
    },
    /// List where `unsafe` occurs; fail where it may not
    #[command(after_help = "Example: cargo xtask unsafe")]
    Unsafe,
    /// Draw the components and what connects them, as SVG
    #[command(after_help = "Example: cargo xtask graph --out system.svg")]
    Graph {
        /// File to write (default: standard output)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// System manifest (default: system/default.toml)
        #[arg(long, value_name = "FILE")]
        system: Option<PathBuf>,
    },
    /// Make a disk image with an ext4 file system from rootfs/ and the programs
    #[command(after_help = "Example: cargo xtask image --out disk.img --size 1G")]
    Image {
        /// File to write
        #[arg(long, value_name = "IMG")]
        out: PathBuf,
        /// Size of the disk
        #[arg(long, default_value = "512M", value_parser = disk::parse_size)]
        size: u64,
        /// Folder with the files to put on it
        #[arg(long, value_name = "DIR", default_value_os_t = workspace::root().join("rootfs"), hide_default_value = true)]
        files: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
    /// Cut the power at random moments under a writing load; check after each that nothing synced was lost
    #[command(after_help = "Example: cargo xtask powercut --cuts 100 --seed 7")]
    Powercut {
        #[command(flatten)]
        options: powercut::Options,
    },
    /// Kill the components that hold the system up, at rest and under load; check after each that it goes on
    #[command(after_help = "Example: cargo xtask torture --kills 10 --seed 7 --components process,pipe")]
    Torture {
        #[command(flatten)]
        options: torture::Options,
    },
    /// Inject faults into running components under load; see of each whether it showed and what came of it
    #[command(after_help = "Examples: cargo xtask campaign --faults 200 --seed 7\n          \
                            cargo xtask campaign --faults 1000 --components fs,virtio-blk --types code-bit,stack,heap")]
    Campaign {
        #[command(flatten)]
        options: campaign::Options,
    },
    /// Measure what things cost, beside Linux on the same machine and what is known of seL4
    #[command(after_help = "Example: cargo xtask bench ipc kernel --json costs.json")]
    Bench {
        #[command(flatten)]
        options: bench::Options,
    },
    /// Write the beginnings of something new
    #[command(after_help = "Example: cargo xtask new service address-book")]
    New {
        #[command(subcommand)]
        what: New,
    },
    /// Boot the system and wait for a debugger before the first instruction
    #[command(after_help = "Example: cargo xtask debug --port 1234")]
    Debug {
        #[command(flatten)]
        options: run::Options,
        /// Port of 127.0.0.1 the debugger connects to
        #[arg(long, default_value_t = 1234)]
        port: u16,
    },
}

/// What can be begun.
#[derive(Subcommand)]
enum New {
    /// A service: its trait in lib/interfaces, its main.rs, its stanza in system/default.toml
    #[command(after_help = "Example: cargo xtask new service address-book")]
    Service {
        /// Small letters, digits and hyphens
        name: String,
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
        Command::Test { options } => test::run(&options).map(|()| 0),
        Command::Check { options } => test::check(&options).map(|()| 0),
        Command::Unsafe => unsafe_check::check().map(|()| 0),
        Command::Graph { out, system } => test::graph(out.as_deref(), system.as_deref()).map(|()| 0),
        Command::Image { out, size, files, force } => run::image(&out, size, &files, force).map(|()| 0),
        Command::Powercut { options } => powercut::run(&options).map(|()| 0),
        Command::Torture { options } => torture::run(&options).map(|()| 0),
        Command::Campaign { options } => campaign::run(&options).map(|()| 0),
        Command::Bench { options } => bench::run(&options).map(|()| 0),
        Command::New { what: New::Service { name } } => {
            for file in new_service::write(workspace::root(), &name)? {
                println!("{}", file.strip_prefix(workspace::root()).unwrap_or(&file).display());
            }
            Ok(0)
        }
        Command::Debug { options, port } => run::debug(&options, port),
    }
}

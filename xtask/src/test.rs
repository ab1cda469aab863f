//! `cargo xtask test`: every test. The last thing it prints are the counts of cargo's (or nextest's) own runner.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::compile::{self, Profile};
use crate::manifest;
use crate::prepare::{self, Tool};
use crate::process::Guarded;
use crate::workspace::{self, Workspace, spoken};

/// The package of the whole-system tests.
pub const SYSTEM_TESTS: &str = "motte-tests";

/// Which tests to run.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Only tests that run on the host, without QEMU
    #[arg(long)]
    pub host_only: bool,
    /// Name the tests instead of running them
    #[arg(long)]
    pub list: bool,
    /// Leave out the slow checks of memory accesses by Miri and of interleavings by loom, and the ext4 library's own tests
    #[arg(long)]
    pub quick: bool,
}

/// Runs the tests.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    if !options.host_only && !options.list {
        prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem])?;
        // Built once here, so that no test waits for it or fails for it.
        compile::system(Profile::Release, &manifest::default_path())?;
    }
    // A filter asks for something in particular: it goes to the ordinary runner alone.
    if !options.list && has_nextest() {
        examples(options)?;
    }
    if !options.quick && !options.list && options.filter.is_none() {
        ext4_library()?;
        loom()?;
        miri()?;
    }
    let result = ordinary(options);
    eprintln!("motte: tests took {}", spoken(started.elapsed()));
    result
}

/// Runs a step and stops when it fails.
fn step(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("motte: {what}");
    let status = Guarded::spawn(command)?.wait()?;
    if !status.success() {
        bail!("{what}: failed");
    }
    Ok(())
}

fn has_nextest() -> bool {
    prepare::find("cargo-nextest").is_some()
}

/// The examples in the documentation, which nextest does not run.
fn examples(options: &Options) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--doc", "--workspace"]);
    if let Some(filter) = &options.filter {
        command.args(["--", filter]);
    }
    step("examples in the documentation", &mut command)
}

/// The tests that the ext4 library brings along; it is no member of the workspace.
fn ext4_library() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--locked", "--manifest-path", "third_party/rsext4/Cargo.toml"]);
    command.env("CARGO_TARGET_DIR", workspace::target_directory().join("rsext4"));
    step("the ext4 library", &mut command)
}

/// The tests of all packages. They come last: their counts close the output.
fn ordinary(options: &Options) -> Result<()> {
    if has_nextest() {
        let mut tests = workspace::cargo();
        tests.args(["nextest", if options.list { "list" } else { "run" }, "--workspace"]);
        if !options.list {
            tests.args(["--no-fail-fast", "--no-tests=pass", "--status-level=slow", "--final-status-level=slow"]);
        }
        if options.host_only {
            tests.args(["--exclude", SYSTEM_TESTS]);
        }
        tests.args(&options.filter);
        return step("tests", &mut tests);
    }
    let mut tests = workspace::cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    if options.host_only {
        tests.args(["--exclude", SYSTEM_TESTS]);
    }
    tests.arg("--");
    tests.args(&options.filter);
    if options.list {
        tests.arg("--list");
    }
    step("tests", &mut tests)
}

/// Every interleaving of the rings' two sides.
fn loom() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["test", "--quiet", "--package", "motte-ring", "--test", "loom"]);
    command.env("RUSTFLAGS", "--cfg loom");
    // Built with another flag, and so kept apart: else each would have the other built anew.
    command.env("CARGO_TARGET_DIR", workspace::target_directory().join("loom"));
    step("rings, every interleaving (loom)", &mut command)
}

/// The kernel's logic under Miri, where the nightly toolchain can be had.
fn miri() -> Result<()> {
    if let Err(error) = prepare_miri() {
        eprintln!("motte: Miri skipped: {error:#}");
        return Ok(());
    }
    let mut command = nightly(&["cargo", "miri", "test", "--quiet", "--lib", "--package", workspace::KERNEL_PACKAGE]);
    command.env("CARGO_TARGET_DIR", workspace::target_directory().join("miri"));
    // Property tests read a file of known failures; Miri's isolation would refuse that. Few cases: each is a thousand times slower.
    // Objects are reached by address and consist of cells: see kernel/src/tests/mod.rs for the other two.
    let flags = "-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-disable-stacked-borrows";
    command.env("MIRIFLAGS", flags).env("PROPTEST_CASES", "2");
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    step("the kernel's logic under Miri", &mut command)
}

fn prepare_miri() -> Result<()> {
    let has_miri = || {
        let output = nightly(&["cargo", "miri", "--version"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if has_miri() {
        return Ok(());
    }
    let toolchain = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "miri,rust-src"];
    prepare::rustup(&toolchain, "installing the nightly toolchain with Miri")
}

/// A command of the nightly toolchain, free of what the stable cargo around us has set.
fn nightly(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(arguments).current_dir(workspace::root());
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command
}

/// Options of `cargo xtask check`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CheckOptions {
    /// Leave out the tests
    #[arg(long)]
    pub no_test: bool,
    /// Of the tests, only those without QEMU
    #[arg(long)]
    pub host_only: bool,
}

/// Format, lints, the unsafe check, tests.
pub fn check(options: &CheckOptions) -> Result<()> {
    step("format", workspace::cargo().args(["fmt", "--all", "--check"]))?;
    eprintln!("motte: unsafe");
    crate::unsafe_check::check()?;
    let mut libraries = workspace::cargo();
    libraries.args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    step("lints of libraries and tools", &mut libraries)?;
    prepare::rust_target()?;
    let workspace = Workspace::read()?;
    let mut programs = workspace::cargo();
    programs.args(["clippy", "--quiet", "--release"]);
    compile::select(&mut programs, &workspace);
    programs.args(["--", "-D", "warnings"]);
    step("lints of the kernel and the programs", &mut programs)?;
    if options.no_test {
        return Ok(());
    }
    run(&Options { host_only: options.host_only, ..Options::default() })
}

/// Draws the default system, or another, as SVG.
pub fn graph(out: Option<&Path>, system: Option<&Path>) -> Result<()> {
    let path = system.map_or_else(manifest::default_path, Path::to_owned);
    let svg = motte_manifest::graph::svg(&manifest::read(&path, None)?);
    match out {
        Some(file) => {
            std::fs::write(file, svg).with_context(|| format!("{} could not be written", file.display()))?;
            eprintln!("motte: drawn into {}", file.display());
        }
        None => print!("{svg}"),
    }
    Ok(())
}

//! `cargo xtask run -c` as a user of it sees it: a process with standard output, standard error and a status.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use xtask::workspace;

/// What the process left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Standard output, byte for byte.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status.
    pub status: i32,
}

/// Runs `cargo xtask run OPTIONS -c COMMANDS`.
pub fn motte<S: AsRef<OsStr>>(options: &[S], commands: &str) -> Result<Output> {
    let mut xtask = workspace::cargo();
    xtask.args(["xtask", "run"]).args(options).args(["--timeout", "300", "-c", commands]);
    output(&mut xtask)
}

/// Runs a command of the host to its end.
pub fn output(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().context("the command could not be started")?;
    Ok(Output {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status.code().unwrap_or(-1),
    })
}

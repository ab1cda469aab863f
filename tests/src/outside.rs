//! Tools that others wrote, where the host has them.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs such a tool, which must succeed, with this input; returns what it printed. `None`, and a line that says so, where there is no such tool.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Result<Option<String>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("\n*** NOT TESTED with {program}: there is none here ***\n");
            return Ok(None);
        }
        child => child.with_context(|| format!("{program} does not run"))?,
    };
    let mut stdin = child.stdin.take().context("it has an input")?;
    // One that ends without having read all says why.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    ensure!(output.status.success(), "{program} {}: {}\n{text}", arguments.join(" "), output.status);
    Ok(Some(text))
}

//! Scripts run by this shell and by the host's `dash`: output and status must be the same.
//!
//! The program is the shell as well: called by the name `sh` it behaves as one, so that scripts can start
//! shells and pipelines can hand their stages on.

mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

/// What a run printed on both streams, and its status.
#[derive(Debug, PartialEq)]
struct Run {
    stdout: String,
    stderr: String,
    status: Option<i32>,
}

fn main() {
    let name = std::env::args().next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == "sh") {
        std::process::exit(motte_shell::start::run());
    }
    let arguments = Arguments::from_args();
    let root = std::env::temp_dir().join(format!("motte-shell-scripts-{}", std::process::id()));
    std::fs::create_dir_all(root.join("bin")).expect("make a directory for the tests");
    let own = root.join("bin/sh");
    let exe = std::env::current_exe().expect("find the test program");
    std::os::unix::fs::symlink(exe, &own).expect("link the test program as sh");
    let mut trials = Vec::new();
    for (index, script) in table::SAME_AS_DASH.iter().enumerate() {
        let root = root.clone();
        let first = script.trim().lines().next().unwrap_or_default();
        trials.push(Trial::test(format!("same_as_dash::{index:03} {first}"), move || compare(&root, script)));
    }
    for (index, case) in table::EXPECTED.iter().enumerate() {
        let root = root.clone();
        let first = case.0.trim().lines().next().unwrap_or_default();
        trials.push(Trial::test(format!("expected::{index:03} {first}"), move || expect(&root, case)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // What is left in the temporary directory hurts nobody.
    let _ = std::fs::remove_dir_all(&root);
    conclusion.exit();
}

fn directory(root: &Path, name: &str) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = root.join(format!("{name}-{number}/work"));
    std::fs::create_dir_all(&path).expect("make a directory for a script");
    path
}

fn run(root: &Path, shell: &Path, script: &str) -> Run {
    let directory = directory(root, "run");
    let path = format!("{}:/usr/bin:/bin", root.join("bin").display());
    let output = Command::new(shell)
        .args(["-c", script, "sh", "one", "two words"])
        .current_dir(&directory)
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/home/someone")
        .stdin(Stdio::null())
        .output()
        .expect("run the shell");
    let text = |bytes| String::from_utf8_lossy(bytes).replace(directory.to_str().unwrap_or("?"), "DIR");
    Run { stdout: text(&output.stdout), stderr: text(&output.stderr), status: output.status.code() }
}

fn compare(root: &Path, script: &str) -> Result<(), Failed> {
    let ours = run(root, &root.join("bin/sh"), script);
    let theirs = run(root, Path::new("/bin/dash"), script);
    if (&ours.stdout, ours.status) == (&theirs.stdout, theirs.status) {
        return Ok(());
    }
    Err(format!("{script}\nours: {ours:#?}\ndash: {theirs:#?}").into())
}

fn expect(root: &Path, (script, stdout, stderr, status): &(&str, &str, &str, i32)) -> Result<(), Failed> {
    let ours = run(root, &root.join("bin/sh"), script);
    let wanted = Run { stdout: (*stdout).into(), stderr: (*stderr).into(), status: Some(*status) };
    if ours == wanted { Ok(()) } else { Err(format!("{script}\nours: {ours:#?}\nwanted: {wanted:#?}").into()) }
}

//! How costs have changed: the accepted figures of each commit that changed `bench/limits.toml`. The project's own history is the
//! record; there is no other.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::limits::{FILE, Limits};
use crate::workspace;

/// So many commits at most are looked at.
const COMMITS: &str = "--max-count=60";

/// The accepted costs at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its short name.
    pub name: String,
    /// Its day.
    pub day: String,
    /// Its subject.
    pub subject: String,
    /// Operation to cost.
    pub costs: BTreeMap<String, u64>,
}

/// All commits that changed what is accepted, the oldest first. None where there is no history to be had.
#[must_use]
pub fn read() -> Vec<Commit> {
    let log = git(&["log", "--reverse", COMMITS, "--format=%h%x09%cs%x09%s", "--", FILE]);
    let commits = log.as_deref().unwrap_or_default().lines().filter_map(|line| {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        let (name, day, subject) = (parts.next()?, parts.next()?, parts.next()?);
        let text = git(&["show", &format!("{name}:{FILE}")])?;
        let accepted = Limits::parse(&text).ok()?.accepted();
        let costs = accepted.into_iter().map(|(name, figure)| (name, figure.median)).collect();
        Some(Commit { name, day, subject, costs })
    });
    commits.filter(|commit| !commit.costs.is_empty()).collect()
}

/// The commit that is measured, and whether anything was changed since.
#[must_use]
pub fn measured_commit() -> Option<String> {
    let name = git(&["log", "-1", "--format=%h of %cs"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let changed = if changes.is_empty() { "" } else { ", with changes" };
    Some(format!("{}{changed}", name.trim()))
}

fn git(arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(workspace::root()).stdin(Stdio::null()).stderr(Stdio::null());
    let output = git.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

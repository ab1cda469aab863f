//! `cargo xtask bench`: what things cost, counted in instructions on the emulated machine, beside Linux on the same machine and
//! what is known of seL4.
//!
//! | module | what it does |
//! |---|---|
//! | [`operations`] | what is measured, and what it means |
//! | [`motte`], [`linux`], [`size`], [`net`] | measure |
//! | [`load`] | clients of the machine's servers |
//! | [`listen`], [`protocol`], [`plugin`] | how a machine says what it measured |
//! | [`limits`], [`peers`] | what it may cost; what others need |
//! | [`results`], [`table`], [`pages`] | what comes of it, for programs, the terminal, the book |
//! | [`report`], [`charts`], [`svg`], [`history`] | the page with its pictures |
//! | [`trace`] | one operation, instruction by instruction |

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::prepare::{self, Tool};
use crate::workspace;

use limits::Limits;
use linux::Linux;
use motte::Motte;
use net::Served;
use operations::{Group, OPERATIONS};
use peers::{LinuxFigures, Sel4};
use plugin::{Mark, Plugin};
use protocol::Measurements;
use results::Results;

pub mod charts;
pub mod history;
pub mod limits;
pub mod linux;
pub mod listen;
pub mod load;
pub mod motte;
pub mod net;
pub mod numbers;
pub mod operations;
pub mod pages;
pub mod peers;
pub mod plugin;
pub mod protocol;
pub mod report;
pub mod results;
pub mod size;
pub mod svg;
pub mod table;
pub mod trace;

/// Size of the disks that are measured with.
const DISK_SIZE: u64 = 512 << 20;

/// What to measure and what to do with it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// What to measure (default: everything)
    #[arg(value_enum, value_name = "GROUP")]
    pub groups: Vec<Group>,
    /// Write the results into this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Do not measure Linux; its recorded figures stand in
    #[arg(long)]
    pub no_linux: bool,
    /// Only compare with the accepted costs of bench/limits.toml
    #[arg(long, conflicts_with = "accept")]
    pub check: bool,
    /// Print every instruction of one operation, with function and source line, instead
    #[arg(long, value_name = "NAME", conflicts_with_all = ["groups", "json", "no_linux", "check", "accept"])]
    pub trace: Option<String>,
    /// Write what was measured into bench/limits.toml as accepted, and into the book
    #[arg(long)]
    pub accept: bool,
}

/// What is counted while an operation is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Instructions.
    Instructions,
    /// Time: only ever shown as a ratio of two figures of one run.
    Time,
}

impl Count {
    /// QEMU's option for the plugin.
    #[must_use]
    pub fn option(self, plugin: &Plugin, marks: &Path) -> String {
        match self {
            Self::Instructions => plugin.counting(marks),
            Self::Time => plugin.timing(marks),
        }
    }

    /// What is taken from a mark.
    #[must_use]
    pub fn of_mark(self) -> fn(&Mark) -> u64 {
        match self {
            Self::Instructions => Mark::instructions,
            Self::Time => Mark::nanoseconds,
        }
    }

    /// What is said of it while it is measured.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Instructions => "",
            Self::Time => " by time",
        }
    }
}

/// Measures, shows, keeps, compares. Fails when something costs more than was accepted, or could not be measured.
pub fn run(options: &Options) -> Result<()> {
    if let Some(operation) = &options.trace {
        return trace::run(operation);
    }
    let started = Instant::now();
    prepare::tools(&[Tool::Qemu, Tool::MakeFileSystem])?;
    let groups = if options.groups.is_empty() { Group::ALL.to_vec() } else { options.groups.clone() };
    let limits = Limits::read()?;
    let plugin = plugin_for(&groups);
    let mut failures = Vec::new();
    let (motte, mut found) = measure_motte(&groups, plugin.as_ref(), &mut failures)?;
    let net = measure_net(&groups, plugin.as_ref(), &mut failures)?;
    found.extend(net.counts);
    let grown = limits.violations(&found.figures);
    let sel4 = Sel4::read()?;
    let (linux, mut times) = if options.no_linux || options.check {
        (LinuxFigures::recorded()?, None)
    } else {
        measure_linux(&groups, motte.as_ref(), plugin.as_ref())?
    };
    if let Some(times) = &mut times {
        times.extend(net.times);
    }
    if let Some(motte) = motte.as_ref().filter(|_| groups.contains(&Group::Recover) && !options.check) {
        match measure_answers(motte, plugin.as_ref()) {
            Ok(answers) => times.get_or_insert_default().extend(answers),
            Err(error) => failures.push(format!("the time until first answers could not be measured: {error:#}")),
        }
    }
    let results = Results::new(found.clone(), times.as_ref(), &linux, &sel4, &limits);
    print!("{}", table::terminal(&results));
    if let Some(file) = &options.json {
        std::fs::write(file, results.json()?).with_context(|| format!("{} could not be written", file.display()))?;
    }
    if !options.check {
        let report = report::write(&results, &directory()?)?;
        eprintln!("motte: the report is {}", report.display());
    }
    if options.accept {
        limits::accept(&found.figures)?;
        pages::write(&Limits::read()?)?;
    }
    eprintln!("motte: the benchmark took {}", workspace::spoken(started.elapsed()));
    name_missed(&results);
    conclude(failures, if options.accept { Vec::new() } else { grown })
}

/// The plugin, where something needs it. Without it the disk's figures are missing, which is said.
fn plugin_for(groups: &[Group]) -> Option<Plugin> {
    if ![Group::Disk, Group::Net, Group::Recover].iter().any(|group| groups.contains(group)) {
        return None;
    }
    match Plugin::prepare() {
        Ok(plugin) => Some(plugin),
        Err(error) => {
            eprintln!("motte: disk and network are not measured, for the counting plugin cannot be used: {error:#}");
            None
        }
    }
}

/// Every group on a machine of its own: its figures do not depend on which others are asked for, and are not lost with them.
fn measure_motte(
    groups: &[Group],
    plugin: Option<&Plugin>,
    failures: &mut Vec<String>,
) -> Result<(Option<Motte>, Measurements)> {
    let mut found = Measurements::default();
    let inside: Vec<Group> = groups.iter().copied().filter(|group| group.is_measured_inside()).collect();
    let motte = if inside.is_empty() { None } else { Some(Motte::prepare()?) };
    if let Some(motte) = &motte {
        for group in inside {
            match motte.measure(&[group.name()], Count::Instructions, plugin) {
                Ok(measurements) => found.extend(measurements),
                Err(error) => failures.push(format!("{group} could not be measured: {error:#}")),
            }
        }
    }
    match size::measure(groups) {
        Ok(figures) => found.figures.extend(figures),
        Err(error) => failures.push(format!("boot and size could not be measured: {error:#}")),
    }
    Ok((motte, found))
}

/// Motte's web server and bulk transfers, from outside.
fn measure_net(groups: &[Group], plugin: Option<&Plugin>, failures: &mut Vec<String>) -> Result<Served> {
    let Some(plugin) = plugin.filter(|_| groups.contains(&Group::Net)) else { return Ok(Served::default()) };
    Ok(Motte::prepare()?.measure_net(plugin).unwrap_or_else(|error| {
        failures.push(format!("the network could not be measured: {error:#}"));
        Served::default()
    }))
}

/// How long a client waits for the first answer of a component that was killed.
fn measure_answers(motte: &Motte, plugin: Option<&Plugin>) -> Result<Measurements> {
    let names = OPERATIONS.iter().map(|operation| operation.name).filter(|name| operations::is_first_answer(name));
    motte.measure(&names.collect::<Vec<_>>(), Count::Time, plugin)
}

/// Linux, and both systems by time; where Linux cannot be had, what was recorded of it.
fn measure_linux(
    groups: &[Group],
    motte: Option<&Motte>,
    plugin: Option<&Plugin>,
) -> Result<(LinuxFigures, Option<Measurements>)> {
    let beside: Vec<Group> = groups.iter().copied().filter(|group| group.is_compared()).collect();
    let measured = Linux::prepare().and_then(|linux| {
        let mut counts = Measurements::default();
        if !beside.is_empty() {
            counts.extend(linux.measure(&beside, Count::Instructions, plugin)?);
        }
        let mut net = Served::default();
        if let Some(plugin) = plugin.filter(|_| groups.contains(&Group::Net)) {
            net = linux.measure_net(plugin)?;
        }
        counts.extend(net.counts);
        Ok((linux, counts, net.times))
    });
    let (linux, counts, net_times) = match measured {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("motte: Linux is not measured, its recorded figures stand in: {error:#}");
            return Ok((LinuxFigures::recorded()?, None));
        }
    };
    let mut times = Measurements::default();
    let mut linux_times = Some(net_times);
    if let Some(motte) = motte {
        linux_times.get_or_insert_default().extend(linux.measure(&beside, Count::Time, plugin)?);
        for group in beside.iter().filter(|group| group.is_measured_inside()) {
            // Only what Linux has something beside.
            let operations = OPERATIONS.iter().filter(|operation| Group::of(operation.name) == Some(*group));
            let names: Vec<&str> =
                operations.filter(|operation| !operation.linux.is_empty()).map(|operation| operation.name).collect();
            match motte.measure(&names, Count::Time, plugin) {
                Ok(measurements) => times.extend(measurements),
                Err(error) => eprintln!("motte: {group} could not be measured by time: {error:#}"),
            }
        }
    }
    let figures = LinuxFigures::measured(&linux.version, counts, linux_times);
    figures.keep(&directory()?)?;
    Ok((figures, Some(times)))
}

/// Where the benchmark keeps what it made.
fn directory() -> Result<PathBuf> {
    let directory = workspace::target_directory().join("bench");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("the directory {} could not be made", directory.display()))?;
    Ok(directory)
}

/// Says that aims are missed. That is no failure: it has been accepted so.
fn name_missed(results: &Results) {
    let missed = results.missed();
    if !missed.is_empty() {
        eprintln!("motte: {} of {} are over the aim", missed.len(), results.rows.len());
    }
    // What is measured from outside has no marks to trace between.
    let inside = |name| Group::of(name).is_some_and(Group::is_measured_inside);
    if let Some(first) = missed.iter().find(|row| inside(row.operation.name)) {
        eprintln!("motte: where the instructions go: cargo xtask bench --trace {}", first.operation.name);
    }
}

fn conclude(failures: Vec<String>, grown: Vec<String>) -> Result<()> {
    let mut sentences = failures;
    if !grown.is_empty() {
        sentences.extend(grown);
        sentences.push(format!(
            "if that is meant to be, type `cargo xtask bench --accept` and say why in the commit that changes {}",
            limits::FILE
        ));
    }
    if sentences.is_empty() { Ok(()) } else { bail!("{}", sentences.join("\n")) }
}

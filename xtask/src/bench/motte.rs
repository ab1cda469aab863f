//! Motte, measured: boots `system/bench.toml` and has the program `bench` print what things cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::listen::{Heard, listen};
use super::load::FILE_BYTES;
use super::net::{self, Served};
use super::operations::Group;
use super::plugin::{self, Plugin, Trace};
use super::protocol::Measurements;
use super::{Count, DISK_SIZE};
use crate::compile::{self, Profile, System};
use crate::disk::{self, Access};
use crate::machine::{Console, Ending, Hardware, Machine, Software};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::workspace::{self, Workspace};

/// The default system, with two components that measure what takes more authority than a program has.
const MANIFEST: &str = "system/bench.toml";
/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The system that is measured, built.
#[derive(Debug)]
pub struct Motte {
    system: System,
}

impl Motte {
    /// Builds it.
    pub fn prepare() -> Result<Self> {
        let manifest = workspace::root().join(MANIFEST);
        Ok(Self { system: compile::system(Profile::Release, &manifest)? })
    }

    /// The kernel's file, with what a debugger wants.
    #[must_use]
    pub fn kernel(&self) -> &Path {
        &self.system.kernel
    }

    /// The files of all other programs, by name.
    pub fn programs(&self) -> Result<Vec<(String, PathBuf)>> {
        let programs = Workspace::read()?.programs.into_iter();
        Ok(programs.map(|program| (program.name.clone(), self.system.programs().join(program.name))).collect())
    }

    /// Boots and measures: `what` are groups and operations that are measured inside.
    pub fn measure(&self, what: &[&str], count: Count, plugin: Option<&Plugin>) -> Result<Measurements> {
        let directory = RunDirectory::create(&workspace::run_directory())?;
        let marks = directory.path().join("marks");
        let option = plugin.map(|plugin| count.option(plugin, &marks));
        let on_disk = [Group::Disk, Group::File, Group::Recover].map(Group::name);
        let needs_disk = what.iter().any(|word| on_disk.iter().any(|group| word.starts_with(group)));
        let disk = needs_disk.then(|| directory.path().join("disk.img"));
        let heard = self.run(&format!("bench {}", what.join(" ")), count, option, disk.as_deref(), count.words())?;
        heard.measurements(plugin.map(|_| marks.as_path()), count)
    }

    /// Boots it with a web server and measures that from outside.
    pub fn measure_net(&self, plugin: &Plugin) -> Result<Served> {
        let directory = RunDirectory::create(&workspace::run_directory())?;
        let (disk, files) = (directory.path().join("disk.img"), directory.path().join("files"));
        fs::create_dir_all(files.join("srv/www"))?;
        fs::write(files.join("srv/www/bench.html"), [b'x'; FILE_BYTES])?;
        disk::create(&disk, DISK_SIZE, &files, &self.system.applications, &[])?;
        let mut image = self.system.boot_image.clone();
        image.add("command", b"bench serve".to_vec())?;
        let software = Software { kernel: &self.system.kernel, image: &image.finish(), command_line: "" };
        let processor = Hardware::default().processor;
        net::measure("Motte", "net/", software, &processor, Some(disk::open(&disk, Access::Write)?), plugin)
    }

    /// Every instruction of one operation, in order.
    pub fn trace(&self, operation: &str, plugin: &Plugin) -> Result<Trace> {
        let directory = RunDirectory::create(&workspace::run_directory())?;
        let trace = directory.path().join("trace");
        let disk = directory.path().join("disk.img");
        let option = Some(plugin.tracing(&trace));
        let heard = self.run(&format!("bench trace {operation}"), Count::Instructions, option, Some(&disk), "")?;
        let executed = plugin::read_trace(&trace)?;
        ensure!(
            !executed.order.is_empty(),
            "the program `bench` did not execute {operation} between its marks; it said:\n{}",
            heard.output
        );
        Ok(executed)
    }

    fn run(
        &self,
        command: &str,
        count: Count,
        plugin: Option<String>,
        disk: Option<&Path>,
        words: &str,
    ) -> Result<Heard> {
        if let Some(disk) = disk {
            let files = workspace::root().join("rootfs");
            disk::create(disk, DISK_SIZE, &files, &self.system.applications, &[])?;
        }
        let disk = disk.map(|disk| disk::open(disk, Access::Write)).transpose()?;
        let hardware = Hardware { counts_instructions: count == Count::Instructions, plugin, ..Hardware::default() };
        let progress = Progress::spinner(&format!("measuring Motte{words}"));
        let machine = Machine::start(&self.system, &hardware, disk, Console::Sockets, Some(command))?;
        let heard = listen(machine, LIMIT, |line| progress.message(&format!("Motte{words}: {}", line.name())))
            .with_context(|| format!("`{command}` could not be run"))?;
        match &heard.ending {
            Ending::Shutdown(0) => Ok(heard),
            Ending::Shutdown(status) => {
                bail!("`{command}` ended with status {status}:\n{}", heard.output.trim_end())
            }
            Ending::Panic(text) => bail!("`{command}` made the kernel panic:\n{text}"),
            Ending::Quit => bail!("`{command}`: the machine reset itself:\n{}", heard.output.trim_end()),
            Ending::Vanished(why) => bail!("`{command}`: QEMU ended ({why})"),
        }
    }
}

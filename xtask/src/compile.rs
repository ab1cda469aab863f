//! Builds the kernel, the user programs and the boot image.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::boot_image::Builder;
use crate::process::Guarded;
use crate::progress::Progress;
use crate::workspace::{self, KERNEL_PACKAGE, Program, TARGET, Workspace};
use crate::{elf, lines, prepare};

/// How the code is optimised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// As it is published.
    #[default]
    Release,
    /// Quick to build, with all checks.
    Debug,
}

impl Profile {
    /// The directory's name under the target's.
    #[must_use]
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Debug => "debug",
        }
    }
}

/// The system, built: what a machine needs to boot, but for the commands of one run.
#[derive(Clone, Debug)]
pub struct System {
    /// The kernel's ELF file, as cargo made it.
    pub kernel: PathBuf,
    /// The boot image without a `command`.
    pub boot_image: Builder,
    /// The programs that lie in `/bin`, each with its loadable file and further names.
    pub applications: Vec<Application>,
}

impl System {
    /// Where the programs lie as cargo made them, with everything a debugger wants.
    #[must_use]
    pub fn programs(&self) -> &Path {
        self.kernel.parent().unwrap_or(&self.kernel)
    }
}

/// One program of `/bin`.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// Its loadable file.
    pub contents: Arc<[u8]>,
    /// Its further names.
    pub links: Vec<String>,
}

/// Builds everything for one system.
pub fn system(profile: Profile, manifest: &Path) -> Result<System> {
    prepare::rust_target()?;
    let workspace = Workspace::read()?;
    if !workspace.has_kernel {
        bail!("the package {KERNEL_PACKAGE} has no program {KERNEL_PACKAGE} to boot");
    }
    let directory = build(&workspace, profile)?;
    assemble(&workspace.programs, &directory, manifest)
}

/// What cargo says while it builds, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Option<MessageTarget>,
    #[serde(default)]
    message: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

/// Has cargo work on the kernel and all programs, for the machine.
pub fn select(command: &mut Command, workspace: &Workspace) {
    command.args(["--target", TARGET, "--bins", "--package", KERNEL_PACKAGE]);
    let mut features = vec![format!("{KERNEL_PACKAGE}/machine")];
    for program in &workspace.programs {
        let feature = format!("{}/program", program.package);
        if !features.contains(&feature) {
            command.args(["--package", &program.package]);
            features.push(feature);
        }
    }
    command.arg("--features").arg(features.join(","));
}

/// Runs cargo once for the kernel and all programs; returns the directory they lie in.
fn build(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command.args(["build", "--message-format=json"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    select(&mut command, workspace);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());

    let count_file = workspace::run_directory().join(format!("build-steps-{}", profile.directory()));
    let expected = fs::read_to_string(&count_file).ok().and_then(|count| count.trim().parse().ok());
    let progress = Progress::bar(expected.unwrap_or(60), "building");
    let mut cargo = Guarded::spawn(&mut command)?;
    let errors = cargo.child().stderr.take().context("cargo's standard error is not there")?;
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = BufReader::new(errors).read_to_string(&mut text);
        text
    });
    let mut diagnostics = String::new();
    let messages = cargo.child().stdout.take().context("cargo's standard output is not there")?;
    for line in BufReader::new(messages).lines() {
        let line = line.context("cargo's messages could not be read")?;
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        match message.reason.as_str() {
            "compiler-artifact" => progress.step(message.target.as_ref().map_or("", |target| &target.name)),
            "compiler-message" => {
                if let Some(Diagnostic { level, rendered: Some(rendered) }) = message.message
                    && level == "error"
                {
                    diagnostics.push_str(&rendered);
                }
            }
            _ => {}
        }
    }
    let status = cargo.wait()?;
    let errors = errors.join().unwrap_or_default();
    let steps = progress.position();
    progress.finish();
    if !status.success() {
        // Of what cargo says of its own, the names of packages it works on help nobody.
        let errors: Vec<&str> = errors.lines().filter(|line| !line.starts_with("   ")).collect();
        bail!("the system does not build:\n{diagnostics}{}", errors.join("\n"));
    }
    if expected != Some(steps) {
        let _ = fs::create_dir_all(workspace::run_directory());
        let _ = fs::write(&count_file, steps.to_string());
    }
    Ok(workspace::target_directory().join(TARGET).join(profile.directory()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} could not be read", path.display()))
}

/// Puts the built programs and the manifest into a boot image.
fn assemble(programs: &[Program], directory: &Path, manifest: &Path) -> Result<System> {
    let kernel = directory.join(KERNEL_PACKAGE);
    let mut image = Builder::new();
    let mut applications = Vec::new();
    let built = programs
        .iter()
        .map(|program| {
            let path = directory.join(&program.name);
            let contents = read(&path)?;
            let loadable: Arc<[u8]> = elf::loadable(&contents).with_context(|| format!("{}", path.display()))?.into();
            let symbols = elf::symbol_table(&contents).with_context(|| format!("{}", path.display()))?;
            let lines = lines::kept_table(&path, &contents)?;
            Ok((program, loadable, symbols, lines))
        })
        .collect::<Result<Vec<_>>>()?;
    for (program, loadable, ..) in &built {
        if program.name == "init" {
            image.add("init", loadable.clone())?;
        }
    }
    image.add("manifest", crate::manifest::read(manifest, None)?.encode())?;
    for (program, loadable, symbols, lines) in built {
        if program.name != "init" {
            image.add(&format!("programs/{}", program.name), loadable.clone())?;
        }
        image.add(&format!("symbols/{}", program.name), symbols)?;
        image.add(&format!("lines/{}", program.name), lines)?;
        if program.is_application {
            image.add(&format!("bin/{}", program.name), loadable.clone())?;
            for link in &program.links {
                image.add(&format!("bin/{link}"), loadable.clone())?;
            }
            applications.push(Application {
                name: program.name.clone(),
                contents: loadable,
                links: program.links.clone(),
            });
        }
    }
    image.add("symbols/kernel", elf::symbol_table(&read(&kernel)?)?)?;
    Ok(System { kernel, boot_image: image, applications })
}

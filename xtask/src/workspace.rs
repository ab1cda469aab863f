//! Where things are: the workspace's root, its target directory, and the programs it is made of.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The machine's target triple.
pub const TARGET: &str = "x86_64-unknown-none";

/// The kernel's package and program.
pub const KERNEL_PACKAGE: &str = "motte-kernel";

/// The workspace's root directory.
#[must_use]
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.parent().unwrap_or(here).to_owned()
    })
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Where disks, logs and the files of running machines lie.
#[must_use]
pub fn run_directory() -> PathBuf {
    target_directory().join("run")
}

/// The cargo that runs us, else the one in the path.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // Flags of the caller's environment would replace those of .cargo/config.toml, which the target needs.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// One user program of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// The program's file name.
    pub name: String,
    /// The package that holds it.
    pub package: String,
    /// Whether people run it: it then lies in `/bin`.
    pub is_application: bool,
    /// Further names in `/bin` under which it runs.
    pub links: Vec<String>,
}

/// The workspace as cargo describes it.
#[derive(Debug)]
pub struct Workspace {
    /// Every program with the required feature `program`, sorted by name.
    pub programs: Vec<Program>,
    /// Whether the kernel's program can be built yet.
    pub has_kernel: bool,
    /// Every package's name.
    pub packages: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<PackageMetadata>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    #[serde(default)]
    src_path: PathBuf,
    kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    required_features: Vec<String>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    motte: Option<MotteMetadata>,
}

/// `[package.metadata.motte]`: `links = { PROGRAM = ["NAME", ...] }`.
#[derive(Deserialize, Default)]
struct MotteMetadata {
    #[serde(default)]
    links: std::collections::BTreeMap<String, Vec<String>>,
}

impl Workspace {
    /// Asks cargo.
    pub fn read() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .context("cargo could not be started; install Rust from https://rustup.rs")?;
        if !output.status.success() {
            bail!("cargo cannot read the workspace:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Self::from_metadata(&output.stdout)
    }

    fn from_metadata(json: &[u8]) -> Result<Self> {
        let metadata: Metadata = serde_json::from_slice(json).context("cargo metadata's answer is not understood")?;
        let mut programs = Vec::new();
        let mut has_kernel = false;
        let mut packages = Vec::new();
        for package in metadata.packages {
            packages.push(package.name.clone());
            let is_application =
                package.manifest_path.strip_prefix(root()).is_ok_and(|manifest_path| manifest_path.starts_with("apps"));
            let mut links = package.metadata.and_then(|metadata| metadata.motte).unwrap_or_default().links;
            for target in package.targets {
                if !target.kind.iter().any(|kind| kind == "bin") {
                    continue;
                }
                has_kernel |= package.name == KERNEL_PACKAGE && target.name == KERNEL_PACKAGE;
                if target.required_features.iter().any(|feature| feature == "program") {
                    if !target.src_path.as_os_str().is_empty() && !target.src_path.exists() {
                        eprintln!("motte: {} does not exist; the program is left out", target.src_path.display());
                        continue;
                    }
                    let links = links.remove(&target.name).unwrap_or_default();
                    programs.push(Program { name: target.name, package: package.name.clone(), is_application, links });
                }
            }
        }
        programs.sort();
        if let Some(pair) = programs.windows(2).find(|pair| pair[0].name == pair[1].name) {
            bail!(
                "the packages {} and {} both have a program {}; rename one",
                pair[0].package,
                pair[1].package,
                pair[0].name
            );
        }
        Ok(Self { programs, has_kernel, packages })
    }
}

/// A duration as people say it: `0.4 s`, `12 s`, `3 min 5 s`.
#[must_use]
pub fn spoken(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_those_that_require_the_feature() {
        let json = format!(
            r#"{{"packages":[
              {{"name":"motte-tools","manifest_path":"{root}/apps/tools/Cargo.toml","metadata":{{"motte":{{"links":{{"tools":["ls","cat"]}}}}}},
                "targets":[{{"name":"tools","kind":["bin"],"required-features":["program"]}},{{"name":"motte_tools","kind":["lib"]}}]}},
              {{"name":"motte-fs","manifest_path":"{root}/services/fs/Cargo.toml","metadata":null,
                "targets":[{{"name":"fs","kind":["bin"],"required-features":["program"]}}]}},
              {{"name":"xtask","manifest_path":"{root}/xtask/Cargo.toml","metadata":null,"targets":[{{"name":"xtask","kind":["bin"]}}]}},
              {{"name":"motte-kernel","manifest_path":"{root}/kernel/Cargo.toml","metadata":null,
                "targets":[{{"name":"motte-kernel","kind":["bin"],"required-features":["machine"]}}]}}]}}"#,
            root = root().display()
        );
        let workspace = Workspace::from_metadata(json.as_bytes()).unwrap();
        assert!(workspace.has_kernel);
        let names: Vec<_> = workspace.programs.iter().map(|program| program.name.as_str()).collect();
        assert_eq!(names, ["fs", "tools"]);
        assert!(!workspace.programs[0].is_application);
        assert!(workspace.programs[1].is_application);
        assert_eq!(workspace.programs[1].links, ["ls", "cat"]);
    }

    #[test]
    fn two_programs_of_one_name_are_refused() {
        let package = |name: &str| {
            format!(
                r#"{{"name":"{name}","manifest_path":"/x/Cargo.toml","metadata":null,
                "targets":[{{"name":"same","kind":["bin"],"required-features":["program"]}}]}}"#
            )
        };
        let json = format!(r#"{{"packages":[{},{}]}}"#, package("a"), package("b"));
        let error = Workspace::from_metadata(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "the packages a and b both have a program same; rename one");
    }
}

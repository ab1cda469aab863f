//! `cargo xtask new service NAME`: writes a service that builds and runs, to be filled with what it is for.
//!
//! Three things are the service: the trait in `lib/interfaces`, `main.rs`, and the stanza in the manifest. Around them lies
//! what cargo wants: a package, and its place in the workspace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// The longest name: it is a program's in the boot image, behind `programs/`.
const LONGEST_NAME: usize = 32;

/// The names a service goes by.
struct Names {
    /// As a person and the manifest write it: `address-book`.
    plain: String,
    /// As a module: `address_book`.
    module: String,
    /// As a type: `AddressBook`.
    type_name: String,
}

impl Names {
    fn new(name: &str) -> Result<Self> {
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.chars().all(|character| character.is_ascii_lowercase() || character.is_ascii_digit())
        };
        ensure!(
            name.split('-').all(is_word) && name.len() <= LONGEST_NAME,
            "`{name}` cannot name a service; a name is of small letters, digits and single hyphens, like address-book"
        );
        let module = name.replace('-', "_");
        ensure!(
            syn::parse_str::<syn::Ident>(&module).is_ok(),
            "`{name}` cannot name a service: it is a word of the language"
        );
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let type_name = name.split('-').map(capital).collect();
        Ok(Self { plain: name.to_owned(), module, type_name })
    }

    fn fill(&self, template: &str) -> String {
        template.replace("{name}", &self.plain).replace("{module}", &self.module).replace("{Type}", &self.type_name)
    }
}

const TRAIT: &str = r#"//! What the service `{name}` offers.

use crate::error::IoError;
use crate::interface;

/// Counts, until it is given something better to do.
#[interface("{name}")]
pub trait {Type} {
    /// Adds to the count and returns it.
    fn add(&self, amount: u64) -> Result<u64, IoError>;
    /// The count. Harmless to repeat, so clients do when the service was restarted meanwhile.
    #[idempotent]
    fn count(&self) -> Result<u64, IoError>;
}
"#;

const MAIN: &str = r#"//! The service `{name}` as a component.
#![no_std]
#![no_main]

use motte::abi::Error;
use motte::interfaces::{{module}::{{Type}, dispatch_{module}}, error::IoError};
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::server::{Handler, Server};

motte::entry!(main);

/// What the service keeps between requests.
#[derive(Default)]
struct Service {
    count: u64,
}

impl {Type} for Service {
    fn add(&mut self, _sender: &Sender, amount: u64) -> Result<u64, IoError> {
        self.count = self.count.saturating_add(amount);
        Ok(self.count)
    }

    fn count(&mut self, _sender: &Sender) -> Result<u64, IoError> {
        Ok(self.count)
    }
}

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_{module}(self, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("{name}")?;
    Err(server.run(&mut Service::default()))
}
"#;

const PACKAGE: &str = r#"[package]
name = "motte-{name}"
version.workspace = true
edition.workspace = true
license.workspace = true

[lints]
workspace = true

[[bin]]
name = "{name}"
path = "src/main.rs"
required-features = ["program"]
test = false
bench = false

[features]
program = ["dep:motte"]

[dependencies]
motte = { workspace = true, optional = true }
"#;

const BUILD: &str = r#"//! Links the program as lib/motte says.

fn main() {
    println!("cargo::rerun-if-env-changed=DEP_MOTTE_LINKER_SCRIPT");
    if let Ok(script) = std::env::var("DEP_MOTTE_LINKER_SCRIPT") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}
"#;

const STANZA: &str = r#"
[component.{name}]
priority = 110
memory = "512KiB"
provides = ["{name}"]
optional_uses = ["log"]
restart = "always"
"#;

/// Writes the service `name` into the project at `root`. Writes nothing when anything of it is there already.
pub fn write(root: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let names = Names::new(name)?;
    let interface = root.join("lib/interfaces/src").join(format!("{}.rs", names.module));
    let folder = root.join("services").join(&names.plain);
    let system = root.join("system/default.toml");
    let manifest = read(&system)?;
    for taken in [&interface, &folder, &root.join("drivers").join(&names.plain)] {
        ensure!(!taken.exists(), "{} exists; choose another name", taken.display());
    }
    ensure!(
        !manifest.contains(&format!("[component.{}]", names.plain)),
        "{} has a component {name}; choose another name",
        system.display()
    );
    let workspace = root.join("Cargo.toml");
    let interfaces = root.join("lib/interfaces/src/lib.rs");
    let new_workspace = with_member(&read(&workspace)?, &format!("services/{}", names.plain))?;
    let new_interfaces = with_module(&read(&interfaces)?, &names.module)?;

    let files = [
        (interface, names.fill(TRAIT)),
        (folder.join("src/main.rs"), names.fill(MAIN)),
        (system, manifest + &names.fill(STANZA)),
        (folder.join("Cargo.toml"), names.fill(PACKAGE)),
        (folder.join("build.rs"), BUILD.to_owned()),
        (workspace, new_workspace),
        (interfaces, new_interfaces),
    ];
    fs::create_dir_all(folder.join("src"))?;
    for (file, text) in &files {
        fs::write(file, text).with_context(|| format!("{} could not be written", file.display()))?;
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} could not be read", file.display()))
}

/// The workspace's manifest with one more member, behind the other services.
fn with_member(text: &str, member: &str) -> Result<String> {
    let last = text.rfind("\"services/").context("Cargo.toml names no service among its members")?;
    let Some(end) = text[last + 1..].find('"').map(|at| last + 1 + at + 1) else {
        bail!("Cargo.toml is not understood");
    };
    Ok(format!("{}, \"{member}\"{}", &text[..end], &text[end..]))
}

/// The interfaces' list of modules with one more, in its place.
fn with_module(text: &str, module: &str) -> Result<String> {
    let line = format!("pub mod {module};");
    let mut lines: Vec<&str> = text.lines().collect();
    let modules = |line: &&str| line.starts_with("pub mod ") && line.ends_with(';');
    let first = lines.iter().position(modules).context("lib/interfaces names no module")?;
    let count = lines[first..].iter().take_while(|line| modules(line)).count();
    let place = lines[first..first + count].iter().position(|other| *other > line.as_str()).unwrap_or(count);
    lines.insert(first + place, &line);
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("motte-new-{}-{:?}", std::process::id(), std::thread::current().id()));
        for folder in ["lib/interfaces/src", "services", "system"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\n    \"services/fs\",\n    \"xtask\",\n]\n")
            .unwrap();
        fs::write(
            root.join("lib/interfaces/src/lib.rs"),
            "//! Interfaces.\n\npub mod clock;\npub mod fs;\n\nmod call;\n",
        )
        .unwrap();
        fs::write(root.join("system/default.toml"), "[component.fs]\n").unwrap();
        root
    }

    #[test]
    fn a_service_is_written_with_its_place_in_the_project() {
        let root = project();
        let files = write(&root, "address-book").unwrap();
        assert_eq!(files.len(), 7);
        let text = |file: &str| fs::read_to_string(root.join(file)).unwrap();
        assert!(text("lib/interfaces/src/address_book.rs").contains("pub trait AddressBook {"));
        assert!(text("lib/interfaces/src/lib.rs").contains("\npub mod address_book;\npub mod clock;\n"));
        assert!(text("services/address-book/src/main.rs").contains("dispatch_address_book(self,"));
        assert!(text("services/address-book/Cargo.toml").contains("name = \"motte-address-book\""));
        assert!(text("system/default.toml").ends_with("restart = \"always\"\n"));
        assert!(text("Cargo.toml").contains("\"services/fs\", \"services/address-book\",\n"));
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
        }
        let error = write(&root, "address-book").unwrap_err().to_string();
        assert!(error.ends_with("address_book.rs exists; choose another name"), "{error}");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let root = project();
        for name in ["", "-", "a--b", "Upper", "1st", "a_b", "../x", "fn", &"x".repeat(LONGEST_NAME + 1)] {
            assert!(write(&root, name).is_err(), "{name}");
        }
        assert!(write(&root, "fs").unwrap_err().to_string().contains("has a component fs"));
        fs::remove_dir_all(root).unwrap();
    }
}

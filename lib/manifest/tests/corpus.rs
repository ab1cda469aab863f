//! The wrong manifests in `tests/manifests`, each with the exact message it must get.
//!
//! `NAME.toml` is compiled; what the compiler says must be `NAME.expected`, byte for byte. With
//! `MOTTE_BLESS=1` in the environment the expectations are written instead of compared: read the
//! difference before you commit it. A first line `# programs: a b` names the programs that exist.
//! Folders beside them hold what they include.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use motte_manifest::Compiler;

/// The path as it stands in the messages, whatever the folder the test runs in.
const SHOWN: &str = "tests/manifests";

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn names(extension: &str) -> BTreeSet<String> {
    fs::read_dir(root().join(SHOWN))
        .expect("the corpus exists")
        .map(|entry| entry.expect("the corpus can be read").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().expect("names are ASCII").to_owned())
        .collect()
}

/// What the compiler says about one manifest of the corpus, and whether it found a mistake.
fn verdict(name: &str) -> (String, bool) {
    let shown = format!("{SHOWN}/{name}.toml");
    let text = fs::read_to_string(root().join(&shown)).expect("the manifest can be read");
    let mut compiler = Compiler::new().read_by(|path| fs::read_to_string(root().join(path)));
    if let Some(programs) = text.lines().next().and_then(|line| line.strip_prefix("# programs: ")) {
        compiler = compiler.programs(programs.split_whitespace());
    }
    match compiler.compile(&shown) {
        Err(errors) => (errors.to_string(), true),
        Ok(compiled) => {
            let warnings: Vec<_> = compiled.warnings.iter().map(ToString::to_string).collect();
            (warnings.join("\n"), false)
        }
    }
}

#[test]
fn every_wrong_manifest_gets_exactly_its_message() {
    let bless = std::env::var_os("MOTTE_BLESS").is_some_and(|value| value == "1");
    let mut failures = Vec::new();
    for name in names("toml") {
        let (said, _) = verdict(&name);
        let file = root().join(SHOWN).join(format!("{name}.expected"));
        if bless {
            fs::write(&file, &said).expect("the expectation can be written");
            continue;
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if said != expected {
            failures.push(format!("{name}.toml: expected\n{expected}\nbut the compiler said\n{said}"));
        }
    }
    assert!(failures.is_empty(), "{}\n(MOTTE_BLESS=1 accepts what is said now)", failures.join("\n"));
}

#[test]
fn every_message_names_a_file_a_line_and_a_column() {
    for name in names("toml") {
        let (said, _) = verdict(&name);
        assert!(said.contains(&format!("--> {SHOWN}/")), "{name}.toml: {said}");
    }
}

#[test]
fn manifests_named_warning_compile_and_all_others_do_not() {
    for name in names("toml") {
        assert_eq!(verdict(&name).1, !name.starts_with("warning-"), "{name}.toml");
    }
}

#[test]
fn no_expectation_is_left_without_its_manifest() {
    assert_eq!(names("toml"), names("expected"));
    assert!(names("toml").len() >= 30);
}

//! Plays every session under `tests/scenarios/`; each is a test named after its file.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use motte_tests::scenario::Scenario;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = match fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            eprintln!("{} could not be read: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let trials = files
        .into_iter()
        .map(|file| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Trial::test(name, move || {
                let text = fs::read_to_string(&file)?;
                let play = || Scenario::parse(&text)?.play();
                play().map_err(|error| format!("{}: {error:#}", file.display()).into())
            })
        })
        .collect();
    let mut arguments = Arguments::from_args();
    // A machine keeps a processor busy; more than two at once only slow each other down.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, trials).exit_code()
}

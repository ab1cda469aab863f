//! Short forms of `cargo xtask campaign`: the same faults every time, few enough for every day.

use xtask::campaign::fault::FaultType;
use xtask::campaign::outcome::Results;
use xtask::campaign::{self, Options};

/// Who has the disk's contents in hand. Damaged itself, it may damage them.
const DISK: [&str; 2] = ["fs", "virtio-blk"];
/// The others.
const OTHERS: [&str; 14] = [
    "clock",
    "console",
    "dashboard",
    "fault-log",
    "guardian",
    "httpd",
    "log",
    "net",
    "pci",
    "pipe",
    "process",
    "registry",
    "shell",
    "supervisor",
];

fn campaign(faults: u64, seed: u64, components: &[&str]) -> Results {
    let components = components.iter().map(|&name| name.to_owned()).collect();
    let results = campaign::results(&Options { faults, seed, jobs: 2, components, ..Options::default() }).unwrap();
    let total = results.total();
    assert!(total.injected + results.skipped >= faults, "{total:?}");
    assert!(results.files > 0);
    assert!(total.manifested >= faults / 5, "only {} faults showed", total.manifested);
    let failures: Vec<String> = results.failures().map(|failure| format!("{failure:?}")).collect();
    let failures = failures.join("\n");
    assert_eq!(total.kernel_panics, 0, "{failures}");
    assert!(total.recovered * 4 >= total.manifested, "{total:?}\n{failures}");
    results
}

#[test]
fn faults_in_components_are_contained() {
    let results = campaign(150, 1, &OTHERS);
    let failures: Vec<_> = results.failures().collect();
    assert_eq!(results.total().data_errors, 0, "{failures:?}");
    assert!(results.damaged_file_systems.is_empty(), "{:?}", results.damaged_file_systems);
}

#[test]
fn faults_in_what_serves_the_disk_are_contained() {
    campaign(50, 1, &DISK);
}

#[test]
fn a_request_that_its_server_forgets_is_repeated_or_an_error() {
    let components = ["clock", "process", "registry"].map(str::to_owned).to_vec();
    let types = vec![FaultType::ReplyLost];
    let options = Options { faults: 4, seed: 3, components, types, ..Options::default() };
    let results = campaign::results(&options).unwrap();
    let failures: Vec<_> = results.failures().collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(results.total().manifested > 0, "every request was answered");
}

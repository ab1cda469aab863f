//! Short forms of `cargo xtask campaign`: the same faults every time, few enough for every day.

use xtask::campaign::fault::FaultType;
use xtask::campaign::{self, Options};

/// How many faults there are.
const FAULTS: u64 = 200;

#[test]
fn faults_in_components_are_contained() {
    let options = Options { faults: FAULTS, seed: 2, jobs: 2, any_site: true, ..Options::default() };
    let results = campaign::results(&options).unwrap();
    let total = results.total();
    let failures: Vec<String> = results.failures().map(|failure| format!("{failure:?}")).collect();
    let failures = failures.join("\n");
    assert!(total.injected + results.skipped >= FAULTS, "{total:?}");
    assert_eq!((total.kernel_panics, total.data_errors), (0, 0), "{failures}");
    assert!(results.damaged_file_systems.is_empty(), "{:?}", results.damaged_file_systems);
    assert!(results.files > 0);
    assert!(total.manifested >= FAULTS / 5, "only {} faults showed", total.manifested);
    assert!(total.recovered * 4 >= total.manifested, "{total:?}\n{failures}");
}

#[test]
fn a_request_that_its_server_forgets_is_repeated_or_an_error() {
    let components = ["clock", "console", "pipe", "process", "registry"].map(str::to_owned).to_vec();
    let types = vec![FaultType::ReplyLost];
    let options = Options { faults: 8, seed: 3, components, types, ..Options::default() };
    let results = campaign::results(&options).unwrap();
    let failures: Vec<_> = results.failures().collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(results.total().manifested > 0, "every request was answered");
}

//! The short form of `cargo xtask campaign`: the same faults every time, few enough for every day.

use xtask::campaign::{self, Options};

/// How many faults there are.
const FAULTS: u64 = 40;

#[test]
fn faults_in_components_are_contained() {
    let options = Options { faults: FAULTS, seed: 1, jobs: 2, ..Options::default() };
    let results = campaign::results(&options).unwrap();
    let total = results.total();
    let failures: Vec<String> = results.failures().map(|failure| format!("{failure:?}")).collect();
    let failures = failures.join("\n");
    assert!(total.injected + results.skipped >= FAULTS, "{total:?}");
    assert_eq!(total.kernel_panics, 0, "{failures}");
    assert!(results.damaged_file_systems.is_empty(), "{:?}", results.damaged_file_systems);
    assert!(results.files > 0);
    assert!(total.manifested >= FAULTS / 5, "only {} faults showed", total.manifested);
    assert!(total.recovered * 4 >= total.manifested, "{total:?}\n{failures}");
}

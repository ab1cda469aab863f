//! Costs as tests: instruction counts are the same on every host, and so what an operation costs can be compared with what it was
//! accepted to cost.

use xtask::bench::Count;
use xtask::bench::limits::{FILE, Limits};
use xtask::bench::motte::Motte;
use xtask::bench::operations::{Group, OPERATIONS};
use xtask::bench::protocol::Measurements;
use xtask::prepare::{self, Tool};

#[test]
fn no_message_or_kernel_call_costs_more_than_was_accepted() {
    let groups = [Group::Ipc, Group::Kernel];
    prepare::tools(&[Tool::Qemu]).unwrap();
    let motte = Motte::prepare().unwrap();
    let mut measured = Measurements::default();
    for group in groups {
        measured.extend(motte.measure(&[group.name()], Count::Instructions, None).unwrap());
    }
    for operation in OPERATIONS {
        let is_due = Group::of(operation.name).is_some_and(|group| groups.contains(&group));
        assert!(!is_due || measured.figures.contains_key(operation.name), "{} was not measured", operation.name);
    }
    let violations = Limits::read().unwrap().violations(&measured.figures);
    assert!(
        violations.is_empty(),
        "{}\nif that is meant to be, type `cargo xtask bench --accept ipc kernel`; the commit that changes {FILE} says why",
        violations.join("\n")
    );
}

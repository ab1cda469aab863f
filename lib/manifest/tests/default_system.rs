//! The manifests of the system that is built: without mistakes, without warnings, and with what the
//! services rely on.

use motte_manifest::{Access, Compiled, Grant, Manifest, PortRange, Start, compile};

fn default_system() -> Compiled {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../system/default.toml");
    compile(path).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn it_compiles_without_a_warning_and_survives_the_image() {
    let compiled = default_system();
    let warnings: Vec<_> = compiled.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.is_empty(), "{}", warnings.join("\n"));
    assert_eq!(Manifest::decode(&compiled.manifest.encode()), Ok(compiled.manifest));
}

#[test]
fn it_has_every_service_the_system_is_built_from() {
    let manifest = default_system().manifest;
    for name in ["registry", "supervisor", "log", "console", "pci", "block", "clock", "fs", "pipe", "process"] {
        assert!(manifest.service(name).is_some(), "{name}");
    }
}

#[test]
fn drivers_start_before_the_file_system_and_the_shell_starts_last() {
    let manifest = default_system().manifest;
    let order = manifest.boot_order();
    let place = |name: &str| {
        let (index, _) = manifest.component(name).unwrap();
        order.iter().position(|&at| at == index).unwrap()
    };
    assert!(place("pci") < place("virtio-blk"));
    assert!(place("virtio-blk") < place("fs"));
    assert!(place("fs") < place("process"));
    assert_eq!(place("shell"), order.len() - 1);
    assert_eq!(order.len(), manifest.components.iter().filter(|c| c.start == Start::Boot).count());
}

#[test]
fn only_the_supervisor_supervises() {
    let manifest = default_system().manifest;
    let holders: Vec<_> =
        manifest.components.iter().filter(|c| c.has(Grant::Supervise)).map(|c| c.name.as_str()).collect();
    assert_eq!(holders, ["supervisor"]);
}

#[test]
fn the_console_has_both_serial_lines() {
    let manifest = default_system().manifest;
    let (_, console) = manifest.component("console").unwrap();
    assert_eq!(console.ports, [PortRange { first: 0x3f8, last: 0x3ff }, PortRange { first: 0x2f8, last: 0x2ff }]);
    assert_eq!(console.irqs, [4, 3]);
}

#[test]
fn the_directory_client_may_use_two_names_and_the_third_does_not_exist() {
    let manifest = default_system().manifest;
    let (client, _) = manifest.component("directory-client").unwrap();
    assert!(matches!(manifest.access(client, "file"), Access::Allowed(_)));
    assert!(matches!(manifest.access(client, "network"), Access::Allowed(_)));
    assert!(matches!(manifest.access(client, "block"), Access::Denied(_)));
    assert_eq!(manifest.access(client, "printer"), Access::Unknown);
}

#[test]
fn the_picture_shows_every_component_and_is_well_formed() {
    let manifest = default_system().manifest;
    let svg = motte_manifest::graph::svg(&manifest);
    for component in &manifest.components {
        assert!(svg.contains(&format!(">{}<", component.name)), "{}", component.name);
    }
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
}

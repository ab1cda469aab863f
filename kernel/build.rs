//! Gives the linker the kernel's memory layout when the executable for a machine is built.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    let bare = std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none");
    if bare && std::env::var_os("CARGO_FEATURE_MACHINE").is_some() {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
        println!("cargo:rustc-link-arg-bins=-T{folder}/link.ld");
    }
}

//! Tells the build scripts of programs where the linker script lies: they read `DEP_MOTTE_LINKER_SCRIPT`, which is set
//! only when the program is built for Motte.

fn main() {
    println!("cargo::rerun-if-changed=program.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's directory");
        println!("cargo::metadata=LINKER_SCRIPT={directory}/program.ld");
    }
}

//! Links the program as lib/motte says.

fn main() {
    println!("cargo::rerun-if-env-changed=DEP_MOTTE_LINKER_SCRIPT");
    if let Ok(script) = std::env::var("DEP_MOTTE_LINKER_SCRIPT") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}

//! Draws a manifest: `cargo run -p motte-manifest --features compiler --example graph -- system/default.toml > x.svg`.

fn main() -> std::process::ExitCode {
    let path = std::env::args().nth(1).unwrap_or_else(|| "system/default.toml".to_owned());
    match motte_manifest::compile(&path) {
        Ok(compiled) => {
            compiled.warnings.iter().for_each(|warning| eprintln!("{warning}"));
            print!("{}", motte_manifest::graph::svg(&compiled.manifest));
            std::process::ExitCode::SUCCESS
        }
        Err(errors) => {
            eprint!("{errors}");
            std::process::ExitCode::FAILURE
        }
    }
}

//! The system manifest on its way into the boot image and into a picture.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use motte_manifest::{Compiled, Compiler, Manifest};

use crate::workspace;

/// The manifest of the default system.
#[must_use]
pub fn default_path() -> PathBuf {
    workspace::root().join("system/default.toml")
}

/// Compiles a manifest; `programs`, when given, are those that components may name.
pub fn read(path: &Path, programs: Option<&[&str]>) -> Result<Manifest> {
    let mut compiler = Compiler::new();
    if let Some(programs) = programs {
        compiler = compiler.programs(programs.iter().copied());
    }
    // Messages name the file as a person would from where they are.
    let shown = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    match compiler.compile(&shown.to_string_lossy()) {
        Ok(Compiled { manifest, warnings }) => {
            for warning in warnings {
                eprintln!("{warning}");
            }
            Ok(manifest)
        }
        Err(diagnostics) => bail!("the system manifest is wrong:\n{diagnostics}"),
    }
}

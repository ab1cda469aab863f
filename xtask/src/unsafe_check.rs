//! The one check of where `unsafe` may occur: every Rust file of the project is parsed, and each use of `unsafe` must lie in a
//! file that `xtask/unsafe-allowed.toml` lists.
//!
//! The list names folders and files with the reason why they may. An entry that nothing needs any more is an error as
//! well: the list is to stay short.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use proc_macro2::Span;
use serde::Deserialize;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::workspace;

/// Where the list is, from the root.
const LIST: &str = "xtask/unsafe-allowed.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// Path from the root (a file, or a folder with all in it) to the reason.
    allowed: BTreeMap<String, String>,
    /// Folders with the code of others, which this check leaves out, to the reason.
    #[serde(default)]
    vendored: BTreeMap<String, String>,
}

/// What was found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    lines: Vec<usize>,
}

impl Found {
    fn note(&mut self, span: Span) {
        self.lines.push(span.start().line);
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_expr_unsafe(&mut self, node: &'ast syn::ExprUnsafe) {
        self.note(node.unsafe_token.span());
        visit::visit_expr_unsafe(self, node);
    }

    fn visit_signature(&mut self, node: &'ast syn::Signature) {
        if let Some(token) = &node.unsafety {
            self.note(token.span());
        }
        visit::visit_signature(self, node);
    }

    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        if let Some(token) = &node.unsafety {
            self.note(token.span());
        }
        visit::visit_item_impl(self, node);
    }

    fn visit_item_trait(&mut self, node: &'ast syn::ItemTrait) {
        if let Some(token) = &node.unsafety {
            self.note(token.span());
        }
        visit::visit_item_trait(self, node);
    }

    fn visit_item_foreign_mod(&mut self, node: &'ast syn::ItemForeignMod) {
        if let Some(token) = &node.unsafety {
            self.note(token.span());
        }
        visit::visit_item_foreign_mod(self, node);
    }

    fn visit_attribute(&mut self, node: &'ast syn::Attribute) {
        // `#[unsafe(no_mangle)]`
        if node.path().is_ident("unsafe") {
            self.note(node.path().span());
        }
        visit::visit_attribute(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        // A macro's arguments are no syntax tree: any `unsafe` among them counts.
        note_tokens(self, node.tokens.clone());
        visit::visit_macro(self, node);
    }
}

fn note_tokens(found: &mut Found, tokens: proc_macro2::TokenStream) {
    for token in tokens {
        match token {
            proc_macro2::TokenTree::Ident(name) if name == "unsafe" => found.note(name.span()),
            proc_macro2::TokenTree::Group(group) => note_tokens(found, group.stream()),
            _ => {}
        }
    }
}

fn find(text: &str) -> syn::Result<Vec<usize>> {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(text)?);
    found.lines.sort_unstable();
    found.lines.dedup();
    Ok(found.lines)
}

/// Every Rust file under `directory`, but for what cargo built.
pub fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("{} could not be read", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.starts_with('.') {
                rust_files(&path, files)?;
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

/// Runs the check over the project; prints what it found.
pub fn check() -> Result<()> {
    let text = fs::read_to_string(workspace::root().join(LIST)).with_context(|| format!("{LIST} could not be read"))?;
    let list: List = toml::from_str(&text).with_context(|| format!("{LIST} is not understood"))?;
    let mut files = Vec::new();
    rust_files(workspace::root(), &mut files)?;
    let report = judge(&list, workspace::root(), &files)?;
    print!("{report}");
    Ok(())
}

/// The report, or the error that says what is wrong.
fn judge(list: &List, root: &Path, files: &[PathBuf]) -> Result<String> {
    let mut uses: BTreeMap<&str, (usize, usize)> = list.allowed.keys().map(|entry| (entry.as_str(), (0, 0))).collect();
    let mut forbidden = String::new();
    let mut checked = 0;
    for file in files {
        let path = file.strip_prefix(root).unwrap_or(file);
        if list.vendored.keys().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let text = fs::read_to_string(file).with_context(|| format!("{} could not be read", path.display()))?;
        checked += 1;
        let lines = match find(&text) {
            Ok(lines) => lines,
            // Not every file is a program on its own: the examples of wrong code that macros are tested with, for one.
            Err(_) if path.components().any(|part| part.as_os_str() == "tests") => continue,
            Err(error) => bail!("{}:{}: {error}", path.display(), error.span().start().line),
        };
        if lines.is_empty() {
            continue;
        }
        // The longest entry that covers the file answers for it.
        let entry = list.allowed.keys().filter(|entry| path.starts_with(entry)).max_by_key(|entry| entry.len());
        match entry.and_then(|entry| uses.get_mut(entry.as_str())) {
            Some((files, count)) => {
                *files += 1;
                *count += lines.len();
            }
            None => {
                for line in lines {
                    forbidden += &format!("{}:{line}: unsafe may not occur here\n", path.display());
                }
            }
        }
    }
    if !forbidden.is_empty() {
        bail!("{forbidden}{LIST} lists where it may; the rest of the project does without");
    }
    let needless: Vec<&str> = uses.iter().filter(|(_, (files, _))| *files == 0).map(|(entry, _)| *entry).collect();
    if !needless.is_empty() {
        bail!("{LIST} allows unsafe in {}, which has none; remove it there", needless.join(", "));
    }
    let mut report = String::new();
    for (entry, (files, count)) in uses {
        report += &format!(
            "{entry}: {count} in {files} file{}: {}\n",
            if files == 1 { "" } else { "s" },
            list.allowed[entry]
        );
    }
    for (folder, reason) in &list.vendored {
        report += &format!("{folder}: left out: {reason}\n");
    }
    report += &format!("{checked} files checked, no other unsafe\n");
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_unsafe_is_found() {
        let text = "fn a() { unsafe { b() } }\n\
                    unsafe fn b() {}\n\
                    unsafe impl Send for X {}\n\
                    unsafe trait T {}\n\
                    unsafe extern \"C\" { fn c(); }\n\
                    #[unsafe(no_mangle)] fn d() {}\n\
                    macro_rules! m { () => { unsafe { b() } } }\n\
                    mod n { struct X; impl X { unsafe fn e() {} } }\n\
                    trait U { unsafe fn f(); }\n";
        assert_eq!(find(text).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn the_word_in_comments_strings_and_attributes_of_lints_does_not_count() {
        let text = "#![deny(unsafe_code)]\n//! unsafe\nfn a() { let _ = \"unsafe { }\"; /* unsafe */ }\n";
        assert_eq!(find(text).unwrap(), [0_usize; 0]);
    }

    fn list(allowed: &[&str]) -> List {
        List {
            allowed: allowed.iter().map(|entry| ((*entry).to_owned(), "ports".to_owned())).collect(),
            vendored: BTreeMap::new(),
        }
    }

    #[test]
    fn unsafe_elsewhere_fails_and_so_does_an_entry_without() {
        let directory = std::env::temp_dir().join(format!("motte-unsafe-{}", std::process::id()));
        fs::create_dir_all(directory.join("kernel/arch")).unwrap();
        fs::write(directory.join("kernel/arch/port.rs"), "fn a() { unsafe { b() } }").unwrap();
        fs::write(directory.join("kernel/logic.rs"), "fn a() {}").unwrap();
        let mut files = Vec::new();
        rust_files(&directory, &mut files).unwrap();
        let report = judge(&list(&["kernel/arch"]), &directory, &files).unwrap();
        assert_eq!(report, "kernel/arch: 1 in 1 file: ports\n2 files checked, no other unsafe\n");
        let error = judge(&list(&[]), &directory, &files).unwrap_err().to_string();
        assert!(error.starts_with("kernel/arch/port.rs:1: unsafe may not occur here"), "{error}");
        let error = judge(&list(&["kernel/arch", "lib"]), &directory, &files).unwrap_err().to_string();
        assert!(error.contains("allows unsafe in lib, which has none"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }
}

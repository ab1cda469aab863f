//! From `system/*.toml` to a [`Manifest`], with a message at file, line and column for every mistake.
//!
//! The work goes in three steps, each of which finds as many mistakes as it can before the next starts:
//! reading the files with all they include (here), reading each component's keys (`read`), and looking at
//! how the components fit together (`check`). A file that is not TOML says so, and what it would have
//! defined is not missed in the later steps.

mod check;
mod diagnostic;
mod read;
mod source;
mod value;

use std::collections::BTreeSet;
use std::io;

use toml_span::value::Table;
use toml_span::{ErrorKind, Value};

pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};
use read::{Draft, in_order, type_name};
use source::{At, Finding, Findings, Spanned};

use crate::model::Manifest;

/// The memory of the smallest machine, where the manifest does not say: 32 MiB.
pub const DEFAULT_MEMORY: u64 = 32 << 20;

/// What a run without mistakes gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The manifest.
    pub manifest: Manifest,
    /// What is probably not meant so.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles the manifest in the file `path`, with the files it includes.
///
/// # Errors
/// Everything that is wrong with it.
pub fn compile(path: &str) -> Result<Compiled, Diagnostics> {
    Compiler::new().compile(path)
}

/// How the compiler reads a file: from its name to its text.
type ReadFile<'a> = Box<dyn FnMut(&str) -> io::Result<String> + 'a>;

/// The compiler and what it is told beforehand.
pub struct Compiler<'a> {
    programs: Option<BTreeSet<String>>,
    read: ReadFile<'a>,
}

impl Default for Compiler<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Compiler<'a> {
    /// A compiler that reads files from the file system and takes every program's name as good.
    #[must_use]
    pub fn new() -> Self {
        Compiler { programs: None, read: Box::new(|path| std::fs::read_to_string(path)) }
    }

    /// Names the programs there are: a component with another one is a mistake.
    #[must_use]
    pub fn programs<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.programs = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Has files read by `read`, which gets the path as it will stand in messages.
    #[must_use]
    pub fn read_by(mut self, read: impl FnMut(&str) -> io::Result<String> + 'a) -> Self {
        self.read = Box::new(read);
        self
    }

    /// Compiles the manifest in the file `path`, with the files it includes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&mut self, path: &str) -> Result<Compiled, Diagnostics> {
        let mut findings = Findings::default();
        let mut system = System::default();
        match (self.read)(path) {
            Ok(text) => {
                let file = findings.add_file(path.to_owned(), text);
                self.file(&mut findings, &mut system, file, &mut Vec::new());
                if findings.text(file).trim().is_empty() || system.understood {
                    system.require(&mut findings, file);
                }
            }
            Err(error) => findings.push(Finding::nowhere(format!("the manifest `{path}` cannot be read: {error}"))),
        }
        let manifest = check::resolve(&mut findings, system, self.programs.as_ref());
        let failed = findings.has_errors();
        let found = findings.finish();
        match manifest {
            Some(manifest) if !failed => Ok(Compiled { manifest, warnings: found }),
            _ => Err(Diagnostics(found)),
        }
    }

    /// Reads one file and, before its own components, those it includes. `open` are the files between
    /// the first one and this.
    fn file(&mut self, findings: &mut Findings, system: &mut System, file: usize, open: &mut Vec<usize>) {
        // The parsed values borrow from the text, and findings are added meanwhile.
        let text = findings.text(file).to_owned();
        let mut root = match toml_span::parse(&text) {
            Ok(root) => root,
            Err(error) => {
                system.understood = false;
                return findings.push(syntax(file, &error));
            }
        };
        let root = root.take();
        let Some(root) = root.as_table() else { return };
        open.push(file);
        // Each file does without components of those that it includes itself.
        let without = std::mem::take(&mut system.without);
        for (key, value) in in_order(root) {
            let at = At::new(file, key.span);
            match (&*key.name, value.as_table()) {
                ("system", Some(table)) => self.system_table(findings, system, (file, at), table, open),
                ("component", Some(_)) => {}
                ("system" | "component", None) => findings.push(
                    Finding::error(at, format!("`{}` must be a table, not {}", key.name, type_name(value)))
                        .help("write `[system]` and `[component.NAME]`"),
                ),
                (name, table) => {
                    let what = if table.is_some() { "table" } else { "key" };
                    findings.push(
                        Finding::error(at, format!("a manifest has no {what} `{name}`"))
                            .did_you_mean(name, ["system", "component"])
                            .help("a manifest consists of `[system]` and of one `[component.NAME]` for each component"),
                    );
                }
            }
        }
        open.pop();
        system.leave_out(findings);
        system.without = without;
        let Some(components) = root.get("component").and_then(Value::as_table) else { return };
        for (key, value) in in_order(components) {
            let at = At::new(file, key.span);
            let Some(table) = value.as_table() else {
                findings.push(
                    Finding::error(at, format!("component `{}` must be a table, not {}", key.name, type_name(value)))
                        .help("write `[component.NAME]`, and the component's keys below it"),
                );
                continue;
            };
            let draft = read::component(findings, file, &key.name, at, table);
            match system.drafts.iter().find(|first| first.component.name == *key.name) {
                Some(first) => findings.push(
                    Finding::error(at, format!("component `{}` is defined twice", key.name))
                        .see("it is defined first here", first.at),
                ),
                None => system.drafts.push(draft),
            }
        }
    }

    fn system_table(
        &mut self,
        findings: &mut Findings,
        system: &mut System,
        (file, table_at): (usize, At),
        table: &Table<'_>,
        open: &mut Vec<usize>,
    ) {
        system.at.get_or_insert(table_at);
        for (key, value) in in_order(table) {
            let at = At::new(file, value.span);
            let wrong_type = |wanted: &str| {
                Finding::error(at, format!("`{}` of the system must be {wanted}, not {}", key.name, type_name(value)))
            };
            match &*key.name {
                "name" => match value.as_str() {
                    Some(name) => {
                        if let Err(wrong) = value::name("system", name) {
                            findings.push(Finding::error(at, wrong.message).label(wrong.label));
                        }
                        system.name.get_or_insert_with(|| name.to_owned());
                    }
                    None => {
                        system.name.get_or_insert_with(String::new);
                        findings.push(wrong_type("a string"));
                    }
                },
                "memory" => match value.as_str().map(value::size) {
                    Some(Ok(value)) => {
                        system.memory.get_or_insert(Spanned { value, at });
                    }
                    Some(Err(wrong)) => findings.push(Finding::error(at, wrong.message).label(wrong.label)),
                    None => findings.push(wrong_type("a size such as \"32MiB\"")),
                },
                "heartbeats" => match value.as_bool() {
                    Some(value) => {
                        system.heartbeats.get_or_insert(value);
                    }
                    None => findings.push(wrong_type("true or false")),
                },
                "include" => match value.as_array() {
                    Some(paths) => {
                        for path in paths {
                            let at = At::new(file, path.span);
                            match path.as_str() {
                                Some(path) => self.include(findings, system, path, at, open),
                                None => findings.push(Finding::error(
                                    at,
                                    format!("`include` must be a list of files, but this is {}", type_name(path)),
                                )),
                            }
                        }
                    }
                    None => findings.push(wrong_type("a list of files")),
                },
                "without" => match value.as_array() {
                    Some(names) => {
                        for name in names {
                            let at = At::new(file, name.span);
                            match name.as_str() {
                                Some(name) => system.without.push(Spanned { value: name.to_owned(), at }),
                                None => findings.push(Finding::error(
                                    at,
                                    format!("`without` must be a list of components, but this is {}", type_name(name)),
                                )),
                            }
                        }
                    }
                    None => findings.push(wrong_type("a list of components")),
                },
                name => findings.push(
                    Finding::error(At::new(file, key.span), format!("the system has an unknown key `{name}`"))
                        .did_you_mean(name, ["name", "memory", "heartbeats", "include", "without"])
                        .help("the keys of `[system]` are name, memory, heartbeats, include, without"),
                ),
            }
        }
    }

    fn include(&mut self, findings: &mut Findings, system: &mut System, path: &str, at: At, open: &mut Vec<usize>) {
        let path = beside(findings.file_name(at.file()), path);
        if let Some(known) = findings.file(&path) {
            if let Some(position) = open.iter().position(|&file| file == known) {
                let through: Vec<_> =
                    open[position + 1..].iter().map(|&file| format!("`{}`", findings.file_name(file))).collect();
                let through =
                    if through.is_empty() { String::new() } else { format!(", through {}", through.join(", ")) };
                findings.push(Finding::error(at, format!("`{path}` includes itself{through}")));
            }
            // Otherwise it came in on another way, which is as good.
            return;
        }
        match (self.read)(&path) {
            Ok(text) => {
                let file = findings.add_file(path, text);
                self.file(findings, system, file, open);
            }
            Err(error) => {
                system.understood = false;
                let why = match error.kind() {
                    io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    _ => error.to_string(),
                };
                findings.push(Finding::error(at, format!("the included manifest `{path}` cannot be read")).label(why));
            }
        }
    }
}

/// All that the files say, before anybody has looked at the whole.
struct System {
    at: Option<At>,
    name: Option<String>,
    memory: Option<Spanned<u64>>,
    heartbeats: Option<bool>,
    without: Vec<Spanned<String>>,
    drafts: Vec<Draft>,
    /// Whether every file could be read and parsed: only then can something be missing.
    understood: bool,
}

impl Default for System {
    fn default() -> Self {
        System {
            at: None,
            name: None,
            memory: None,
            heartbeats: None,
            without: Vec::new(),
            drafts: Vec::new(),
            understood: true,
        }
    }
}

impl System {
    /// Takes out the components of included files that the system is to do without.
    fn leave_out(&mut self, findings: &mut Findings) {
        for Spanned { value: name, at } in std::mem::take(&mut self.without) {
            let before = self.drafts.len();
            self.drafts.retain(|draft| draft.component.name != name);
            if self.drafts.len() == before && self.understood {
                let names = self.drafts.iter().map(|draft| draft.component.name.as_str());
                findings.push(
                    Finding::error(at, format!("no included manifest has a component `{name}` to do without"))
                        .did_you_mean(&name, names),
                );
            }
        }
    }

    /// The name is what no manifest may leave out.
    fn require(&mut self, findings: &mut Findings, file: usize) {
        match (self.at, &self.name) {
            (None, _) => findings.push(
                Finding::error(findings.first_line(file), "the manifest has no `[system]` table")
                    .help("begin it with `[system]` and a line such as `name = \"default\"`"),
            ),
            (Some(at), None) => findings
                .push(Finding::error(at, "the system has no `name`").help("add a line such as `name = \"default\"`")),
            _ => {}
        }
    }
}

/// The path of a file named `path` in the file `from`, without `.` and, where it can be seen, `..`.
fn beside(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = match path.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').collect(),
    };
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, "" | "..")) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// A parser's complaint as a sentence.
fn syntax(file: usize, error: &toml_span::Error) -> Finding {
    let at = At::new(file, error.span);
    let finding = |message: String| Finding::error(at, message);
    match &error.kind {
        ErrorKind::DuplicateKey { key, first } => {
            finding(format!("the key `{key}` is given twice")).see("it is given first here", At::new(file, *first))
        }
        ErrorKind::DuplicateTable { name, first } => finding(format!("the table `{name}` is defined twice"))
            .see("it is defined first here", At::new(file, *first)),
        ErrorKind::UnquotedString => {
            finding("the file is not TOML: a value is missing its quotes".into()).help("write strings as \"text\"")
        }
        ErrorKind::InvalidNumber => finding("the file is not TOML: this is not a number".into())
            .help("sizes and times are strings: \"256KiB\", \"10ms\""),
        ErrorKind::UnterminatedString | ErrorKind::InvalidCharInString('\n' | '\r') => {
            finding("the file is not TOML: a string is never closed".into())
        }
        ErrorKind::UnexpectedEof => finding("the file is not TOML: it ends in the middle of something".into()),
        ErrorKind::Wanted { expected, found } => {
            finding(format!("the file is not TOML: expected {expected}, found {found}"))
        }
        _ => finding(format!("the file is not TOML: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_are_found_beside_the_file_that_names_them() {
        assert_eq!(beside("system/default.toml", "base.toml"), "system/base.toml");
        assert_eq!(beside("system/default.toml", "./a/../base.toml"), "system/base.toml");
        assert_eq!(beside("system/default.toml", "../base.toml"), "base.toml");
        assert_eq!(beside("default.toml", "../base.toml"), "../base.toml");
        assert_eq!(beside("default.toml", "/etc/base.toml"), "/etc/base.toml");
        assert_eq!(beside("/a/default.toml", "../base.toml"), "/base.toml");
    }

    #[test]
    fn a_manifest_that_cannot_be_read_is_an_error_without_a_place() {
        let errors = Compiler::new().read_by(|_| Err(io::ErrorKind::NotFound.into())).compile("x.toml").unwrap_err();
        assert_eq!(errors.0.len(), 1);
        assert_eq!(errors.0[0].location, None);
        assert!(errors.to_string().starts_with("error: the manifest `x.toml` cannot be read"), "{errors}");
    }

    #[test]
    fn arbitrary_text_never_panics() {
        let base = "[system]\nname = \"x\"\n[component.a]\npriority = 3\nmemory = \"64KiB\"\nuses = [\"ö\"]\nports = [\"0x1-0x2\"]\n";
        for cut in (0..base.len()).filter(|&cut| base.is_char_boundary(cut)) {
            for insert in ["", "\"", "[", "]", "=", "\n", "ö", "-", "{", "0", "'''"] {
                let text = format!("{}{insert}{}", &base[..cut], &base[cut..]);
                let _ = Compiler::new().read_by(|_| Ok(text.clone())).compile("x.toml").map_err(|e| e.to_string());
                let text = format!("{}{insert}", &base[..cut]);
                let _ = Compiler::new().read_by(|_| Ok(text.clone())).compile("x.toml").map_err(|e| e.to_string());
            }
        }
    }
}

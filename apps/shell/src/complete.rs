//! What Tab proposes: commands where a command begins, variables behind `$`, and files.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::builtins;
use crate::editor::Completion;
use crate::parser::RESERVED;
use crate::shell::Shell;
use crate::sys;

/// The word before the cursor.
struct Typed {
    /// Where it begins, in characters.
    start: usize,
    /// Its text without quotes.
    text: String,
    /// The quote it stands in.
    quote: Option<char>,
    /// Whether a command's name stands here.
    is_command: bool,
}

impl Shell {
    /// What may follow `before`, the text before the cursor.
    pub fn complete(&self, before: &str) -> Completion {
        let typed = typed(before);
        if typed.quote != Some('\'')
            && let Some(at) = typed.text.rfind('$')
            && crate::ast::is_name(&format!("_{}", &typed.text[at + 1..]))
        {
            let prefix = &typed.text[at + 1..];
            let start = before.chars().count() - prefix.chars().count();
            let names = self.state.variables.keys().filter(|name| name.starts_with(prefix));
            return Completion { start, candidates: names.map(|n| (n.clone(), n.clone())).collect() };
        }
        let mut candidates = Vec::new();
        if typed.is_command && !typed.text.contains('/') {
            for name in self.command_names(&typed.text) {
                candidates.push((escape(&name, typed.quote), name));
            }
        } else {
            self.files(&typed, &mut candidates);
        }
        candidates.sort_by(|a: &(String, String), b| a.1.cmp(&b.1));
        Completion { start: typed.start, candidates }
    }

    fn command_names(&self, prefix: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        names.extend(builtins::names().map(String::from));
        names.extend(RESERVED.iter().filter(|word| word.len() > 1).map(|word| word.to_string()));
        names.extend(self.state.functions.keys().cloned());
        names.extend(self.state.aliases.keys().cloned());
        for directory in self.variable("PATH").unwrap_or("/bin").split(':') {
            // A directory of $PATH that is not there offers nothing.
            for entry in sys::list_dir(directory).unwrap_or_default() {
                if entry.name.starts_with(prefix) && !entry.is_dir {
                    names.insert(entry.name);
                }
            }
        }
        names.retain(|name| name.starts_with(prefix));
        names
    }

    fn files(&self, typed: &Typed, candidates: &mut Vec<(String, String)>) {
        let (directory, prefix) = match typed.text.rfind('/') {
            Some(at) => typed.text.split_at(at + 1),
            None => ("", typed.text.as_str()),
        };
        let mut path = if directory.is_empty() { ".".to_string() } else { directory.to_string() };
        let home = self.variable("HOME").unwrap_or("/");
        let is_home = typed.quote.is_none() && path.starts_with("~/");
        if is_home {
            path = format!("{home}/{}", &path[2..]);
        }
        for entry in sys::list_dir(&path).unwrap_or_default() {
            if !entry.name.starts_with(prefix) || (entry.name.starts_with('.') && prefix.is_empty()) {
                continue;
            }
            let end = if entry.is_dir { "/" } else { "" };
            let (kept, quoted) = if is_home { ("~", &directory[1..]) } else { ("", directory) };
            let text = escape(&format!("{quoted}{}{end}", entry.name), typed.quote);
            candidates.push((format!("{kept}{text}"), format!("{}{end}", entry.name)));
        }
    }
}

/// Finds the word that ends with `before`.
fn typed(before: &str) -> Typed {
    let mut typed = Typed { start: 0, text: String::new(), quote: None, is_command: true };
    let mut chars = before.chars().enumerate();
    // Whether the words so far leave the next one a command's place.
    let mut next_is_command = true;
    let mut quoted_start = 0;
    let mut any = false;
    while let Some((index, c)) = chars.next() {
        match (c, typed.quote) {
            ('\\', None) => {
                any = true;
                typed.text.extend(chars.next().map(|(_, c)| c));
            }
            ('\'' | '"', None) => {
                any = true;
                typed.quote = Some(c);
                quoted_start = index + 1;
            }
            (c, Some(quote)) if c == quote => typed.quote = None,
            (' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>', None) => {
                if any {
                    let keeps = matches!(
                        typed.text.as_str(),
                        "then" | "else" | "elif" | "do" | "if" | "while" | "until" | "!" | "{" | "time"
                    ) || crate::parser::assignment(&crate::ast::Word {
                        parts: Vec::from([crate::ast::Part::Literal(typed.text.clone())]),
                    })
                    .is_some();
                    next_is_command = next_is_command && keeps;
                }
                match c {
                    ';' | '&' | '|' | '(' | '\n' => next_is_command = true,
                    '<' | '>' => next_is_command = false,
                    _ => {}
                }
                typed.text.clear();
                typed.start = index + 1;
                any = false;
            }
            (c, _) => {
                any = true;
                typed.text.push(c);
            }
        }
    }
    if typed.quote.is_some() && quoted_start > typed.start + 1 {
        // Only the quoted rest of a word is replaced when text stands before the quote.
        typed.quote = None;
    }
    typed.is_command = next_is_command;
    typed
}

/// A text as it must be typed.
fn escape(text: &str, quote: Option<char>) -> String {
    let mut out = String::new();
    if let Some(quote) = quote {
        out.push(quote);
        for c in text.chars() {
            if quote == '"' && "\"\\$`".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        if !text.ends_with('/') {
            out.push(quote);
        }
        return out;
    }
    for c in text.chars() {
        if " \t\n'\"\\$`*?[]()<>;&|#~{}!".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

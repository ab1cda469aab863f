//! The syntax tree as text again: one line that parses to the same tree.
//!
//! The shell has no way to copy itself, so a pipeline's stages and background lists are handed to another
//! shell as text; `type` shows functions with it too.

use alloc::format;
use alloc::string::String;

use crate::ast::*;

/// `text` in a form that the shell reads back as exactly that text.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    let mut out = String::new();
    single(&mut out, text);
    out
}

/// A list's text, every command ended by `;` or `&`.
pub fn list(commands: &List) -> String {
    let mut out = String::new();
    for (index, item) in commands.items.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(&and_or(&item.and_or));
        out.push_str(if item.background { " &" } else { ";" });
    }
    out
}

/// The text of pipelines joined by `&&` and `||`.
pub fn and_or(chain: &AndOr) -> String {
    let mut out = pipeline(&chain.first);
    for (connector, next) in &chain.rest {
        out.push_str(match connector {
            Connector::And => " && ",
            Connector::Or => " || ",
        });
        out.push_str(&pipeline(next));
    }
    out
}

/// A pipeline's text.
pub fn pipeline(stages: &Pipeline) -> String {
    let mut out = String::new();
    if stages.negated {
        out.push_str("! ");
    }
    for (index, stage) in stages.commands.iter().enumerate() {
        if index > 0 {
            out.push_str(" | ");
        }
        out.push_str(&command(stage));
    }
    out
}

/// A command's text.
pub fn command(command_: &Command) -> String {
    match command_ {
        Command::Simple(simple_) => simple(simple_),
        Command::Compound(compound_, redirects) => {
            let mut out = compound(compound_);
            for redirect_ in redirects {
                out.push(' ');
                redirect(&mut out, redirect_);
            }
            out
        }
        Command::Function { name, body } => format!("{name}() {}", command(body)),
    }
}

fn simple(simple_: &Simple) -> String {
    let mut out = String::new();
    let space = |out: &mut String| {
        if !out.is_empty() {
            out.push(' ');
        }
    };
    for assignment in &simple_.assignments {
        space(&mut out);
        out.push_str(&assignment.name);
        out.push('=');
        parts(&mut out, &assignment.value.parts, Quotes::None);
    }
    // Redirections go first: behind one, no word is taken for a keyword.
    for redirect_ in &simple_.redirects {
        space(&mut out);
        redirect(&mut out, redirect_);
    }
    for word_ in &simple_.words {
        space(&mut out);
        out.push_str(&word(word_));
    }
    out
}

fn compound(compound_: &Compound) -> String {
    match compound_ {
        Compound::Brace(body) => format!("{{ {} }}", list(body)),
        Compound::Subshell(body) => format!("( {} )", list(body)),
        Compound::If { branches, otherwise } => {
            let mut out = String::new();
            for (index, (condition, body)) in branches.iter().enumerate() {
                let keyword = if index == 0 { "if" } else { "elif" };
                out.push_str(&format!("{keyword} {} then {} ", list(condition), list(body)));
            }
            if let Some(body) = otherwise {
                out.push_str(&format!("else {} ", list(body)));
            }
            out.push_str("fi");
            out
        }
        Compound::Loop { until, condition, body } => {
            let keyword = if *until { "until" } else { "while" };
            format!("{keyword} {} do {} done", list(condition), list(body))
        }
        Compound::For { name, words, body } => {
            let mut out = format!("for {name}");
            if let Some(words) = words {
                out.push_str(" in");
                for word_ in words {
                    out.push(' ');
                    out.push_str(&word(word_));
                }
            }
            out.push_str(&format!("; do {} done", list(body)));
            out
        }
        Compound::Case { word: subject, arms } => {
            let mut out = format!("case {} in ", word(subject));
            for (patterns, body) in arms {
                out.push('(');
                for (index, pattern) in patterns.iter().enumerate() {
                    if index > 0 {
                        out.push_str(" | ");
                    }
                    out.push_str(&word(pattern));
                }
                out.push_str(&format!(") {} ;; ", list(body)));
            }
            out.push_str("esac");
            out
        }
    }
}

fn redirect(out: &mut String, redirect_: &Redirect) {
    out.push_str(&format!("{}", redirect_.fd));
    out.push_str(match redirect_.kind {
        RedirectKind::Read => "<",
        RedirectKind::Write => ">",
        RedirectKind::Append => ">>",
        RedirectKind::ReadWrite => "<>",
        RedirectKind::Duplicate => ">&",
        RedirectKind::Here => "<<<",
    });
    if redirect_.kind == RedirectKind::Here && redirect_.target.parts.is_empty() {
        out.push_str("()");
    }
    out.push_str(&word(&redirect_.target));
}

/// A word's text.
pub fn word(word_: &Word) -> String {
    let mut out = String::new();
    parts(&mut out, &word_.parts, Quotes::None);
    out
}

/// Where parts stand: it decides what must be escaped.
#[derive(Clone, Copy, PartialEq)]
enum Quotes {
    None,
    Double,
    /// Inside `${x-…}` inside double quotes.
    DoubleBrace,
    Arithmetic,
}

fn parts(out: &mut String, list_: &[Part], quotes: Quotes) {
    for part in list_ {
        match part {
            Part::Literal(text) => literal(out, text, quotes),
            Part::Single(text) => single(out, text),
            Part::Double(inner) => {
                out.push('"');
                parts(out, inner, Quotes::Double);
                out.push('"');
            }
            Part::Parameter(parameter_) => parameter(out, parameter_, quotes),
            Part::Command(body) => out.push_str(&format!("$( {} )", list(body))),
            Part::Arithmetic(inner) => {
                out.push_str("$((");
                parts(out, inner, Quotes::Arithmetic);
                out.push_str("))");
            }
        }
    }
}

fn literal(out: &mut String, text: &str, quotes: Quotes) {
    for c in text.chars() {
        let escape = match quotes {
            Quotes::None | Quotes::Arithmetic => false,
            Quotes::Double => "\\$`\"".contains(c),
            Quotes::DoubleBrace => "\\$`\"}".contains(c),
        };
        if escape {
            out.push('\\');
        }
        out.push(c);
    }
}

fn single(out: &mut String, text: &str) {
    out.push('\'');
    for c in text.chars() {
        if c == '\'' {
            out.push_str("'\\''");
        } else {
            out.push(c);
        }
    }
    out.push('\'');
}

fn parameter(out: &mut String, parameter_: &Parameter, quotes: Quotes) {
    out.push_str("${");
    let inner = if quotes == Quotes::None { Quotes::None } else { Quotes::DoubleBrace };
    match &parameter_.operation {
        Operation::Plain => out.push_str(&parameter_.name),
        Operation::Length => {
            out.push('#');
            out.push_str(&parameter_.name);
        }
        Operation::Test { test, colon, word } => {
            out.push_str(&parameter_.name);
            if *colon {
                out.push(':');
            }
            out.push(match test {
                Test::Default => '-',
                Test::Assign => '=',
                Test::Alternative => '+',
                Test::Error => '?',
            });
            parts(out, &word.parts, inner);
        }
        Operation::Trim { prefix, longest, pattern } => {
            out.push_str(&parameter_.name);
            let sign = if *prefix { '#' } else { '%' };
            out.push(sign);
            if *longest {
                out.push(sign);
            }
            parts(out, &pattern.parts, Quotes::None);
        }
    }
    out.push('}');
}

//! The syntax tree of shell commands.
//!
//! [`crate::parser`] makes it, [`crate::print`] turns it back into text that parses to the same tree, and
//! [`crate::exec`] walks it. A tree holds no positions, so two trees are equal when they mean the same.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// Commands that run one after another.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct List {
    /// The commands in order.
    pub items: Vec<Item>,
}

/// One entry of a [`List`]: `a && b ;` or `a && b &`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What runs.
    pub and_or: AndOr,
    /// Whether the shell goes on without waiting for it.
    pub background: bool,
}

/// Pipelines joined by `&&` and `||`, which bind equally and to the left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndOr {
    /// The pipeline that always runs.
    pub first: Pipeline,
    /// The others, each with what decides whether it runs.
    pub rest: Vec<(Connector, Pipeline)>,
}

/// What joins two pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// `&&`: runs when the status so far is 0.
    And,
    /// `||`: runs when the status so far is not 0.
    Or,
}

/// `[!] a | b | c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Whether the status is inverted.
    pub negated: bool,
    /// At least one command.
    pub commands: Vec<Command>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Words, assignments, and redirections.
    Simple(Simple),
    /// A control structure with the redirections behind it.
    Compound(Compound, Vec<Redirect>),
    /// `name() body`.
    Function {
        /// The function's name.
        name: String,
        /// A compound command; shared with the shell that defines it.
        body: Rc<Command>,
    },
}

/// `X=1 cmd arg >file`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Simple {
    /// Assignments before the command's name.
    pub assignments: Vec<Assignment>,
    /// Redirections, in order.
    pub redirects: Vec<Redirect>,
    /// The command's name and its arguments.
    pub words: Vec<Word>,
}

/// `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Its value, not yet expanded.
    pub value: Word,
}

/// The control structures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compound {
    /// `{ list; }`
    Brace(List),
    /// `( list )`
    Subshell(List),
    /// `if … then … elif … else … fi`
    If {
        /// Each condition with what it guards; at least one.
        branches: Vec<(List, List)>,
        /// What runs when no condition held.
        otherwise: Option<List>,
    },
    /// `while` and `until`.
    Loop {
        /// Whether it is `until`.
        until: bool,
        /// Tested before each round.
        condition: List,
        /// The round.
        body: List,
    },
    /// `for name in words; do body; done`
    For {
        /// The loop's variable.
        name: String,
        /// What it runs over; `None` is the positional parameters.
        words: Option<Vec<Word>>,
        /// The round.
        body: List,
    },
    /// `case word in pattern) list;; esac`
    Case {
        /// What is compared.
        word: Word,
        /// Patterns and what runs on a match; the first match wins.
        arms: Vec<(Vec<Word>, List)>,
    },
}

/// A redirection of one file descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The descriptor that changes.
    pub fd: u32,
    /// How.
    pub kind: RedirectKind,
    /// The file's name, the other descriptor, or a here-document's text.
    pub target: Word,
}

/// What a redirection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectKind {
    /// `<`
    Read,
    /// `>` and `>|`
    Write,
    /// `>>`
    Append,
    /// `<>`
    ReadWrite,
    /// `<&` and `>&`
    Duplicate,
    /// `<<` and `<<<`: the text and a newline; a target without parts is no text at all.
    Here,
}

/// A word before expansion: its parts stand side by side.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Word {
    /// The parts.
    pub parts: Vec<Part>,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text without quotes: subject to tilde and pattern matching.
    Literal(String),
    /// Text that stands for itself: `'…'`, `\c`, `$'…'`. Neighbours are always merged into one.
    Single(String),
    /// `"…"`: literals in here are quoted.
    Double(Vec<Part>),
    /// `$x`, `${x…}`.
    Parameter(Parameter),
    /// `$(…)` and `` `…` ``.
    Command(List),
    /// `$((…))`, its text parsed as inside double quotes.
    Arithmetic(Vec<Part>),
}

/// A parameter expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// A variable's name, a number, or one of `@ * # ? - $ !`.
    pub name: String,
    /// What is done with the value.
    pub operation: Operation,
}

/// What a parameter expansion does with the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `$x`
    Plain,
    /// `${#x}`
    Length,
    /// `${x-w}`, `${x=w}`, `${x+w}`, `${x?w}`; with a colon an empty value counts as unset.
    Test {
        /// What to do.
        test: Test,
        /// Whether a colon stands before the sign.
        colon: bool,
        /// The word behind it.
        word: Word,
    },
    /// `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`
    Trim {
        /// `#` takes from the front, `%` from the back.
        prefix: bool,
        /// A doubled sign takes the longest match.
        longest: bool,
        /// The pattern.
        pattern: Word,
    },
}

/// The four questions `${x-w}` and its kin ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `-`: the word when unset.
    Default,
    /// `=`: the word when unset, which is assigned too.
    Assign,
    /// `+`: the word when set.
    Alternative,
    /// `?`: an error with the word when unset.
    Error,
}

impl Word {
    /// A word that stands for `text` whatever its characters.
    pub fn quoted(text: &str) -> Word {
        Word { parts: alloc::vec![Part::Single(text.into())] }
    }

    /// The text when the word is one unquoted literal.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Adds `part`, merging what the tree keeps merged.
pub fn push_part(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), &part) {
        (Some(Part::Single(before)), Part::Single(text)) | (Some(Part::Literal(before)), Part::Literal(text)) => {
            before.push_str(text)
        }
        _ => parts.push(part),
    }
}

/// Whether `text` can name a variable or function.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// Whether a name can begin with `c`.
pub fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Whether a name can go on with `c`.
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

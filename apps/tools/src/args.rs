//! Command-line options in the manner of GNU: bundled short options, long options, values attached or apart,
//! options among operands, `--` ends them, `--help` everywhere. The lexing is the crate getargs's.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use getargs::{Arg, Options};

use crate::context::{Context, Failure};
use crate::context::put;

/// One option that a tool knows. Its character names it in [`Parsed::options`]; capital letters of no short
/// option are written as digits or signs where only a long name exists.
#[derive(Clone, Copy)]
pub enum Opt {
    /// Takes no value.
    Flag(char, &'static str),
    /// Takes a value.
    Value(char, &'static str),
    /// Takes a value only when attached to its long name: `--color=auto`.
    Attached(char, &'static str),
}

/// What was found on the command line.
pub struct Parsed {
    /// Options in order: the character, and the value (empty for a flag).
    pub options: Vec<(char, String)>,
    /// Everything else in order.
    pub operands: Vec<String>,
}

impl Parsed {
    /// Whether an option was given.
    pub fn has(&self, option: char) -> bool {
        self.options.iter().any(|(found, _)| *found == option)
    }

    /// The last value given for an option.
    pub fn value(&self, option: char) -> Option<&str> {
        self.options.iter().rev().find(|(found, _)| *found == option).map(|(_, value)| value.as_str())
    }
}

/// Where options end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Anywhere,
    BeforeOperands,
}

/// Reads options wherever they stand.
pub fn parse(context: &mut Context, args: &[String], known: &[Opt]) -> Result<Parsed, Failure> {
    parse_ordered(context, args, known, Order::Anywhere)
}

/// Reads options up to the first operand; what follows it belongs to another command.
pub fn parse_leading(context: &mut Context, args: &[String], known: &[Opt]) -> Result<Parsed, Failure> {
    parse_ordered(context, args, known, Order::BeforeOperands)
}

/// Prints the help of a tool and ends it.
pub fn help(context: &mut Context) -> Failure {
    if let Some(tool) = crate::find(context.name) {
        put!(context, "{}\n", tool.help);
    }
    Failure::silent(0)
}

/// The complaint about a command line.
pub fn misuse(context: &Context, message: impl core::fmt::Display) -> Failure {
    let status = match context.name {
        "grep" | "ls" | "sort" | "cmp" | "test" | "[" => 2,
        "env" => 125,
        _ => 1,
    };
    Failure::new(status, format_args!("{message}; try '{} --help'", context.name))
}

fn parse_ordered(
    context: &mut Context,
    args: &[String],
    known: &[Opt],
    order: Order,
) -> Result<Parsed, Failure> {
    let mut parsed = Parsed { options: Vec::new(), operands: Vec::new() };
    let mut lexer = Options::new(args.iter().map(String::as_str));
    loop {
        let next = lexer.next_arg();
        let argument = match next {
            Ok(Some(argument)) => argument,
            Ok(None) => return Ok(parsed),
            Err(error) => return Err(misuse(context, lexing(&error))),
        };
        let (found, shown) = match argument {
            Arg::Positional(operand) => {
                parsed.operands.push(operand.to_string());
                if order == Order::BeforeOperands {
                    parsed.operands.extend(lexer.positionals().map(str::to_string));
                    return Ok(parsed);
                }
                continue;
            }
            Arg::Short(short) => (known.iter().find(|option| option.short() == short), format!("-{short}")),
            Arg::Long("help") => return Err(help(context)),
            Arg::Long(long) => (find_long(known, long), format!("--{long}")),
        };
        let value = match found {
            None => return Err(misuse(context, format_args!("unknown option '{shown}'"))),
            Some(Opt::Flag(..)) => String::new(),
            Some(Opt::Attached(..)) if shown.starts_with("--") => {
                lexer.value_opt().unwrap_or_default().to_string()
            }
            Some(Opt::Attached(..)) => String::new(),
            Some(Opt::Value(..)) => match lexer.value() {
                Ok(value) => value.to_string(),
                Err(_) => return Err(misuse(context, format_args!("option '{shown}' needs a value"))),
            },
        };
        if let Some(option) = found {
            parsed.options.push((option.short(), value));
        }
    }
}

fn find_long<'a>(known: &'a [Opt], name: &str) -> Option<&'a Opt> {
    if let Some(exact) = known.iter().find(|option| option.long() == name) {
        return Some(exact);
    }
    let mut matching = known.iter().filter(|option| !name.is_empty() && option.long().starts_with(name));
    match (matching.next(), matching.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn lexing(error: &getargs::Error<&str>) -> String {
    match error {
        getargs::Error::RequiresValue(option) => format!("option '{option}' needs a value"),
        getargs::Error::DoesNotRequireValue(option) => format!("option '{option}' takes no value"),
        other => format!("{other}"),
    }
}

impl Opt {
    fn short(&self) -> char {
        match self {
            Opt::Flag(short, _) | Opt::Value(short, _) | Opt::Attached(short, _) => *short,
        }
    }

    fn long(&self) -> &'static str {
        match self {
            Opt::Flag(_, long) | Opt::Value(_, long) | Opt::Attached(_, long) => long,
        }
    }
}

//! test and [.

use alloc::string::{String, ToString};

use super::Tool;
use super::owners::type_letter;
use crate::args;
use crate::context::{Context, Failure, Outcome};
use crate::sys::fs::{self, Metadata};
use crate::sys::io;

pub const TEST: Tool = Tool {
    name: "test",
    about: "check a condition",
    help: "Usage: test EXPRESSION
       [ EXPRESSION ]
Status 0 where the expression holds, 1 where it does not, 2 for one that is wrong.
  -e F  exists   -f F  regular file   -d F  directory   -L F, -h F  link   -s F  not empty   -p, -S, -b, -c F
  -r F, -w F, -x F  permissions   -t N  is a terminal   F -nt G, F -ot G  newer, older   F -ef G  the same file
  -n S  not empty   -z S  empty   S = T, S != T, S < T, S > T   N -eq M, -ne, -lt, -le, -gt, -ge
  ! E  not   E -a E  and   E -o E  or   ( E )
Example: test -d /srv && echo yes",
    run: |context, args| test(context, args),
};

pub const BRACKET: Tool = Tool {
    name: "[",
    about: "check a condition",
    help: "Usage: [ EXPRESSION ]
The same as 'test EXPRESSION'; see 'help test'.
Example: [ -f /etc/motd ] && cat /etc/motd",
    run: |context, args| match args.split_last() {
        Some((last, rest)) if last == "]" => test(context, rest),
        Some((only, [])) if only == "--help" => Err(args::help(context)),
        _ => Err(Failure::new(2, "there is no ']' at the end")),
    },
};

fn test(context: &mut Context, args: &[String]) -> Outcome {
    if context.name == "test"
        && let [only] = args
        && only == "--help"
    {
        return Err(args::help(context));
    }
    match decide(args) {
        Ok(true) => Ok(0),
        Ok(false) => Ok(1),
        Err(reason) => Err(Failure::new(2, reason)),
    }
}

/// POSIX fixes the meaning of up to four words by their number; beyond that there is a grammar.
fn decide(words: &[String]) -> Result<bool, String> {
    match words {
        [] => Ok(false),
        [only] => Ok(!only.is_empty()),
        [not, only] if not == "!" => Ok(only.is_empty()),
        [operator, operand] => match unary(operator, operand)? {
            Some(result) => Ok(result),
            None => Err(format!("'{operator}' is no test of one value")),
        },
        [left, operator, right] if is_binary(operator) => binary(left, operator, right),
        [not, rest @ ..] if not == "!" && rest.len() < 4 => Ok(!decide(rest)?),
        [open, middle @ .., close] if open == "(" && close == ")" && middle.len() < 3 => decide(middle),
        _ => {
            let mut parser = Parser { words, at: 0 };
            let result = parser.alternatives()?;
            match words.get(parser.at) {
                None => Ok(result),
                Some(extra) => Err(format!("'{extra}' is not expected here")),
            }
        }
    }
}

struct Parser<'a> {
    words: &'a [String],
    at: usize,
}

impl Parser<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(found);
        found
    }

    fn alternatives(&mut self) -> Result<bool, String> {
        let mut result = self.sequence()?;
        while self.next_is("-o") {
            result |= self.sequence()?;
        }
        Ok(result)
    }

    fn sequence(&mut self) -> Result<bool, String> {
        let mut result = self.primary()?;
        while self.next_is("-a") {
            result &= self.primary()?;
        }
        Ok(result)
    }

    fn primary(&mut self) -> Result<bool, String> {
        let rest = &self.words[self.at..];
        if let [left, operator, right, ..] = rest
            && is_binary(operator)
        {
            self.at += 3;
            return binary(left, operator, right);
        }
        if self.next_is("!") {
            return Ok(!self.primary()?);
        }
        if self.next_is("(") {
            let result = self.alternatives()?;
            return if self.next_is(")") { Ok(result) } else { Err("a '(' is not closed".to_string()) };
        }
        match rest {
            [operator, operand, ..] if let Some(result) = unary(operator, operand)? => {
                self.at += 2;
                Ok(result)
            }
            [word, ..] => {
                self.at += 1;
                Ok(!word.is_empty())
            }
            [] => Err("the expression ends where a test is expected".to_string()),
        }
    }
}

fn is_binary(operator: &str) -> bool {
    matches!(
        operator,
        "=" | "==" | "!=" | "<" | ">" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" | "-nt" | "-ot" | "-ef"
    )
}

/// The result of a test of one value; none where the operator is none.
fn unary(operator: &str, operand: &str) -> Result<Option<bool>, String> {
    let follow = || fs::metadata(operand).ok();
    let kind = |letter: char| {
        follow().is_some_and(|metadata: Metadata| type_letter(metadata.mode()) == letter)
    };
    let allowed = |bits: u32| follow().is_some_and(|metadata| metadata.mode() & bits != 0);
    Ok(Some(match operator {
        "-n" => !operand.is_empty(),
        "-z" => operand.is_empty(),
        "-e" => follow().is_some(),
        "-f" => kind('-'),
        "-d" => kind('d'),
        "-p" => kind('p'),
        "-S" => kind('s'),
        "-b" => kind('b'),
        "-c" => kind('c'),
        "-L" | "-h" => fs::symlink_metadata(operand).is_ok_and(|metadata| metadata.is_symlink()),
        "-s" => follow().is_some_and(|metadata| metadata.len() > 0),
        // There is one user, who may read and write everything that exists.
        "-r" | "-w" => follow().is_some(),
        "-x" => allowed(0o111),
        "-u" => allowed(0o4000),
        "-g" => allowed(0o2000),
        "-k" => allowed(0o1000),
        "-O" | "-G" => follow().is_some(),
        "-t" => match operand {
            "0" => io::stdin().is_terminal(),
            "1" => io::stdout().is_terminal(),
            "2" => io::stderr().is_terminal(),
            _ => integer(operand).map(|_| false)?,
        },
        _ => return Ok(None),
    }))
}

fn integer(text: &str) -> Result<i128, String> {
    text.trim().parse().map_err(|_| format!("'{text}' is not a whole number"))
}

fn binary(left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let numbers = || Ok::<_, String>((integer(left)?, integer(right)?));
    let files = || (fs::metadata(left).ok(), fs::metadata(right).ok());
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-nt" => match files() {
            (Some(a), Some(b)) => a.mtime() > b.mtime(),
            (a, _) => a.is_some(),
        },
        "-ot" => match files() {
            (Some(a), Some(b)) => a.mtime() < b.mtime(),
            (_, b) => b.is_some(),
        },
        "-ef" => match files() {
            (Some(a), Some(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
            _ => false,
        },
        _ => {
            let (a, b) = numbers()?;
            match operator {
                "-eq" => a == b,
                "-ne" => a != b,
                "-lt" => a < b,
                "-le" => a <= b,
                "-gt" => a > b,
                _ => a >= b,
            }
        }
    })
}

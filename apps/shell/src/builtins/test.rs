//! `test` and `[`.

use alloc::format;
use alloc::string::String;

use crate::shell::{Outcome, Shell};
use crate::sys;

/// `[ … ]`
pub fn bracket(shell: &mut Shell, fields: &[String]) -> Outcome {
    match fields.split_last() {
        Some((last, rest)) if last == "]" && !rest.is_empty() => decide(shell, "[", &rest[1..]),
        _ => super::misuse(shell, "[: missing ']'"),
    }
}

/// `test …`
pub fn test(shell: &mut Shell, fields: &[String]) -> Outcome {
    decide(shell, "test", &fields[1..])
}

fn decide(shell: &mut Shell, name: &str, arguments: &[String]) -> Outcome {
    let mut parser = Expression { shell, arguments, pos: 0, depth: 0 };
    let result = parser.top();
    match result {
        Ok(holds) => Ok(i32::from(!holds)),
        Err(message) => super::misuse(shell, &format!("{name}: {message}")),
    }
}

struct Expression<'a> {
    shell: &'a Shell,
    arguments: &'a [String],
    pos: usize,
    depth: u32,
}

impl Expression<'_> {
    /// POSIX decides by the number of arguments up to four, so that operands may look like operators.
    fn top(&mut self) -> Result<bool, String> {
        let arguments = self.arguments;
        let text = |index: usize| arguments[index].as_str();
        match arguments.len() {
            0 => Ok(false),
            1 => Ok(!text(0).is_empty()),
            2 if text(0) == "!" => Ok(text(1).is_empty()),
            3 if is_binary(text(1)) => self.binary(text(0), text(1), text(2)),
            4 if text(0) == "!" && is_binary(text(2)) => Ok(!self.binary(text(1), text(2), text(3))?),
            _ => {
                let holds = self.or()?;
                match arguments.get(self.pos) {
                    None => Ok(holds),
                    Some(extra) => Err(format!("unexpected '{extra}'")),
                }
            }
        }
    }

    fn peek(&self) -> Option<&str> {
        self.arguments.get(self.pos).map(String::as_str)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.peek() == Some(text);
        self.pos += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut holds = self.and()?;
        while self.take("-o") {
            holds |= self.and()?;
        }
        Ok(holds)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut holds = self.primary()?;
        while self.take("-a") {
            holds &= self.primary()?;
        }
        Ok(holds)
    }

    fn primary(&mut self) -> Result<bool, String> {
        self.depth += 1;
        if self.depth > 60 {
            return Err("nested too deeply".into());
        }
        let arguments = self.arguments;
        let Some(first) = arguments.get(self.pos) else { return Err("an argument is missing".into()) };
        let second = arguments.get(self.pos + 1);
        let third = arguments.get(self.pos + 2);
        if let (Some(operator), Some(right)) = (second, third)
            && is_binary(operator)
        {
            self.pos += 3;
            return self.binary(first, operator, right);
        }
        if self.take("!") {
            return Ok(!self.primary()?);
        }
        if first == "(" && second.is_some() {
            self.pos += 1;
            let holds = self.or()?;
            if !self.take(")") {
                return Err("missing ')'".into());
            }
            return Ok(holds);
        }
        self.pos += 1;
        match (first.strip_prefix('-'), second) {
            (Some(letter), Some(operand)) if letter.chars().count() == 1 => {
                self.pos += 1;
                self.unary(letter, operand)
            }
            _ => Ok(!first.is_empty()),
        }
    }

    fn unary(&self, letter: &str, operand: &str) -> Result<bool, String> {
        let stat = |check: fn(sys::Stat) -> bool| sys::stat(operand).is_ok_and(check);
        Ok(match letter {
            "n" => !operand.is_empty(),
            "z" => operand.is_empty(),
            "e" => stat(|_| true),
            "f" => stat(|stat| stat.is_file),
            "d" => stat(|stat| stat.is_dir),
            "s" => stat(|stat| stat.len > 0),
            "r" => stat(|stat| stat.mode & 0o444 != 0),
            "w" => stat(|stat| stat.mode & 0o222 != 0),
            "x" => stat(|stat| stat.mode & 0o111 != 0),
            "h" | "L" => sys::lstat(operand).is_ok_and(|stat| stat.is_symlink),
            "b" | "c" | "p" | "S" => stat(|stat| !stat.is_file && !stat.is_dir),
            "t" => {
                let fd = number(operand)?;
                u32::try_from(fd)
                    .ok()
                    .and_then(|fd| self.shell.state.streams.get(fd))
                    .is_some_and(|stream| stream.is_terminal())
            }
            _ => return Err(format!("unknown operator '-{letter}'")),
        })
    }

    fn binary(&self, left: &str, operator: &str, right: &str) -> Result<bool, String> {
        let times = || {
            let time = |path| sys::stat(path).ok().map(|stat| stat.mtime);
            (time(left), time(right))
        };
        Ok(match operator {
            "=" | "==" => left == right,
            "!=" => left != right,
            "<" => left < right,
            ">" => left > right,
            "-eq" => number(left)? == number(right)?,
            "-ne" => number(left)? != number(right)?,
            "-lt" => number(left)? < number(right)?,
            "-le" => number(left)? <= number(right)?,
            "-gt" => number(left)? > number(right)?,
            "-ge" => number(left)? >= number(right)?,
            "-nt" => times().0 > times().1,
            "-ot" => times().0 < times().1,
            _ => {
                let identity = |path| sys::stat(path).ok().map(|stat| stat.identity);
                identity(left).is_some() && identity(left) == identity(right)
            }
        })
    }
}

fn is_binary(operator: &str) -> bool {
    matches!(
        operator,
        "=" | "==" | "!=" | "<" | ">" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" | "-nt" | "-ot" | "-ef"
    )
}

fn number(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("'{text}' is not a number"))
}

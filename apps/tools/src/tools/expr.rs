//! expr.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args;
use crate::context::{Context, Failure, Outcome};
use crate::pattern::{self, Syntax};
use crate::context::put;

pub const EXPR: Tool = Tool {
    name: "expr",
    about: "compute an expression",
    help: "Usage: expr EXPRESSION
Prints the value of an expression, each part of which is an argument of its own.
  A + B, A - B, A * B, A / B, A % B   A = B, A != B, A < B, A <= B, A > B, A >= B   A & B   A | B
  TEXT : PATTERN  length of what matches at the front, or what \\( \\) holds
  length TEXT   substr TEXT POSITION LENGTH   index TEXT CHARACTERS   ( EXPRESSION )
Status 0, or 1 where the value is empty or 0, or 2 for an expression that is wrong.
Example: expr 6 \\* 7",
    run: expr,
};

struct Parser<'a> {
    words: &'a [String],
    at: usize,
}

fn expr(context: &mut Context, args: &[String]) -> Outcome {
    let words = match args {
        [only] if only == "--help" => return Err(args::help(context)),
        [first, rest @ ..] if first == "--" => rest,
        all => all,
    };
    if words.is_empty() {
        return Err(Failure::new(2, "there is no expression; try 'expr --help'"));
    }
    let mut parser = Parser { words, at: 0 };
    let value = parser.either().map_err(|reason| Failure::new(2, reason))?;
    if let Some(extra) = words.get(parser.at) {
        return Err(Failure::new(2, format_args!("'{extra}' is not expected here")));
    }
    put!(context, "{value}\n");
    Ok(i32::from(is_nothing(&value)))
}

fn is_nothing(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    value.is_empty() || (!digits.is_empty() && digits.bytes().all(|byte| byte == b'0'))
}

fn number(value: &str) -> Result<i128, String> {
    value.parse().map_err(|_| format!("'{value}' is not a whole number"))
}

impl Parser<'_> {
    fn take(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        let next = self.words.get(self.at)?;
        let found = operators.iter().find(|operator| *operator == next).copied();
        self.at += usize::from(found.is_some());
        found
    }

    fn word(&mut self) -> Result<String, String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word.ok_or_else(|| "the expression ends where a value is expected".to_string())
    }

    fn either(&mut self) -> Result<String, String> {
        let mut value = self.both()?;
        while self.take(&["|"]).is_some() {
            let other = self.both()?;
            if is_nothing(&value) {
                value = if is_nothing(&other) { "0".to_string() } else { other };
            }
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<String, String> {
        let mut value = self.comparison()?;
        while self.take(&["&"]).is_some() {
            let other = self.comparison()?;
            if is_nothing(&value) || is_nothing(&other) {
                value = "0".to_string();
            }
        }
        Ok(value)
    }

    fn comparison(&mut self) -> Result<String, String> {
        let mut value = self.sum()?;
        while let Some(operator) = self.take(&["=", "==", "!=", "<", "<=", ">", ">="]) {
            let other = self.sum()?;
            let order = match (number(&value), number(&other)) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => value.cmp(&other),
            };
            let holds = match operator {
                "=" | "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            };
            value = i32::from(holds).to_string();
        }
        Ok(value)
    }

    fn sum(&mut self) -> Result<String, String> {
        let mut value = self.product()?;
        while let Some(operator) = self.take(&["+", "-"]) {
            let (a, b) = (number(&value)?, number(&self.product()?)?);
            let result = if operator == "+" { a.checked_add(b) } else { a.checked_sub(b) };
            value = result.ok_or("the numbers are too large")?.to_string();
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<String, String> {
        let mut value = self.matching()?;
        while let Some(operator) = self.take(&["*", "/", "%"]) {
            let (a, b) = (number(&value)?, number(&self.matching()?)?);
            if b == 0 && operator != "*" {
                return Err("division by zero".to_string());
            }
            let result = match operator {
                "*" => a.checked_mul(b),
                "/" => a.checked_div(b),
                _ => a.checked_rem(b),
            };
            value = result.ok_or("the numbers are too large")?.to_string();
        }
        Ok(value)
    }

    fn matching(&mut self) -> Result<String, String> {
        let mut value = self.primary()?;
        while self.take(&[":"]).is_some() {
            let pattern = self.primary()?;
            value = match_front(&value, &pattern)?;
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<String, String> {
        let word = self.word()?;
        let more = self.at < self.words.len();
        Ok(match word.as_str() {
            "(" => {
                let value = self.either()?;
                if self.take(&[")"]).is_none() {
                    return Err("a '(' is not closed".to_string());
                }
                value
            }
            "+" if more => self.word()?,
            "length" if more => self.primary()?.chars().count().to_string(),
            "match" if more => {
                let text = self.primary()?;
                let pattern = self.primary()?;
                match_front(&text, &pattern)?
            }
            "index" if more => {
                let (text, characters) = (self.primary()?, self.primary()?);
                let found = text.chars().position(|character| characters.contains(character));
                found.map_or(0, |position| position + 1).to_string()
            }
            "substr" if more => {
                let (text, from, length) = (self.primary()?, self.primary()?, self.primary()?);
                match (number(&from), number(&length)) {
                    (Ok(from @ 1..), Ok(length @ 1..)) => {
                        let from = usize::try_from(from - 1).unwrap_or(usize::MAX);
                        let length = usize::try_from(length).unwrap_or(usize::MAX);
                        text.chars().skip(from).take(length).collect()
                    }
                    _ => String::new(),
                }
            }
            _ => word,
        })
    }
}

/// What `TEXT : PATTERN` gives: the first group where there is one, the length of the match otherwise.
fn match_front(text: &str, pattern: &str) -> Result<String, String> {
    let grouped = pattern.contains("\\(");
    let expression = pattern::translate(pattern, Syntax::Basic)?;
    // Groups are translated as such that keep nothing; the first is made to keep what it matched.
    let expression = if grouped { expression.replacen("(?:", "(", 1) } else { expression };
    let regex = pattern::compile(&format!("^(?:{expression})"), false)?;
    let Some(found) = regex.captures(text.as_bytes()) else {
        return Ok(if grouped { String::new() } else { "0".to_string() });
    };
    Ok(match grouped {
        true => found.get(1).map_or_else(String::new, |group| String::from_utf8_lossy(group.as_bytes()).to_string()),
        false => {
            let whole = found.get(0).map_or(&[][..], |whole| whole.as_bytes());
            String::from_utf8_lossy(whole).chars().count().to_string()
        }
    })
}

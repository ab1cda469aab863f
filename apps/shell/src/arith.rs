//! Arithmetic of `$((…))`: C's integer operators on 64-bit numbers that wrap.

use alloc::format;
use alloc::string::{String, ToString};

use crate::ast::{is_name_char, is_name_start};

/// How deep an expression may be nested.
const MAX_DEPTH: u32 = 40;

/// The variables an expression reads and writes.
pub trait Variables {
    /// A variable's value; `None` when unset.
    fn get(&mut self, name: &str) -> Result<Option<String>, String>;
    /// Changes a variable.
    fn set(&mut self, name: &str, value: i64) -> Result<(), String>;
}

/// Computes `text`. The error is the rest of a sentence.
pub fn evaluate(text: &str, variables: &mut dyn Variables) -> Result<i64, String> {
    let mut evaluator = Evaluator { text, pos: 0, variables, skipping: 0, depth: 0 };
    evaluator.blanks();
    if evaluator.pos == text.len() {
        return Ok(0);
    }
    let value = evaluator.comma()?;
    if evaluator.pos < text.len() {
        return Err(format!("arithmetic: unexpected '{}'", &text[evaluator.pos..]));
    }
    Ok(value)
}

struct Evaluator<'a> {
    text: &'a str,
    pos: usize,
    variables: &'a mut dyn Variables,
    /// Above 0 inside an operand that is not evaluated: `0 && x`.
    skipping: u32,
    depth: u32,
}

/// Binary operators from the loosest to the tightest, longer ones first within a level.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

const ASSIGNMENTS: [&str; 11] = ["<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "="];

impl Evaluator<'_> {
    fn rest(&self) -> &str {
        &self.text[self.pos..]
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, operator: &str) -> bool {
        let found = self.rest().starts_with(operator);
        if found {
            self.pos += operator.len();
            self.blanks();
        }
        found
    }

    fn comma(&mut self) -> Result<i64, String> {
        let mut value = self.assignment()?;
        while self.take(",") {
            value = self.assignment()?;
        }
        Ok(value)
    }

    fn assignment(&mut self) -> Result<i64, String> {
        if self.depth >= MAX_DEPTH {
            return Err("arithmetic: nested too deeply".into());
        }
        self.depth += 1;
        let result = self.assignment_inner();
        self.depth -= 1;
        result
    }

    fn assignment_inner(&mut self) -> Result<i64, String> {
        let before = self.pos;
        if let Some(name) = self.name() {
            for operator in ASSIGNMENTS {
                if self.rest().starts_with(operator) && !self.rest().starts_with("==") {
                    self.take(operator);
                    let right = self.assignment()?;
                    let value = match operator.strip_suffix('=') {
                        Some("") | None => right,
                        Some(binary) => {
                            let left = self.variable(&name)?;
                            self.apply(binary, left, right)?
                        }
                    };
                    return self.store(&name, value);
                }
            }
        }
        self.pos = before;
        self.ternary()
    }

    fn ternary(&mut self) -> Result<i64, String> {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.skipped(condition == 0, Self::comma)?;
        if !self.take(":") {
            return Err("arithmetic: '?' wants ':'".into());
        }
        let no = self.skipped(condition != 0, Self::assignment)?;
        Ok(if condition != 0 { yes } else { no })
    }

    fn skipped(&mut self, skip: bool, parse: impl FnOnce(&mut Self) -> Result<i64, String>) -> Result<i64, String> {
        self.skipping += u32::from(skip);
        let result = parse(self);
        self.skipping -= u32::from(skip);
        result
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let Some(operator) = operators.iter().copied().find(|operator| self.is_operator(operator)) else {
                return Ok(left);
            };
            self.take(operator);
            left = match operator {
                "||" => {
                    let right = self.skipped(left != 0, |e| e.binary(level + 1))?;
                    i64::from(left != 0 || right != 0)
                }
                "&&" => {
                    let right = self.skipped(left == 0, |e| e.binary(level + 1))?;
                    i64::from(left != 0 && right != 0)
                }
                _ => {
                    let right = self.binary(level + 1)?;
                    self.apply(operator, left, right)?
                }
            };
        }
    }

    /// Whether exactly this operator stands here, and not a longer one that begins with it.
    fn is_operator(&self, operator: &str) -> bool {
        let Some(behind) = self.rest().strip_prefix(operator) else { return false };
        match operator {
            "|" | "&" => !behind.starts_with(operator) && !behind.starts_with('='),
            "<" | ">" => !behind.starts_with(operator),
            "^" | "+" | "-" | "*" | "/" | "%" | "<<" | ">>" => !behind.starts_with('='),
            _ => true,
        }
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Result<i64, String> {
        Ok(match operator {
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<<" => left.wrapping_shl(right as u32),
            ">>" => left.wrapping_shr(right as u32),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            _ if right == 0 && self.skipping == 0 => return Err("arithmetic: division by zero".into()),
            _ if right == 0 => 0,
            "/" => left.wrapping_div(right),
            _ => left.wrapping_rem(right),
        })
    }

    fn unary(&mut self) -> Result<i64, String> {
        if self.depth >= MAX_DEPTH {
            return Err("arithmetic: nested too deeply".into());
        }
        self.depth += 1;
        let result = self.unary_inner();
        self.depth -= 1;
        result
    }

    fn unary_inner(&mut self) -> Result<i64, String> {
        for (sign, step) in [("++", 1), ("--", -1)] {
            let before = self.pos;
            if self.take(sign) {
                match self.name() {
                    Some(name) => {
                        let value = self.variable(&name)?.wrapping_add(step);
                        return self.store(&name, value);
                    }
                    None => self.pos = before,
                }
            }
        }
        if self.take("+") {
            return self.unary();
        }
        if self.take("-") {
            return Ok(self.unary()?.wrapping_neg());
        }
        if self.take("~") {
            return Ok(!self.unary()?);
        }
        if self.take("!") {
            return Ok(i64::from(self.unary()? == 0));
        }
        if self.take("(") {
            let value = self.comma()?;
            if !self.take(")") {
                return Err("arithmetic: missing ')'".into());
            }
            return Ok(value);
        }
        if let Some(name) = self.name() {
            let value = self.variable(&name)?;
            for (sign, step) in [("++", 1), ("--", -1)] {
                if self.take(sign) {
                    self.store(&name, value.wrapping_add(step))?;
                }
            }
            return Ok(value);
        }
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if length == 0 {
            return Err(match rest.chars().next() {
                Some(c) => format!("arithmetic: unexpected '{c}'"),
                None => "arithmetic: a number is missing at the end".into(),
            });
        }
        let value = number(&rest[..length])?;
        self.pos += length;
        self.blanks();
        Ok(value)
    }

    fn name(&mut self) -> Option<String> {
        let rest = self.rest();
        if !rest.starts_with(is_name_start) {
            return None;
        }
        let length = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
        let name = rest[..length].to_string();
        self.pos += length;
        self.blanks();
        Some(name)
    }

    fn variable(&mut self, name: &str) -> Result<i64, String> {
        match self.variables.get(name)? {
            Some(value) if !value.trim().is_empty() => {
                let value = value.trim();
                match value.strip_prefix('-') {
                    Some(digits) => number(digits).map(i64::wrapping_neg),
                    None => number(value.strip_prefix('+').unwrap_or(value)),
                }
            }
            _ => Ok(0),
        }
    }

    fn store(&mut self, name: &str, value: i64) -> Result<i64, String> {
        if self.skipping == 0 {
            self.variables.set(name, value)?;
        }
        Ok(value)
    }
}

/// A number in C's notation: decimal, `0x` hexadecimal, `0` octal.
fn number(text: &str) -> Result<i64, String> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    i64::from_str_radix(digits, base).map_err(|_| format!("arithmetic: '{text}' is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    struct Map(BTreeMap<String, String>);

    impl Variables for Map {
        fn get(&mut self, name: &str) -> Result<Option<String>, String> {
            Ok(self.0.get(name).cloned())
        }
        fn set(&mut self, name: &str, value: i64) -> Result<(), String> {
            self.0.insert(name.into(), value.to_string());
            Ok(())
        }
    }

    fn eval(text: &str) -> Result<i64, String> {
        evaluate(text, &mut Map(BTreeMap::from([("x".into(), "5".into())])))
    }

    #[test]
    fn operators_have_the_precedence_of_c() {
        for (text, value) in [
            ("1 + 2 * 3", 7),
            ("(1+2)*3", 9),
            ("7 % 4 - 1", 2),
            ("1 << 3 | 1", 9),
            ("-2 - -3", 1),
            ("!0 + ~0", 0),
            ("x > 3 && x < 6", 1),
            ("x == 5 ? 10 : 20", 10),
            ("0x10 + 010", 24),
            ("x += 2, x * 2", 14),
            ("x++ + x", 11),
            ("5 - 3 - 1", 1),
            ("1 || 1/0", 1),
            ("0 ? 1/0 : 3", 3),
            ("", 0),
            ("y = 3", 3),
            ("x-1", 4),
            ("9223372036854775807 + 1", i64::MIN),
        ] {
            assert_eq!(eval(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn mistakes_are_errors() {
        for text in ["1 +", "1 / 0", "(1", "1 2", "$", "08", "1 ? 2"] {
            assert!(eval(text).is_err(), "{text}");
        }
        assert!(eval(&"(".repeat(5000)).is_err());
        assert!(eval(&"-".repeat(5000)).is_err());
    }
}

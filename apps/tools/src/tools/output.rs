//! echo, printf, yes, true, false.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args;
use crate::context::{Context, Failure, Outcome};
use crate::text::{Unescaped, unescape};

pub const ECHO: Tool = Tool {
    name: "echo",
    about: "print its arguments",
    help: "Usage: echo [-neE] [TEXT]...
Prints its arguments with blanks between and a newline at the end.
  -n  no newline at the end
  -e  understand \\n, \\t, \\\\, \\xHH and the like
  -E  print backslashes as they are (default)
Example: echo -e 'one\\ntwo'",
    run: echo,
};

pub const PRINTF: Tool = Tool {
    name: "printf",
    about: "print by a format",
    help: "Usage: printf FORMAT [ARGUMENT]...
Prints the arguments by the format, again and again while arguments are left.
Knows %s %b %q %c %d %i %u %o %x %X %e %f %g %% with flags, width and precision, and \\n, \\t, \\xHH and the like.
Example: printf '%-10s %5d\\n' apples 12 pears 7",
    run: printf,
};

pub const YES: Tool = Tool {
    name: "yes",
    about: "print a line for ever",
    help: "Usage: yes [TEXT]...
Prints 'y', or the text, again and again until nobody reads it.
Example: yes | head -n 3",
    run: yes,
};

pub const TRUE: Tool = Tool {
    name: "true",
    about: "succeed",
    help: "Usage: true
Does nothing, with status 0.
Example: while true; do date; sleep 1; done",
    run: |_, _| Ok(0),
};

pub const FALSE: Tool = Tool {
    name: "false",
    about: "fail",
    help: "Usage: false
Does nothing, with status 1.
Example: false || echo failed",
    run: |_, _| Ok(1),
};

fn echo(context: &mut Context, args: &[String]) -> Outcome {
    if let [only] = args
        && only == "--help"
    {
        return Err(args::help(context));
    }
    let (mut newline, mut escapes) = (true, false);
    let mut rest = args;
    while let Some((first, others)) = rest.split_first() {
        let is_option = first.len() > 1
            && first.starts_with('-')
            && first[1..].bytes().all(|byte| matches!(byte, b'n' | b'e' | b'E'));
        if !is_option {
            break;
        }
        for letter in first[1..].bytes() {
            match letter {
                b'n' => newline = false,
                letter => escapes = letter == b'e',
            }
        }
        rest = others;
    }
    for (position, argument) in rest.iter().enumerate() {
        if position > 0 {
            context.out.byte(b' ');
        }
        if !escapes {
            context.out.bytes(argument.as_bytes());
        } else if !expand(argument.as_bytes(), true, &mut |byte| context.out.byte(byte)) {
            return Ok(0);
        }
    }
    if newline {
        context.out.byte(b'\n');
    }
    Ok(0)
}

/// Hands on a text with its escapes replaced; false where `\c` ended it. With `zero`, an octal number begins
/// with 0, as `echo` and `%b` have it.
fn expand(text: &[u8], zero: bool, out: &mut dyn FnMut(u8)) -> bool {
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        if byte != b'\\' {
            out(byte);
            continue;
        }
        let rest = &text[at..];
        if zero && matches!(rest.first(), Some(b'1'..=b'7')) {
            out(byte);
            continue;
        }
        match unescape(rest) {
            Unescaped::Byte(value, length) => {
                out(value);
                at += length;
            }
            Unescaped::Stop => return false,
            Unescaped::Plain => out(byte),
        }
    }
    true
}

fn yes(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    let mut line = if parsed.operands.is_empty() { "y".to_string() } else { parsed.operands.join(" ") };
    line.push('\n');
    let block = line.repeat((32 * 1024 / line.len()).max(1));
    while !context.out.is_broken() {
        context.out.bytes(block.as_bytes());
    }
    Ok(0)
}

/// One conversion of a format: what stands between the percent sign and the letter.
#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

fn printf(context: &mut Context, args: &[String]) -> Outcome {
    let rest = match args {
        [only] if only == "--help" => return Err(args::help(context)),
        [first, rest @ ..] if first == "--" => rest,
        all => all,
    };
    let Some((format, arguments)) = rest.split_first() else {
        return Err(args::misuse(context, "there is no format"));
    };
    let mut next = 0;
    loop {
        let before = next;
        let go_on = format_once(context, format.as_bytes(), arguments, &mut next)?;
        if !go_on || next >= arguments.len() || next == before {
            return Ok(context.status);
        }
    }
}

/// Prints the format once; false where output is to end.
fn format_once(
    context: &mut Context,
    format: &[u8],
    arguments: &[String],
    next: &mut usize,
) -> Result<bool, Failure> {
    let mut at = 0;
    while at < format.len() {
        let byte = format[at];
        at += 1;
        match byte {
            b'\\' => match unescape(&format[at..]) {
                Unescaped::Byte(value, length) => {
                    context.out.byte(value);
                    at += length;
                }
                Unescaped::Stop => return Ok(false),
                Unescaped::Plain => context.out.byte(b'\\'),
            },
            b'%' if format.get(at) == Some(&b'%') => {
                context.out.byte(b'%');
                at += 1;
            }
            b'%' => {
                let mut take = || {
                    let argument = arguments.get(*next).map(String::as_str);
                    *next += usize::from(argument.is_some());
                    argument
                };
                let spec = read_spec(format, &mut at, &mut take);
                while matches!(format.get(at), Some(b'l' | b'h' | b'j' | b'z' | b't')) {
                    at += 1;
                }
                let Some(&letter) = format.get(at) else {
                    return Err(Failure::new(1, "the format ends within a conversion"));
                };
                at += 1;
                let argument = take();
                if !convert(context, letter, &spec, argument)? {
                    return Ok(false);
                }
            }
            other => context.out.byte(other),
        }
    }
    Ok(true)
}

fn read_spec<'a>(format: &[u8], at: &mut usize, take: &mut dyn FnMut() -> Option<&'a str>) -> Spec {
    let mut spec = Spec::default();
    while let Some(flag) = format.get(*at) {
        match flag {
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.blank = true,
            b'#' => spec.alternate = true,
            b'0' => spec.zero = true,
            _ => break,
        }
        *at += 1;
    }
    let mut number = |at: &mut usize| -> Option<i64> {
        if format.get(*at) == Some(&b'*') {
            *at += 1;
            return take().and_then(|value| value.parse().ok());
        }
        let mut value: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = format.get(*at) {
            value = (value * 10 + i64::from(digit - b'0')).min(1_000_000);
            *at += 1;
        }
        Some(value)
    };
    let width = number(at).unwrap_or(0);
    spec.left |= width < 0;
    spec.width = usize::try_from(width.unsigned_abs().min(1_000_000)).unwrap_or(0);
    if format.get(*at) == Some(&b'.') {
        *at += 1;
        spec.precision = number(at).and_then(|value| usize::try_from(value).ok());
    }
    spec
}

fn convert(
    context: &mut Context,
    letter: u8,
    spec: &Spec,
    argument: Option<&str>,
) -> Result<bool, Failure> {
    match letter {
        b's' => {
            let text = argument.unwrap_or("").as_bytes();
            pad(context, &text[..text.len().min(spec.precision.unwrap_or(usize::MAX))], spec);
        }
        b'c' => pad(context, &argument.unwrap_or("").as_bytes()[..argument.map_or(0, |a| a.len().min(1))], spec),
        b'b' => {
            let mut text = Vec::new();
            let go_on = expand(argument.unwrap_or("").as_bytes(), false, &mut |byte| text.push(byte));
            text.truncate(spec.precision.unwrap_or(usize::MAX));
            pad(context, &text, spec);
            return Ok(go_on);
        }
        b'q' => {
            let text = argument.unwrap_or("");
            let plain = !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte));
            let quoted = if plain { text.to_string() } else { format!("'{}'", text.replace('\'', "'\\''")) };
            pad(context, quoted.as_bytes(), spec);
        }
        b'd' | b'i' => {
            let value = integer(context, argument);
            let digits = value.unsigned_abs().to_string();
            let sign = match (value < 0, spec.plus, spec.blank) {
                (true, ..) => "-",
                (_, true, _) => "+",
                (_, _, true) => " ",
                _ => "",
            };
            number(context, sign, &digits, spec, spec.precision.is_none());
        }
        b'u' | b'o' | b'x' | b'X' => {
            let value = integer(context, argument);
            let value = u64::try_from(value).unwrap_or_else(|_| i64::try_from(value).unwrap_or(0).cast_unsigned());
            let prefixed = spec.alternate && value != 0;
            let (prefix, digits) = match letter {
                b'o' => (if prefixed { "0" } else { "" }, format!("{value:o}")),
                b'x' => (if prefixed { "0x" } else { "" }, format!("{value:x}")),
                b'X' => (if prefixed { "0X" } else { "" }, format!("{value:X}")),
                _ => ("", value.to_string()),
            };
            number(context, prefix, &digits, spec, spec.precision.is_none());
        }
        b'f' | b'F' | b'e' | b'E' | b'g' | b'G' => {
            let value = float(context, argument);
            let sign = match (value.is_sign_negative(), spec.plus, spec.blank) {
                (true, ..) => "-",
                (_, true, _) => "+",
                (_, _, true) => " ",
                _ => "",
            };
            let magnitude = if value.is_sign_negative() { -value } else { value };
            let mut digits = float_digits(letter.to_ascii_lowercase(), magnitude, spec);
            if letter.is_ascii_uppercase() {
                digits.make_ascii_uppercase();
            }
            let plain = Spec { precision: None, ..*spec };
            number(context, sign, &digits, &plain, value.is_finite());
        }
        other => {
            let shown = char::from(other);
            return Err(Failure::new(1, format_args!("'%{shown}' is no conversion of printf")));
        }
    }
    Ok(true)
}

fn pad(context: &mut Context, text: &[u8], spec: &Spec) {
    let fill = spec.width.saturating_sub(text.len());
    if !spec.left {
        context.out.bytes(&vec![b' '; fill]);
    }
    context.out.bytes(text);
    if spec.left {
        context.out.bytes(&vec![b' '; fill]);
    }
}

fn number(context: &mut Context, sign: &str, digits: &str, spec: &Spec, may_fill: bool) {
    let digits = match spec.precision {
        Some(0) if digits == "0" => String::new(),
        Some(precision) => format!("{digits:0>precision$}"),
        None => digits.to_string(),
    };
    let mut text = sign.to_string();
    if spec.zero && !spec.left && may_fill {
        for _ in (sign.len() + digits.len())..spec.width {
            text.push('0');
        }
    }
    text.push_str(&digits);
    pad(context, text.as_bytes(), spec);
}

/// An integer argument: decimal, octal after 0, hexadecimal after 0x, or a character after a quote.
fn integer(context: &mut Context, argument: Option<&str>) -> i128 {
    let Some(text) = argument else { return 0 };
    let trimmed = text.trim_start();
    if let Some(quoted) = trimmed.strip_prefix(['\'', '"']) {
        return quoted.chars().next().map_or(0, |character| i128::from(u32::from(character)));
    }
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    let length = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
    if length < digits.len() || length == 0 {
        context.error(format_args!("'{text}' is not a whole number"));
    }
    let value = i128::from_str_radix(&digits[..length], radix).unwrap_or(0);
    if negative { -value } else { value }
}

fn float(context: &mut Context, argument: Option<&str>) -> f64 {
    match argument.map(str::trim) {
        None => 0.0,
        Some(text) => text.parse().unwrap_or_else(|_| {
            context.error(format_args!("'{text}' is not a number"));
            0.0
        }),
    }
}

/// The digits of a number that is not negative, by `%e`, `%f` or `%g`.
fn float_digits(letter: u8, value: f64, spec: &Spec) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "nan" } else { "inf" }.to_string();
    }
    let precision = spec.precision.unwrap_or(6);
    match letter {
        b'f' => format!("{value:.precision$}"),
        b'e' => exponent_form(&format!("{value:.precision$e}")),
        _ => {
            let significant = precision.max(1);
            let scientific = format!("{value:.*e}", significant - 1);
            let exponent: i64 =
                scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
            let limit = i64::try_from(significant).unwrap_or(i64::MAX);
            let strip = |text: String| match text.contains('.') && !spec.alternate {
                true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
                false => text,
            };
            if exponent < -4 || exponent >= limit {
                let (mantissa, _) = scientific.split_once('e').unwrap_or((&scientific, "0"));
                exponent_form(&format!("{}e{exponent}", strip(mantissa.to_string())))
            } else {
                let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
                strip(format!("{value:.decimals$}"))
            }
        }
    }
}

/// Rust's `1.5e7` as C's `1.5e+07`.
fn exponent_form(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

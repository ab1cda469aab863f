//! seq.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args;
use crate::context::{Context, Failure, Outcome};
use crate::context::put;

pub const SEQ: Tool = Tool {
    name: "seq",
    about: "print numbers in a row",
    help: "Usage: seq [-w] [-s TEXT] [FIRST [STEP]] LAST
Prints the numbers from FIRST (1) to LAST, each on a line. They may have a point.
  -s TEXT  this between them instead of newlines   -w  all equally wide, with zeros in front
Example: seq 0 0.5 2",
    run: seq,
};

/// A number with a point, as an integer of the smallest unit that its digits name.
struct Decimal {
    digits: i128,
    places: usize,
}

fn decimal(text: &str) -> Option<Decimal> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || fraction.len() > 15 || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = all.parse().ok().filter(|digits| *digits < 1i128 << 90)?;
    Some(Decimal { digits: if negative { -digits } else { digits }, places: fraction.len() })
}

fn seq(context: &mut Context, args: &[String]) -> Outcome {
    let (mut separator, mut equal) = ("\n".to_string(), false);
    let mut rest = args;
    // Negative numbers look like options and are none.
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "--help" => return Err(args::help(context)),
            "-w" | "--equal-width" => equal = true,
            "-s" | "--separator" => match others.split_first() {
                Some((text, after)) => {
                    separator = text.clone();
                    rest = after;
                    continue;
                }
                None => return Err(args::misuse(context, "option '-s' needs a value")),
            },
            "--" => {
                rest = others;
                break;
            }
            text if text.starts_with("--separator=") => separator = text["--separator=".len()..].to_string(),
            text if text.starts_with("-s") => separator = text[2..].to_string(),
            text if text.starts_with('-') && decimal(text).is_none() => {
                return Err(args::misuse(context, format_args!("unknown option '{text}'")));
            }
            _ => break,
        }
        rest = others;
    }
    let mut numbers = alloc::vec::Vec::new();
    for text in rest {
        match decimal(text) {
            Some(number) => numbers.push(number),
            None => return Err(args::misuse(context, format_args!("'{text}' is not a number"))),
        }
    }
    let one = || Decimal { digits: 1, places: 0 };
    let mut numbers = numbers.into_iter();
    let (first, step, last) = match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(last), None, ..) => (one(), one(), last),
        (Some(first), Some(last), None, _) => (first, one(), last),
        (Some(first), Some(step), Some(last), None) => (first, step, last),
        _ => return Err(args::misuse(context, "one to three numbers are needed")),
    };
    // The last number's digits do not show in the output.
    let shown = first.places.max(step.places);
    let places = shown.max(last.places);
    let scale = |number: &Decimal| number.digits * 10i128.pow(u32::try_from(places - number.places).unwrap_or(0));
    let (first, step, last) = (scale(&first), scale(&step), scale(&last));
    if step == 0 {
        return Err(Failure::new(1, "a step of zero leads nowhere"));
    }
    let text = |number: i128, width: usize| -> String {
        let unit = 10i128.pow(u32::try_from(places).unwrap_or(0));
        let magnitude = number.unsigned_abs();
        let sign = if number < 0 { "-" } else { "" };
        let whole = (magnitude / unit.unsigned_abs()).to_string();
        let mut digits = whole;
        if shown > 0 {
            let fraction = format!("{:0places$}", magnitude % unit.unsigned_abs());
            digits = format!("{digits}.{}", &fraction[..shown]);
        }
        format!("{sign}{digits:0>0$}", width.saturating_sub(sign.len()))
    };
    let width = if equal {
        let count = (last - first) / step;
        text(first, 0).len().max(text(first + count.max(0) * step, 0).len()).max(text(last, 0).len())
    } else {
        0
    };
    let mut number = first;
    let mut any = false;
    while (step > 0 && number <= last) || (step < 0 && number >= last) {
        if any {
            context.out.bytes(separator.as_bytes());
        }
        put!(context, "{}", text(number, width));
        any = true;
        if context.out.is_broken() {
            return Ok(0);
        }
        number += step;
    }
    if any {
        context.out.byte(b'\n');
    }
    Ok(0)
}

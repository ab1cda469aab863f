//! sha256sum and md5sum.

use alloc::string::{String, ToString};
use core::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::input::{BLOCK, Input, Lines, or_standard_input};
use crate::context::put;
use crate::sys::io::{self, Read};

pub const SHA256SUM: Tool = Tool {
    name: "sha256sum",
    about: "print or check SHA-256 checksums",
    help: "Usage: sha256sum [FILE]...
       sha256sum -c [OPTION]... [LIST]...
Prints the SHA-256 checksum of each file, or of standard input; or checks those in lists that it printed.
  -c  check   --quiet  only what is wrong   --status  only the exit status   --ignore-missing
  -w  warn of lines that are no checksum   --strict  and fail   -z  lines end with a zero byte
Example: sha256sum /bin/* > sums && sha256sum -c sums",
    run: |context, args| digest::<Sha256>(context, args),
};

pub const MD5SUM: Tool = Tool {
    name: "md5sum",
    about: "print or check MD5 checksums",
    help: "Usage: md5sum [FILE]...
       md5sum -c [OPTION]... [LIST]...
Prints the MD5 checksum of each file, or of standard input; or checks those in lists that it printed.
  -c  check   --quiet  only what is wrong   --status  only the exit status   --ignore-missing
  -w  warn of lines that are no checksum   --strict  and fail   -z  lines end with a zero byte
Example: md5sum /etc/motd",
    run: |context, args| digest::<Md5>(context, args),
};

fn digest<D: Digest>(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('c', "check"),
        Opt::Flag('b', "binary"),
        Opt::Flag('t', "text"),
        Opt::Flag('Q', "quiet"),
        Opt::Flag('S', "status"),
        Opt::Flag('I', "ignore-missing"),
        Opt::Flag('w', "warn"),
        Opt::Flag('X', "strict"),
        Opt::Flag('z', "zero"),
        Opt::Flag('T', "tag"),
    ];
    let parsed = args::parse(context, args, &known)?;
    for path in or_standard_input(parsed.operands.clone()) {
        if parsed.has('c') {
            check::<D>(context, &path, &parsed);
            continue;
        }
        match sum::<D>(&path) {
            Err(error) => context.error(format_args!("cannot read '{path}': {}", describe(&error))),
            Ok(sum) if parsed.has('T') => {
                let kind = context.name.trim_end_matches("sum").to_uppercase();
                put!(context, "{kind} ({path}) = {sum}\n");
            }
            Ok(sum) if parsed.has('z') => put!(context, "{sum}  {path}\0"),
            Ok(sum) => {
                // A name with a newline or backslash is escaped, and the line marked by a backslash in front.
                let special = path.contains(['\\', '\n', '\r']);
                let shown = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
                let mark = if parsed.has('b') { '*' } else { ' ' };
                put!(context, "{}{sum} {mark}{shown}\n", if special { "\\" } else { "" });
            }
        }
        if context.out.is_broken() {
            break;
        }
    }
    Ok(context.status)
}

/// The checksum of a file in hexadecimal digits.
fn sum<D: Digest>(path: &str) -> io::Result<String> {
    let mut input = Input::open(path)?;
    let mut state = D::new();
    let mut buffer = vec![0; BLOCK];
    loop {
        match input.read(&mut buffer)? {
            0 => break,
            count => state.update(&buffer[..count]),
        }
    }
    let mut text = String::new();
    for byte in state.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// The checksum and the name of one line of a list.
fn entry<D: Digest>(line: &str) -> Option<(String, String)> {
    let (escaped, line) = match line.strip_prefix('\\') {
        Some(line) => (true, line),
        None => (false, line),
    };
    let (sum, name) = if let Some((head, sum)) = line.rsplit_once(") = ") {
        (sum, head.split_once(" (")?.1)
    } else {
        let (sum, name) = line.trim_start().split_once(' ')?;
        (sum, name.strip_prefix([' ', '*']).unwrap_or(name))
    };
    let digits = 2 * <D as Digest>::output_size();
    if sum.len() != digits || !sum.bytes().all(|byte| byte.is_ascii_hexdigit()) || name.is_empty() {
        return None;
    }
    let name = match escaped {
        false => name.to_string(),
        true => {
            let mut plain = String::new();
            let mut characters = name.chars();
            while let Some(character) = characters.next() {
                plain.push(match character {
                    '\\' => match characters.next() {
                        Some('n') => '\n',
                        Some('r') => '\r',
                        _ => '\\',
                    },
                    other => other,
                });
            }
            plain
        }
    };
    Some((sum.to_ascii_lowercase(), name))
}

fn check<D: Digest>(context: &mut Context, list: &str, parsed: &args::Parsed) {
    let Some(input) = Input::open_or_report(context, list) else { return };
    let (mut wrong, mut unread, mut malformed, mut good) = (0u64, 0u64, 0u64, 0u64);
    let mut lines = Lines::new(input, b'\n');
    let speak = !parsed.has('S');
    let mut number = 0;
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) => String::from_utf8_lossy(line).trim_end_matches('\r').to_string(),
            Ok(None) => break,
            Err(error) => {
                context.error(format_args!("cannot read '{list}': {}", describe(&error)));
                break;
            }
        };
        number += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((expected, name)) = entry::<D>(&line) else {
            malformed += 1;
            if parsed.has('w') {
                context.note(format_args!("line {number} of '{list}' is no checksum"));
            }
            continue;
        };
        match sum::<D>(&name) {
            Ok(found) if found == expected => {
                good += 1;
                if speak && !parsed.has('Q') {
                    put!(context, "{name}: OK\n");
                }
            }
            Ok(_) => {
                wrong += 1;
                if speak {
                    put!(context, "{name}: FAILED\n");
                }
            }
            Err(error) if parsed.has('I') && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                unread += 1;
                context.error(format_args!("cannot read '{name}': {}", describe(&error)));
                if speak {
                    put!(context, "{name}: FAILED open or read\n");
                }
            }
        }
    }
    if good + wrong + unread == 0 {
        let reason = if malformed > 0 || number == 0 { "it holds no checksums" } else { "no file was checked" };
        context.error(format_args!("cannot check by '{list}': {reason}"));
        return;
    }
    let lines = |count: u64| if count == 1 { "line is" } else { "lines are" };
    let files = |count: u64| if count == 1 { "file" } else { "files" };
    if speak && malformed > 0 {
        context.note(format_args!("WARNING: {malformed} {} no checksum", lines(malformed)));
    }
    if speak && unread > 0 {
        context.note(format_args!("WARNING: {unread} {} could not be read", files(unread)));
    }
    if speak && wrong > 0 {
        context.note(format_args!("WARNING: {wrong} {} did not match", files(wrong)));
    }
    if wrong > 0 || unread > 0 || (malformed > 0 && parsed.has('X')) {
        context.status = 1;
    }
}

//! chmod.

use alloc::string::String;

use super::Tool;
use super::owners::mode_text;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::paths::join;
use crate::context::put;
use crate::sys::fs;

pub const CHMOD: Tool = Tool {
    name: "chmod",
    about: "change permissions",
    help: "Usage: chmod [-R] [-v] [-c] MODE FILE...
       chmod [-R] --reference=OTHER FILE...
Changes the permissions of files. MODE is octal (644) or changes such as u+x, go-w, a=rX with commas between.
  -R  with all that is below   -v  say what each file has now   -c  say what was changed
Example: chmod +x script.sh",
    run: chmod,
};

fn chmod(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('R', "recursive"),
        Opt::Flag('v', "verbose"),
        Opt::Flag('c', "changes"),
        Opt::Flag('f', "silent"),
        Opt::Value('K', "reference"),
    ];
    // A mode such as -w is an operand that looks like an option.
    let mut hidden = None;
    let looks_like_mode = |text: &String| {
        text.len() > 1
            && text.starts_with('-')
            && text[1..].bytes().all(|byte| b"rwxXst,+=ugoa-".contains(&byte))
            && !text.starts_with("--")
    };
    let mut rest = args.to_vec();
    if let Some(position) = rest.iter().position(looks_like_mode) {
        hidden = Some(rest.remove(position));
    }
    let parsed = args::parse(context, &rest, &known)?;
    let mut operands = parsed.operands.clone();
    let mode = if let Some(reference) = parsed.value('K') {
        match fs::metadata(reference) {
            Ok(metadata) => format!("{:o}", metadata.mode() & 0o7777),
            Err(error) => {
                let message = format!("cannot read the mode of '{reference}': {}", describe(&error));
                return Err(crate::context::Failure::new(1, message));
            }
        }
    } else if let Some(hidden) = hidden {
        hidden
    } else if operands.is_empty() {
        return Err(args::misuse(context, "there is no mode"));
    } else {
        operands.remove(0)
    };
    if change(&mode, 0, false).is_none() {
        return Err(args::misuse(context, format_args!("'{mode}' is no mode")));
    }
    if operands.is_empty() {
        return Err(args::misuse(context, format_args!("there is no file after '{mode}'")));
    }
    for path in &operands {
        apply(context, path, &mode, &parsed, true);
    }
    Ok(context.status)
}

fn apply(context: &mut Context, path: &str, mode: &str, parsed: &args::Parsed, named: bool) {
    let metadata = match fs::symlink_metadata(path) {
        // Links below a directory are left alone; one that was named is followed.
        Ok(own) if own.is_symlink() && !named => return,
        Ok(own) if own.is_symlink() => fs::metadata(path),
        other => other,
    };
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) => {
            context.error(format_args!("cannot change the mode of '{path}': {}", describe(&error)));
            return;
        }
    };
    let old = metadata.mode() & 0o7777;
    let new = change(mode, old, metadata.is_dir()).unwrap_or(old);
    if let Err(error) = fs::set_permissions(path, new) {
        context.error(format_args!("cannot change the mode of '{path}': {}", describe(&error)));
        return;
    }
    let text = |mode: u32| String::from(&mode_text(mode)[1..]);
    if old != new && (parsed.has('v') || parsed.has('c')) {
        let (before, after) = (text(old), text(new));
        put!(context, "mode of '{path}' changed from {old:04o} ({before}) to {new:04o} ({after})\n");
    } else if parsed.has('v') {
        put!(context, "mode of '{path}' retained as {old:04o} ({})\n", text(old));
    }
    if parsed.has('R') && metadata.is_dir() {
        match fs::read_dir(path) {
            Ok(reader) => {
                for name in reader.flatten().map(|entry| entry.file_name()) {
                    if name != "." && name != ".." {
                        apply(context, &join(path, &name), mode, parsed, false);
                    }
                }
            }
            Err(error) => context.error(format_args!("cannot open directory '{path}': {}", describe(&error))),
        }
    }
}

/// A mode after a change, which is octal or symbolic; none where it is neither.
pub fn change(text: &str, old: u32, directory: bool) -> Option<u32> {
    if text.bytes().all(|byte| matches!(byte, b'0'..=b'7')) && !text.is_empty() {
        let octal = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)?;
        // Octal numbers of up to four digits leave a directory's set-id bits alone.
        let kept = if directory && text.len() < 5 { old & 0o6000 } else { 0 };
        return Some(octal | kept);
    }
    let mut mode = old;
    for clause in text.split(',') {
        let who_length = clause.bytes().take_while(|byte| b"ugoa".contains(byte)).count();
        let (who, mut rest) = clause.split_at(who_length);
        let mut mask = 0;
        for letter in who.bytes() {
            mask |= match letter {
                b'u' => 0o4700,
                b'g' => 0o2070,
                b'o' => 0o1007,
                _ => 0o7777,
            };
        }
        // Without a letter all are meant, but what the usual mask of 022 withholds.
        let limit = if who.is_empty() { 0o7755 } else { 0o7777 };
        if who.is_empty() {
            mask = 0o7777;
        }
        if rest.is_empty() {
            return None;
        }
        while let Some(operator) = rest.bytes().next() {
            if !b"+-=".contains(&operator) {
                return None;
            }
            rest = &rest[1..];
            let length = rest.bytes().take_while(|byte| !b"+-=".contains(byte)).count();
            let (permissions, others) = rest.split_at(length);
            rest = others;
            let bits = permission_bits(permissions, mode, directory)? & mask & limit;
            match operator {
                b'+' => mode |= bits,
                b'-' => mode &= !bits,
                _ => {
                    let kept = if directory { 0o6000 } else { 0 };
                    mode = (mode & (!mask | kept)) | bits;
                }
            }
        }
    }
    Some(mode)
}

fn permission_bits(letters: &str, mode: u32, directory: bool) -> Option<u32> {
    let mut bits = 0;
    for letter in letters.bytes() {
        bits |= match letter {
            b'r' => 0o444,
            b'w' => 0o222,
            b'x' => 0o111,
            b'X' if directory || mode & 0o111 != 0 => 0o111,
            b'X' => 0,
            b's' => 0o6000,
            b't' => 0o1000,
            b'u' => ((mode >> 6) & 7) * 0o111,
            b'g' => ((mode >> 3) & 7) * 0o111,
            b'o' => (mode & 7) * 0o111,
            _ => return None,
        };
    }
    Some(bits)
}

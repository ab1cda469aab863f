//! basename, dirname, pwd, readlink, realpath.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::paths::{basename, dirname, join};
use crate::context::put;
use crate::sys::io::{self, ErrorKind};
use crate::sys::{env, fs};

pub const BASENAME: Tool = Tool {
    name: "basename",
    about: "print the last part of a path",
    help: "Usage: basename PATH [SUFFIX]
       basename -a [-s SUFFIX] PATH...
Prints the last part of a path, without the suffix.
  -a  several paths   -s SUFFIX  that suffix of all of them   -z  lines end with a zero byte
Example: basename /srv/www/index.html .html",
    run: run_basename,
};

pub const DIRNAME: Tool = Tool {
    name: "dirname",
    about: "print a path without its last part",
    help: "Usage: dirname [-z] PATH...
Prints each path without its last part.
  -z  lines end with a zero byte
Example: dirname /srv/www/index.html",
    run: run_dirname,
};

pub const PWD: Tool = Tool {
    name: "pwd",
    about: "print the working directory",
    help: "Usage: pwd
Prints the path of the working directory.
Example: cd /srv && pwd",
    run: pwd,
};

pub const READLINK: Tool = Tool {
    name: "readlink",
    about: "print where a link points",
    help: "Usage: readlink [-f|-e|-m] [-n] FILE...
Prints where symbolic links point.
  -f  the whole path without links, the last part may be missing   -e  nothing may   -m  anything may
  -n  no newline at the end   -z  lines end with a zero byte   -v  say what goes wrong
Example: readlink -f /bin/ls",
    run: readlink,
};

pub const REALPATH: Tool = Tool {
    name: "realpath",
    about: "print a path without links",
    help: "Usage: realpath [-e|-m] [-s] [-z] FILE...
Prints the path from the root, without links, '.' and '..'.
  -e  all of it must exist   -m  nothing must   -s  links stay   -z  lines end with a zero byte
Example: realpath ../srv",
    run: realpath,
};

fn run_basename(context: &mut Context, args: &[String]) -> Outcome {
    let known = [Opt::Flag('a', "multiple"), Opt::Value('s', "suffix"), Opt::Flag('z', "zero")];
    let parsed = args::parse_leading(context, args, &known)?;
    let several = parsed.has('a') || parsed.has('s');
    let (paths, suffix) = match (parsed.operands.as_slice(), several) {
        ([], _) => return Err(args::misuse(context, "there is no path")),
        (paths, true) => (paths, parsed.value('s').unwrap_or("")),
        ([path], false) => (core::slice::from_ref(path), ""),
        ([path, suffix], false) => (core::slice::from_ref(path), suffix.as_str()),
        _ => return Err(args::misuse(context, "several paths need '-a'")),
    };
    let end = if parsed.has('z') { '\0' } else { '\n' };
    for path in paths {
        let name = basename(path);
        let shown = match name.strip_suffix(suffix) {
            Some(shorter) if !shorter.is_empty() => shorter,
            _ => name,
        };
        put!(context, "{shown}{end}");
    }
    Ok(0)
}

fn run_dirname(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[Opt::Flag('z', "zero")])?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no path"));
    }
    let end = if parsed.has('z') { '\0' } else { '\n' };
    for path in &parsed.operands {
        put!(context, "{}{end}", dirname(path));
    }
    Ok(0)
}

fn pwd(context: &mut Context, args: &[String]) -> Outcome {
    args::parse(context, args, &[Opt::Flag('P', "physical"), Opt::Flag('L', "logical")])?;
    let directory = env::current_dir().map_err(|error| {
        Failure::new(1, format_args!("cannot find the working directory: {}", describe(&error)))
    })?;
    put!(context, "{directory}\n");
    Ok(0)
}

/// How much of a path must exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    All,
    AllButLast,
    Nothing,
}

/// A path from the root, without `.` and `..`, and without links where they are to be resolved.
fn resolve(path: &str, existing: Existing, follow: bool) -> io::Result<String> {
    if path.is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    let mut pending: alloc::vec::Vec<String> = parts(path);
    let mut resolved = if path.starts_with('/') { String::new() } else { env::current_dir()? };
    if resolved == "/" {
        resolved.clear();
    }
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == ".." {
            resolved.truncate(resolved.rfind('/').unwrap_or(0));
            continue;
        }
        let next = format!("{resolved}/{part}");
        match fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() && follow => {
                links += 1;
                if links > 40 {
                    return Err(io::Error::from(ErrorKind::InvalidInput));
                }
                let target = fs::read_link(&next)?;
                if target.starts_with('/') {
                    resolved.clear();
                }
                pending.extend(parts(&target));
                continue;
            }
            Ok(metadata) if !metadata.is_dir() && !metadata.is_symlink() && !pending.is_empty() => {
                if existing != Existing::Nothing {
                    return Err(ErrorKind::NotADirectory.into());
                }
            }
            Ok(_) => {}
            Err(error) => match existing {
                Existing::Nothing => {}
                Existing::AllButLast if pending.is_empty() && error.kind() == ErrorKind::NotFound => {}
                _ => return Err(error),
            },
        }
        resolved = next;
    }
    Ok(if resolved.is_empty() { "/".to_string() } else { resolved })
}

/// The parts of a path, the last first.
fn parts(path: &str) -> alloc::vec::Vec<String> {
    path.split('/').rev().filter(|part| !part.is_empty() && *part != ".").map(ToString::to_string).collect()
}

fn readlink(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('f', "canonicalize"),
        Opt::Flag('e', "canonicalize-existing"),
        Opt::Flag('m', "canonicalize-missing"),
        Opt::Flag('n', "no-newline"),
        Opt::Flag('z', "zero"),
        Opt::Flag('v', "verbose"),
        Opt::Flag('q', "quiet"),
        Opt::Flag('s', "silent"),
    ];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no link"));
    }
    let existing = parsed.options.iter().rev().find_map(|(option, _)| match option {
        'f' => Some(Existing::AllButLast),
        'e' => Some(Existing::All),
        'm' => Some(Existing::Nothing),
        _ => None,
    });
    for path in &parsed.operands {
        let found = match existing {
            Some(existing) => resolve(path, existing, true),
            None => fs::read_link(path),
        };
        match found {
            Ok(target) => {
                let end = match (parsed.has('n') && parsed.operands.len() == 1, parsed.has('z')) {
                    (true, _) => "",
                    (_, true) => "\0",
                    _ => "\n",
                };
                put!(context, "{target}{end}");
            }
            Err(error) if parsed.has('v') => {
                context.error(format_args!("cannot read the link '{path}': {}", describe(&error)));
            }
            Err(_) => context.status = 1,
        }
    }
    Ok(context.status)
}

fn realpath(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('e', "canonicalize-existing"),
        Opt::Flag('m', "canonicalize-missing"),
        Opt::Flag('s', "no-symlinks"),
        Opt::Flag('q', "quiet"),
        Opt::Flag('z', "zero"),
        Opt::Value('T', "relative-to"),
    ];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no path"));
    }
    let existing = match (parsed.has('m'), parsed.has('e')) {
        (true, _) => Existing::Nothing,
        (_, true) => Existing::All,
        _ => Existing::AllButLast,
    };
    let end = if parsed.has('z') { '\0' } else { '\n' };
    let base = match parsed.value('T') {
        None => None,
        Some(base) => Some(resolve(base, existing, true).map_err(|error| {
            Failure::new(1, format_args!("cannot resolve '{base}': {}", describe(&error)))
        })?),
    };
    for path in &parsed.operands {
        match resolve(path, existing, !parsed.has('s')) {
            Ok(resolved) => match &base {
                Some(base) => put!(context, "{}{end}", relative(&resolved, base)),
                None => put!(context, "{resolved}{end}"),
            },
            Err(_) if parsed.has('q') => context.status = 1,
            Err(error) => context.error(format_args!("cannot resolve '{path}': {}", describe(&error))),
        }
    }
    Ok(context.status)
}

/// The way from one directory to a path, both from the root.
fn relative(path: &str, base: &str) -> String {
    let split = |path: &str| -> alloc::vec::Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(ToString::to_string).collect()
    };
    let (to, from) = (split(path), split(base));
    let common = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let mut way = String::new();
    for _ in &from[common..] {
        way = join(&way, "..");
    }
    for part in &to[common..] {
        way = join(&way, part);
    }
    if way.is_empty() { ".".to_string() } else { way }
}

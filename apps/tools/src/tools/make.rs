//! mkdir and touch.

use alloc::string::String;

use super::Tool;
use super::permissions::change;
use crate::args::{self, Opt};
use crate::calendar::{now, parse_date, parse_stamp};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::fs::{self, OpenOptions};
use crate::sys::io::{self, ErrorKind};

pub const MKDIR: Tool = Tool {
    name: "mkdir",
    about: "make directories",
    help: "Usage: mkdir [-p] [-m MODE] [-v] DIRECTORY...
Makes directories.
  -p  those above as well, and no error where it exists
  -m MODE  with these permissions, as chmod takes them   -v  say what is made
Example: mkdir -p /srv/www/images",
    run: mkdir,
};

pub const TOUCH: Tool = Tool {
    name: "touch",
    about: "make files, or set their times",
    help: "Usage: touch [OPTION]... FILE...
Sets the times of reading and writing to now, and makes files that do not exist.
  -c  make none   -a  only the time of reading   -m  only the time of writing
  -d DATE  this time: '2026-11-21 07:30', '@1700000000'   -t [[CC]YY]MMDDhhmm[.ss]  this time
  -r FILE  that file's times
Example: touch -d 2026-01-01 /tmp/new-year",
    run: touch,
};

fn mkdir(context: &mut Context, args: &[String]) -> Outcome {
    let known = [Opt::Flag('p', "parents"), Opt::Value('m', "mode"), Opt::Flag('v', "verbose")];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no directory to make"));
    }
    let mode = match parsed.value('m') {
        None => None,
        Some(text) => match change(text, 0o777, true) {
            Some(mode) => Some(mode),
            None => return Err(args::misuse(context, format_args!("'{text}' is no mode"))),
        },
    };
    let parents = parsed.has('p');
    for path in &parsed.operands {
        let mut made = alloc::vec::Vec::new();
        let result = if parents { make_all(path, &mut made) } else { fs::create_dir(path) };
        if !parents && result.is_ok() {
            made.push(path.clone());
        }
        if parsed.has('v') {
            for directory in &made {
                put!(context, "mkdir: created directory '{directory}'\n");
            }
        }
        let fresh = made.last().is_some_and(|last| last == path);
        let result = result.and_then(|()| match mode {
            Some(mode) if fresh => fs::set_permissions(path, mode),
            _ => Ok(()),
        });
        if let Err(error) = result {
            context.error(format_args!("cannot create directory '{path}': {}", describe(&error)));
        }
    }
    Ok(context.status)
}

/// Makes a directory and those above it that are missing; notes which were made.
fn make_all(path: &str, made: &mut alloc::vec::Vec<String>) -> io::Result<()> {
    let ends = path.match_indices('/').map(|(position, _)| position).filter(|position| *position > 0);
    for end in ends.chain([path.len()]) {
        let part = &path[..end];
        if part.ends_with('/') {
            continue;
        }
        match fs::create_dir(part) {
            Ok(()) => made.push(String::from(if end == path.trim_end_matches('/').len() { path } else { part })),
            Err(error) => match fs::metadata(part) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) if end < path.len() => return Err(ErrorKind::NotADirectory.into()),
                _ => return Err(error),
            },
        }
    }
    Ok(())
}

fn touch(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('c', "no-create"),
        Opt::Flag('a', "\u{1}"),
        Opt::Flag('m', "\u{1}"),
        Opt::Value('d', "date"),
        Opt::Value('t', "\u{1}"),
        Opt::Value('r', "reference"),
        Opt::Flag('f', "\u{1}"),
    ];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no file to touch"));
    }
    let (accessed, modified) = if let Some(reference) = parsed.value('r') {
        match fs::metadata(reference) {
            Ok(metadata) => (metadata.atime(), metadata.mtime()),
            Err(error) => {
                let message = format!("cannot read the times of '{reference}': {}", describe(&error));
                return Err(Failure::new(1, message));
            }
        }
    } else {
        let given = parsed.value('d').map(|text| (text, parse_date(text)));
        let moment = match given.or_else(|| parsed.value('t').map(|text| (text, parse_stamp(text)))) {
            None => now().0,
            Some((_, Some(moment))) => moment,
            Some((text, None)) => {
                return Err(Failure::new(1, format_args!("'{text}' is no date; try '2026-11-21 07:30'")));
            }
        };
        (moment, moment)
    };
    let (only_read, only_written) = (parsed.has('a'), parsed.has('m'));
    let accessed = (only_read || !only_written).then_some(accessed);
    let modified = (only_written || !only_read).then_some(modified);
    for path in &parsed.operands {
        if fs::metadata(path).is_err() {
            if parsed.has('c') {
                continue;
            }
            if let Err(error) = OpenOptions::new().write(true).create(true).open(path) {
                context.error(format_args!("cannot touch '{path}': {}", describe(&error)));
                continue;
            }
        }
        if let Err(error) = fs::set_times(path, accessed, modified) {
            context.error(format_args!("cannot set the times of '{path}': {}", describe(&error)));
        }
    }
    Ok(context.status)
}

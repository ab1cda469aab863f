//! rm and rmdir.

use alloc::string::String;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::paths::{basename, dirname, join};
use crate::context::put;
use crate::sys::fs;
use crate::sys::io::{self, ErrorKind, Read};

pub const RM: Tool = Tool {
    name: "rm",
    about: "remove files and directories",
    help: "Usage: rm [OPTION]... FILE...
Removes files.
  -r, -R  directories with all in them   -d  empty directories
  -f  say nothing of what does not exist   -i  ask before each   -v  say what is removed
Example: rm -r /tmp/old",
    run: rm,
};

pub const RMDIR: Tool = Tool {
    name: "rmdir",
    about: "remove empty directories",
    help: "Usage: rmdir [-p] [-v] DIRECTORY...
Removes directories in which nothing is left.
  -p  the directories above as well   -v  say what is removed
  --ignore-fail-on-non-empty
Example: rmdir -p a/b/c",
    run: rmdir,
};

#[derive(Clone, Copy)]
struct Settings {
    recursive: bool,
    empty_directories: bool,
    force: bool,
    ask: bool,
    verbose: bool,
}

fn rm(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('r', "recursive"),
        Opt::Flag('R', "\u{1}"),
        Opt::Flag('f', "force"),
        Opt::Flag('i', "\u{1}"),
        Opt::Flag('d', "dir"),
        Opt::Flag('v', "verbose"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let last = parsed.options.iter().rev().find(|(option, _)| matches!(option, 'f' | 'i'));
    let settings = Settings {
        recursive: parsed.has('r') || parsed.has('R'),
        empty_directories: parsed.has('d'),
        force: parsed.has('f'),
        ask: matches!(last, Some(('i', _))),
        verbose: parsed.has('v'),
    };
    if parsed.operands.is_empty() && !settings.force {
        return Err(args::misuse(context, "there is nothing to remove"));
    }
    for path in parsed.operands {
        match basename(&path) {
            "/" => context.error("refusing to remove the root directory '/'"),
            "." | ".." => context.error(format_args!("refusing to remove '{path}'")),
            _ => {
                remove(context, &path, settings);
            }
        }
    }
    Ok(context.status)
}

/// Removes a file or a whole directory, and says what fails.
pub fn remove_tree(context: &mut Context, path: &str) {
    let settings =
        Settings { recursive: true, empty_directories: true, force: true, ask: false, verbose: false };
    remove(context, path, settings);
}

fn complain(context: &mut Context, path: &str, error: &io::Error) {
    context.error(format_args!("cannot remove '{path}': {}", describe(error)));
}

/// Whether the path is gone.
fn remove(context: &mut Context, path: &str, settings: Settings) -> bool {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let absent = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
            if !(settings.force && absent) {
                complain(context, path, &error);
            }
            return absent;
        }
    };
    if metadata.is_dir() {
        return remove_directory(context, path, settings);
    }
    if settings.ask && !confirmed(context, &format!("remove '{path}'?")) {
        return false;
    }
    match fs::remove_file(path) {
        Ok(()) => {
            if settings.verbose {
                put!(context, "removed '{path}'\n");
            }
            true
        }
        Err(error) => {
            complain(context, path, &error);
            false
        }
    }
}

fn remove_directory(context: &mut Context, path: &str, settings: Settings) -> bool {
    if settings.recursive {
        if settings.ask && !confirmed(context, &format!("descend into directory '{path}'?")) {
            return false;
        }
        // The names are collected first: removing while reading could pass some over.
        let names: Result<alloc::vec::Vec<String>, io::Error> =
            fs::read_dir(path).and_then(|reader| reader.map(|entry| Ok(entry?.file_name())).collect());
        match names {
            Ok(names) => {
                let mut emptied = true;
                for name in names.iter().filter(|name| *name != "." && *name != "..") {
                    emptied &= remove(context, &join(path, name), settings);
                }
                if !emptied {
                    return false;
                }
            }
            Err(error) => {
                complain(context, path, &error);
                return false;
            }
        }
    } else if !settings.empty_directories {
        context.error(format_args!("cannot remove '{path}': it is a directory; use rm -r or rmdir"));
        return false;
    }
    if settings.ask && !confirmed(context, &format!("remove directory '{path}'?")) {
        return false;
    }
    match fs::remove_dir(path) {
        Ok(()) => {
            if settings.verbose {
                put!(context, "removed directory '{path}'\n");
            }
            true
        }
        Err(error) => {
            complain(context, path, &error);
            false
        }
    }
}

/// Asks a question on standard error; an answer that begins with y is yes.
fn confirmed(context: &mut Context, question: &str) -> bool {
    let text = format!("{}: {question} ", context.name);
    context.diagnose(&text);
    let mut answer = None;
    let mut byte = [0];
    let mut input = io::stdin();
    while let Ok(1) = input.read(&mut byte) {
        if byte[0] == b'\n' {
            break;
        }
        answer.get_or_insert(byte[0]);
    }
    matches!(answer, Some(b'y' | b'Y'))
}

fn rmdir(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('p', "parents"),
        Opt::Flag('v', "verbose"),
        Opt::Flag('I', "ignore-fail-on-non-empty"),
    ];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no directory to remove"));
    }
    for operand in &parsed.operands {
        let mut path = operand.as_str();
        loop {
            if parsed.has('v') {
                put!(context, "rmdir: removing directory, '{path}'\n");
            }
            if let Err(error) = fs::remove_dir(path) {
                if !(parsed.has('I') && error.kind() == ErrorKind::DirectoryNotEmpty) {
                    complain(context, path, &error);
                }
                break;
            }
            path = dirname(path);
            if !parsed.has('p') || path == "." || path == "/" {
                break;
            }
        }
    }
    Ok(context.status)
}

//! ln.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::paths::{basename, dirname, join};
use crate::context::put;
use crate::sys::fs;
use crate::sys::io;

pub const LN: Tool = Tool {
    name: "ln",
    about: "make links",
    help: "Usage: ln [OPTION]... TARGET LINK
       ln [OPTION]... TARGET
       ln [OPTION]... TARGET... DIRECTORY
Gives a file one more name, or with -s makes a file that points to a path.
  -s  symbolic link   -f  replace what has the link's name   -r  with -s: relative to the link
  -n  a link to a directory is no directory to link into   -T  nor is a directory
  -t DIRECTORY  make the links there   -v  say what is made
Example: ln -s /srv/www /www",
    run: ln,
};

fn ln(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('s', "symbolic"),
        Opt::Flag('f', "force"),
        Opt::Flag('r', "relative"),
        Opt::Flag('n', "no-dereference"),
        Opt::Flag('T', "no-target-directory"),
        Opt::Value('t', "target-directory"),
        Opt::Flag('v', "verbose"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let mut operands = parsed.operands.clone();
    let is_directory = |path: &str| {
        let found = if parsed.has('n') { fs::symlink_metadata(path) } else { fs::metadata(path) };
        found.is_ok_and(|metadata| metadata.is_dir())
    };
    let pairs: Vec<(String, String)> = if let Some(directory) = parsed.value('t') {
        operands.iter().map(|target| (target.clone(), join(directory, basename(target)))).collect()
    } else {
        match operands.as_slice() {
            [] => return Err(args::misuse(context, "there is nothing to link to")),
            [target] => vec![(target.clone(), basename(target).to_string())],
            [target, link] if parsed.has('T') || !is_directory(link) => vec![(target.clone(), link.clone())],
            _ => {
                let directory = operands.pop().unwrap_or_default();
                if !is_directory(&directory) {
                    return Err(Failure::new(1, format_args!("target '{directory}' is not a directory")));
                }
                operands.iter().map(|target| (target.clone(), join(&directory, basename(target)))).collect()
            }
        }
    };
    for (target, link) in pairs {
        let result = make(&target, &link, parsed.has('s'), parsed.has('f'), parsed.has('r'));
        let symbolic = if parsed.has('s') { "symbolic" } else { "hard" };
        match result {
            Ok(()) if parsed.has('v') => {
                put!(context, "'{link}' {} '{target}'\n", if parsed.has('s') { "->" } else { "=>" });
            }
            Ok(()) => {}
            Err(error) => context.error(format_args!(
                "cannot make the {symbolic} link '{link}' to '{target}': {}",
                describe(&error)
            )),
        }
    }
    Ok(context.status)
}

fn make(target: &str, link: &str, symbolic: bool, force: bool, relative: bool) -> io::Result<()> {
    if !symbolic {
        // A missing target must not cost the old file its name.
        fs::symlink_metadata(target)?;
    }
    if force && let Ok(existing) = fs::symlink_metadata(link) {
        let same = !symbolic
            && fs::symlink_metadata(target)
                .is_ok_and(|other| other.dev() == existing.dev() && other.ino() == existing.ino());
        if same {
            return Ok(());
        }
        if !existing.is_dir() {
            fs::remove_file(link)?;
        }
    }
    match (symbolic, relative) {
        (true, true) => fs::symlink(&relative_path(target, dirname(link))?, link),
        (true, false) => fs::symlink(target, link),
        _ => fs::hard_link(target, link),
    }
}

/// The way from a directory to a target, links resolved.
fn relative_path(target: &str, directory: &str) -> io::Result<String> {
    let absolute = fs::canonicalize(target).or_else(|_| {
        fs::canonicalize(dirname(target)).map(|parent| join(&parent, basename(target)))
    })?;
    let from = fs::canonicalize(directory)?;
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty()).map(ToString::to_string).collect()
    };
    let (target, from) = (parts(&absolute), parts(&from));
    let common = target.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let mut way: Vec<&str> = from[common..].iter().map(|_| "..").collect();
    way.extend(target[common..].iter().map(String::as_str));
    Ok(if way.is_empty() { ".".to_string() } else { way.join("/") })
}

//! cp and mv.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use super::remove::remove_tree;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::BLOCK;
use crate::paths::{basename, dirname, join};
use crate::context::put;
use crate::sys::fs::{self, File, Metadata};
use crate::sys::io::{self, ErrorKind, Read, Write};

pub const CP: Tool = Tool {
    name: "cp",
    about: "copy files and directories",
    help: "Usage: cp [OPTION]... SOURCE TARGET
       cp [OPTION]... SOURCE... DIRECTORY
       cp [OPTION]... -t DIRECTORY SOURCE...
Copies a file to a file, or files into a directory.
  -r, -R  directories with all in them   -p  keep mode and times
  -a  the same as -r -p -d               -d, -P  copy links as links   -L  copy what links point to
  -f  replace a target that cannot be opened   -n  never overwrite   -u  only what is newer
  -l  make hard links instead   -s  make symbolic links instead
  -T  the target is no directory to copy into   -v  say what is done
Example: cp -a /etc /tmp/etc-copy",
    run: cp,
};

pub const MV: Tool = Tool {
    name: "mv",
    about: "rename or move files",
    help: "Usage: mv [OPTION]... SOURCE TARGET
       mv [OPTION]... SOURCE... DIRECTORY
       mv [OPTION]... -t DIRECTORY SOURCE...
Renames a file, or moves files into a directory; to another file system by copying.
  -f  overwrite (default)   -n  never overwrite   -u  only what is newer
  -T  the target is no directory to move into     -v  say what is done
Example: mv notes.txt /tmp",
    run: mv,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Follow links everywhere.
    Follow,
    /// Copy links as links.
    Keep,
}

#[derive(Clone, Copy)]
struct Settings {
    recursive: bool,
    preserve: bool,
    links: Links,
    force: bool,
    keep_existing: bool,
    only_newer: bool,
    hard: bool,
    symbolic: bool,
    verbose: bool,
}

/// Where the sources go.
enum Target {
    Into(String),
    At(String),
}

fn cp(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('r', "recursive"),
        Opt::Flag('R', "\u{1}"),
        Opt::Flag('p', "\u{1}"),
        Opt::Attached('K', "preserve"),
        Opt::Flag('a', "archive"),
        Opt::Flag('d', "\u{1}"),
        Opt::Flag('P', "no-dereference"),
        Opt::Flag('L', "dereference"),
        Opt::Flag('f', "force"),
        Opt::Flag('n', "no-clobber"),
        Opt::Flag('u', "update"),
        Opt::Flag('l', "link"),
        Opt::Flag('s', "symbolic-link"),
        Opt::Value('t', "target-directory"),
        Opt::Flag('T', "no-target-directory"),
        Opt::Flag('v', "verbose"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let recursive = parsed.has('r') || parsed.has('R') || parsed.has('a');
    let mut links = if recursive { Links::Keep } else { Links::Follow };
    for (option, _) in &parsed.options {
        match option {
            'L' => links = Links::Follow,
            'P' | 'd' | 'a' => links = Links::Keep,
            _ => {}
        }
    }
    let settings = Settings {
        recursive,
        preserve: parsed.has('p') || parsed.has('a') || parsed.has('K'),
        links,
        force: parsed.has('f'),
        keep_existing: parsed.has('n'),
        only_newer: parsed.has('u'),
        hard: parsed.has('l'),
        symbolic: parsed.has('s'),
        verbose: parsed.has('v'),
    };
    let (sources, target) = sources_and_target(context, &parsed)?;
    for source in sources {
        let destination = destination(&source, &target);
        copy_any(context, &source, &destination, settings);
    }
    Ok(context.status)
}

/// Splits the operands; with several sources the target must be a directory.
fn sources_and_target(
    context: &mut Context,
    parsed: &args::Parsed,
) -> Result<(Vec<String>, Target), Failure> {
    let mut operands = parsed.operands.clone();
    let directory = match parsed.value('t') {
        Some(directory) => directory.to_string(),
        None => match operands.len() {
            0 => return Err(args::misuse(context, "there is nothing to work on")),
            1 => {
                let message = format!("there is no target after '{}'", operands[0]);
                return Err(args::misuse(context, message));
            }
            _ => operands.pop().unwrap_or_default(),
        },
    };
    let is_directory = fs::metadata(&directory).is_ok_and(|metadata| metadata.is_dir());
    let single = operands.len() == 1 && parsed.value('t').is_none();
    if parsed.has('T') || (single && !is_directory) {
        if operands.len() > 1 {
            return Err(args::misuse(context, "several files cannot become one"));
        }
        return Ok((operands, Target::At(directory)));
    }
    if !is_directory {
        return Err(Failure::new(1, format_args!("target '{directory}' is not a directory")));
    }
    Ok((operands, Target::Into(directory)))
}

fn destination(source: &str, target: &Target) -> String {
    match target {
        Target::At(path) => path.clone(),
        Target::Into(directory) => {
            let name = basename(source);
            if name == "/" || name == "." || name == ".." { directory.clone() } else { join(directory, name) }
        }
    }
}

/// Whether the target stays as it is because of `-n` or `-u`.
fn stays(source: &Metadata, target: Option<&Metadata>, settings: Settings) -> bool {
    let Some(target) = target else { return false };
    settings.keep_existing || (settings.only_newer && !source.is_dir() && source.mtime() <= target.mtime())
}

fn cannot_copy(context: &mut Context, source: &str, target: &str, error: &io::Error) {
    context.error(format_args!("cannot copy '{source}' to '{target}': {}", describe(error)));
}

fn copy_any(context: &mut Context, source: &str, target: &str, settings: Settings) {
    let found = match settings.links {
        Links::Follow => fs::metadata(source),
        Links::Keep => fs::symlink_metadata(source),
    };
    let metadata = match found {
        Ok(metadata) => metadata,
        Err(error) => return cannot_copy(context, source, target, &error),
    };
    let existing = fs::metadata(target).ok();
    if metadata.is_dir() {
        return copy_directory(context, source, target, &metadata, existing.as_ref(), settings);
    }
    if stays(&metadata, existing.as_ref(), settings) {
        return;
    }
    if let Some(existing) = &existing {
        if existing.is_dir() {
            context.error(format_args!("cannot overwrite directory '{target}' with '{source}'"));
            return;
        }
        if existing.dev() == metadata.dev() && existing.ino() == metadata.ino() && !settings.hard {
            context.error(format_args!("'{source}' and '{target}' are the same file"));
            return;
        }
    }
    let result = if settings.hard || settings.symbolic || metadata.is_symlink() {
        link(source, target, &metadata, settings)
    } else {
        copy_file(source, target, &metadata, settings)
    };
    match result {
        Ok(()) if settings.verbose => put!(context, "'{source}' -> '{target}'\n"),
        Ok(()) => {}
        Err(error) => cannot_copy(context, source, target, &error),
    }
}

fn link(source: &str, target: &str, metadata: &Metadata, settings: Settings) -> io::Result<()> {
    if fs::symlink_metadata(target).is_ok() && (settings.force || metadata.is_symlink()) {
        fs::remove_file(target)?;
    }
    if settings.hard {
        fs::hard_link(source, target)
    } else if settings.symbolic {
        fs::symlink(source, target)
    } else {
        fs::symlink(&fs::read_link(source)?, target)
    }
}

fn copy_file(source: &str, target: &str, metadata: &Metadata, settings: Settings) -> io::Result<()> {
    let mut input = File::open(source)?;
    let existed = fs::metadata(target).is_ok();
    let mut output = match File::create(target) {
        Ok(output) => output,
        Err(_) if settings.force && existed => {
            fs::remove_file(target)?;
            File::create(target)?
        }
        Err(error) => return Err(error),
    };
    pump(&mut input, &mut output)?;
    drop(output);
    if settings.preserve {
        keep_attributes(target, metadata)
    } else if !existed && metadata.mode() & 0o755 != 0o644 {
        // What the usual mask of 022 leaves: a program stays one, a secret too.
        fs::set_permissions(target, metadata.mode() & 0o755)
    } else {
        Ok(())
    }
}

fn keep_attributes(target: &str, metadata: &Metadata) -> io::Result<()> {
    // The times first: a mode without the right to write could hinder them.
    fs::set_times(target, Some(metadata.atime()), Some(metadata.mtime()))?;
    fs::set_permissions(target, metadata.mode() & 0o7777)
}

/// Copies all that is left of one file into another.
fn pump(input: &mut File, output: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 2 * BLOCK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return output.flush(),
            Ok(count) => output.write_all(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether a path lies in a directory or is it, links resolved.
fn is_inside(path: &str, directory: &str) -> bool {
    let resolved = fs::canonicalize(path).or_else(|_| {
        fs::canonicalize(dirname(path)).map(|parent| join(&parent, basename(path)))
    });
    match (resolved, fs::canonicalize(directory)) {
        (Ok(path), Ok(directory)) => {
            path == directory || path.starts_with(&join(&directory, "")) || directory == "/"
        }
        _ => false,
    }
}

fn copy_directory(
    context: &mut Context,
    source: &str,
    target: &str,
    metadata: &Metadata,
    existing: Option<&Metadata>,
    settings: Settings,
) {
    if !settings.recursive {
        context.error(format_args!("'{source}' is a directory; it is copied with -r only"));
        return;
    }
    if is_inside(target, source) {
        context.error(format_args!("cannot copy directory '{source}' into itself, '{target}'"));
        return;
    }
    match existing {
        Some(existing) if existing.is_dir() => {}
        Some(_) => {
            context.error(format_args!("cannot overwrite '{target}', which is no directory, with '{source}'"));
            return;
        }
        None => {
            if let Err(error) = fs::create_dir(target) {
                return cannot_copy(context, source, target, &error);
            }
            if settings.verbose {
                put!(context, "'{source}' -> '{target}'\n");
            }
        }
    }
    let reader = match fs::read_dir(source) {
        Ok(reader) => reader,
        Err(error) => return cannot_copy(context, source, target, &error),
    };
    for entry in reader {
        match entry {
            Ok(entry) => {
                let name = entry.file_name();
                if name != "." && name != ".." {
                    copy_any(context, &join(source, &name), &join(target, &name), settings);
                }
            }
            Err(error) => return cannot_copy(context, source, target, &error),
        }
    }
    let kept = if settings.preserve {
        keep_attributes(target, metadata)
    } else if existing.is_none() && metadata.mode() & 0o777 != 0o755 {
        fs::set_permissions(target, metadata.mode() & 0o755)
    } else {
        Ok(())
    };
    if let Err(error) = kept {
        cannot_copy(context, source, target, &error);
    }
}

fn mv(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('f', "force"),
        Opt::Flag('n', "no-clobber"),
        Opt::Flag('u', "update"),
        Opt::Value('t', "target-directory"),
        Opt::Flag('T', "no-target-directory"),
        Opt::Flag('v', "verbose"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let settings = Settings {
        recursive: true,
        preserve: true,
        links: Links::Keep,
        force: true,
        keep_existing: parsed.has('n'),
        only_newer: parsed.has('u'),
        hard: false,
        symbolic: false,
        verbose: false,
    };
    let verbose = parsed.has('v');
    let (sources, target) = sources_and_target(context, &parsed)?;
    for source in sources {
        let destination = destination(source.trim_end_matches('/'), &target);
        move_one(context, &source, &destination, settings, verbose);
    }
    Ok(context.status)
}

fn move_one(context: &mut Context, source: &str, target: &str, settings: Settings, verbose: bool) {
    let metadata = match fs::symlink_metadata(source) {
        Ok(metadata) => metadata,
        Err(error) => {
            context.error(format_args!("cannot move '{source}' to '{target}': {}", describe(&error)));
            return;
        }
    };
    let existing = fs::symlink_metadata(target).ok();
    if stays(&metadata, existing.as_ref(), settings) {
        return;
    }
    if let Some(existing) = &existing {
        let same = existing.dev() == metadata.dev() && existing.ino() == metadata.ino();
        let problem = if same && !metadata.is_dir() {
            Some(format!("'{source}' and '{target}' are the same file"))
        } else if existing.is_dir() && !metadata.is_dir() {
            Some(format!("cannot overwrite directory '{target}' with '{source}'"))
        } else if !existing.is_dir() && metadata.is_dir() {
            Some(format!("cannot overwrite '{target}', which is no directory, with '{source}'"))
        } else {
            None
        };
        if let Some(problem) = problem {
            context.error(problem);
            return;
        }
    }
    if metadata.is_dir() && is_inside(target, source) {
        context.error(format_args!("cannot move '{source}' into itself, '{target}'"));
        return;
    }
    let moved = match fs::rename(source, target) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let before = context.status;
            context.status = 0;
            copy_any(context, source, target, settings);
            let copied = context.status == 0;
            context.status = context.status.max(before);
            if !copied {
                return;
            }
            remove_tree(context, source);
            Ok(())
        }
        other => other,
    };
    match moved {
        Ok(()) if verbose => put!(context, "renamed '{source}' -> '{target}'\n"),
        Ok(()) => {}
        Err(error) => context.error(format_args!("cannot move '{source}' to '{target}': {}", describe(&error))),
    }
}

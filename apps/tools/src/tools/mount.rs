//! mount, umount, sync.

use alloc::string::String;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::fs::{self, File};

pub const MOUNT: Tool = Tool {
    name: "mount",
    about: "list file systems, or add one to the tree",
    help: "Usage: mount
       mount [-t KIND] [-o OPTIONS] [-r] SOURCE DIRECTORY
Lists the mounted file systems, or makes one appear at a directory.
  -t KIND  ext4 or memory   -o OPTIONS  such as ro, with commas between   -r  read-only
Example: mount -t memory none /tmp",
    run: mount,
};

pub const UMOUNT: Tool = Tool {
    name: "umount",
    about: "take a file system out of the tree",
    help: "Usage: umount DIRECTORY...
Writes what is not yet on the disk and takes the file system out of the tree.
Example: umount /mnt",
    run: umount,
};

pub const SYNC: Tool = Tool {
    name: "sync",
    about: "bring everything written to the disk",
    help: "Usage: sync [FILE]...
Waits until all that was written, or the files named, is on the disk.
Example: cp notes.txt /srv && sync",
    run: sync,
};

fn mount(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Value('t', "types"),
        Opt::Value('o', "options"),
        Opt::Flag('r', "read-only"),
        Opt::Flag('w', "rw"),
    ];
    let parsed = args::parse(context, args, &known)?;
    match parsed.operands.as_slice() {
        [] => {
            let mounts = fs::mounts().map_err(|error| {
                Failure::new(1, format_args!("cannot list the mounted file systems: {}", describe(&error)))
            })?;
            for mount in mounts.iter().filter(|mount| parsed.value('t').is_none_or(|kind| kind == mount.kind)) {
                put!(
                    context,
                    "{} on {} type {} ({})\n",
                    mount.source,
                    mount.target,
                    mount.kind,
                    mount.options
                );
            }
            Ok(0)
        }
        [source, target] => {
            let mut options = String::from(parsed.value('o').unwrap_or(""));
            if parsed.has('r') {
                options += if options.is_empty() { "ro" } else { ",ro" };
            }
            let memory = matches!(source.as_str(), "memory" | "none" | "tmpfs");
            let kind = match parsed.value('t') {
                Some("tmpfs") => "memory",
                Some(kind) => kind,
                None if memory => "memory",
                None => "ext4",
            };
            fs::mount(source, target, kind, &options).map_err(|error| {
                Failure::new(1, format_args!("cannot mount '{source}' at '{target}': {}", describe(&error)))
            })?;
            Ok(0)
        }
        _ => Err(args::misuse(context, "a source and a directory are needed")),
    }
}

fn umount(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no directory to unmount"));
    }
    for target in &parsed.operands {
        if let Err(error) = fs::unmount(target) {
            context.error(format_args!("cannot unmount '{target}': {}", describe(&error)));
        }
    }
    Ok(context.status)
}

fn sync(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    if parsed.operands.is_empty()
        && let Err(error) = fs::sync()
    {
        context.error(format_args!("cannot bring everything to the disk: {}", describe(&error)));
    }
    for path in &parsed.operands {
        if let Err(error) = File::open(path).and_then(|file| file.sync_all()) {
            context.error(format_args!("cannot bring '{path}' to the disk: {}", describe(&error)));
        }
    }
    Ok(context.status)
}

//! stat.

use alloc::string::{String, ToString};

use super::Tool;
use super::owners::{Names, TYPE_BITS, mode_text};
use crate::args::{self, Opt};
use crate::calendar::strftime;
use crate::context::{Context, Outcome, describe};
use crate::context::put;
use crate::sys::fs::{self, Metadata};
use crate::text::{Unescaped, unescape};

pub const STAT: Tool = Tool {
    name: "stat",
    about: "show what is known of a file",
    help: "Usage: stat [-L] [-c FORMAT] FILE...
       stat -f FILE...
Shows size, owner, mode and times of files; with -f, the file system they are in.
  -L  of what a link points to
  -c FORMAT  %n name, %N name quoted, %s bytes, %b blocks, %B bytes a block, %a mode octal, %A mode in letters,
             %f mode hexadecimal, %F type, %u %U owner, %g %G group, %h links, %i inode, %d device,
             %x %X read, %y %Y written, %z %Z changed
Example: stat -c '%s %n' /bin/tools",
    run: stat,
};

fn stat(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('L', "dereference"),
        Opt::Value('c', "format"),
        Opt::Value('K', "printf"),
        Opt::Flag('f', "file-system"),
        Opt::Flag('t', "terse"),
    ];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no file to look at"));
    }
    let (users, groups) = (Names::users(), Names::groups());
    for path in &parsed.operands {
        if parsed.has('f') {
            file_system(context, path);
            continue;
        }
        let found = if parsed.has('L') { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let metadata = match found {
            Ok(metadata) => metadata,
            Err(error) => {
                context.error(format_args!("cannot stat '{path}': {}", describe(&error)));
                continue;
            }
        };
        let subject = Subject { path, metadata: &metadata, users: &users, groups: &groups };
        if let Some(format) = parsed.value('c') {
            subject.by_format(context, format, false);
            context.out.byte(b'\n');
        } else if let Some(format) = parsed.value('K') {
            subject.by_format(context, format, true);
        } else if parsed.has('t') {
            subject.by_format(context, "%n %s %b %f %u %g %D %i %h %X %Y %Z %B\n", true);
        } else {
            subject.in_full(context);
        }
    }
    Ok(context.status)
}

struct Subject<'a> {
    path: &'a str,
    metadata: &'a Metadata,
    users: &'a Names,
    groups: &'a Names,
}

fn kind(metadata: &Metadata) -> &'static str {
    match metadata.mode() & TYPE_BITS {
        0o040_000 => "directory",
        0o120_000 => "symbolic link",
        0o020_000 => "character special file",
        0o060_000 => "block special file",
        0o010_000 => "fifo",
        0o140_000 => "socket",
        _ if metadata.len() == 0 => "regular empty file",
        _ => "regular file",
    }
}

fn moment(seconds: i64) -> String {
    strftime("%Y-%m-%d %H:%M:%S.000000000 +0000", seconds, 0)
}

impl Subject<'_> {
    fn in_full(&self, context: &mut Context) {
        let metadata = self.metadata;
        let mode = metadata.mode();
        put!(context, "  File: {}\n", self.named());
        put!(
            context,
            "  Size: {:<10}\tBlocks: {:<10} IO Block: 4096   {}\n",
            metadata.len(),
            metadata.blocks(),
            kind(metadata)
        );
        put!(
            context,
            "Device: {}\tInode: {:<11} Links: {}\n",
            metadata.dev(),
            metadata.ino(),
            metadata.nlink()
        );
        put!(
            context,
            "Access: ({:04o}/{})  Uid: ({:5}/{:>8})   Gid: ({:5}/{:>8})\n",
            mode & 0o7777,
            mode_text(mode),
            metadata.uid(),
            self.users.name(metadata.uid()),
            metadata.gid(),
            self.groups.name(metadata.gid())
        );
        put!(context, "Access: {}\n", moment(metadata.atime()));
        put!(context, "Modify: {}\n", moment(metadata.mtime()));
        put!(context, "Change: {}\n", moment(metadata.ctime()));
    }

    fn named(&self) -> String {
        match self.metadata.is_symlink() {
            true => format!("{} -> {}", self.path, fs::read_link(self.path).unwrap_or_default()),
            false => self.path.to_string(),
        }
    }

    fn by_format(&self, context: &mut Context, format: &str, escapes: bool) {
        let bytes = format.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            match (byte, bytes.get(at)) {
                (b'%', Some(letter)) => {
                    at += 1;
                    match self.value(*letter) {
                        Some(text) => context.out.bytes(text.as_bytes()),
                        None => context.out.bytes(b"?"),
                    }
                }
                (b'\\', _) if escapes => match unescape(&bytes[at..]) {
                    Unescaped::Byte(value, length) => {
                        context.out.byte(value);
                        at += length;
                    }
                    _ => context.out.byte(b'\\'),
                },
                _ => context.out.byte(byte),
            }
        }
    }

    fn value(&self, letter: u8) -> Option<String> {
        let metadata = self.metadata;
        Some(match letter {
            b'n' => self.path.to_string(),
            b'N' => match metadata.is_symlink() {
                true => format!("'{}' -> '{}'", self.path, fs::read_link(self.path).unwrap_or_default()),
                false => format!("'{}'", self.path),
            },
            b's' => metadata.len().to_string(),
            b'b' => metadata.blocks().to_string(),
            b'B' => "512".to_string(),
            b'o' => "4096".to_string(),
            b'a' => format!("{:o}", metadata.mode() & 0o7777),
            b'A' => mode_text(metadata.mode()),
            b'f' => format!("{:x}", metadata.mode()),
            b'F' => kind(metadata).to_string(),
            b'u' => metadata.uid().to_string(),
            b'U' => self.users.name(metadata.uid()),
            b'g' => metadata.gid().to_string(),
            b'G' => self.groups.name(metadata.gid()),
            b'h' => metadata.nlink().to_string(),
            b'i' => metadata.ino().to_string(),
            b'd' => metadata.dev().to_string(),
            b'D' => format!("{:x}", metadata.dev()),
            b'x' => moment(metadata.atime()),
            b'y' => moment(metadata.mtime()),
            b'z' => moment(metadata.ctime()),
            b'X' => metadata.atime().to_string(),
            b'Y' => metadata.mtime().to_string(),
            b'Z' => metadata.ctime().to_string(),
            b'%' => "%".to_string(),
            _ => return None,
        })
    }
}

fn file_system(context: &mut Context, path: &str) {
    match fs::statfs(path) {
        Ok(found) => {
            put!(context, "  File: \"{path}\"\n");
            put!(context, "  Type: {}{}\n", found.kind, if found.read_only { ", read-only" } else { "" });
            put!(
                context,
                "Blocks: size {}, total {}, free {}\n",
                found.block_size,
                found.blocks,
                found.blocks_free
            );
            put!(context, "Inodes: total {}, free {}\n", found.files, found.files_free);
        }
        Err(error) => {
            context.error(format_args!("cannot read the file system of '{path}': {}", describe(&error)));
        }
    }
}

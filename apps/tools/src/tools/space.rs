//! du and df: space in use.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Outcome, describe};
use crate::paths::join;
use crate::context::put;
use crate::sys::fs::{self, Mount, StatFs};
use crate::text::human;

pub const DU: Tool = Tool {
    name: "du",
    about: "show the space that files take",
    help: "Usage: du [OPTION]... [FILE]...
Shows the space that directories take on the disk, with all that is in them, in KiB.
  -s  only the sums   -a  files too   -h  as 1.5K, 2.0M   -c  a total at the end
  -d N  only N levels deep   -b  length in bytes   -k  KiB   -m  MiB   -x  only this file system
Example: du -sh /srv /bin",
    run: du,
};

pub const DF: Tool = Tool {
    name: "df",
    about: "show the space that is left",
    help: "Usage: df [OPTION]... [FILE]...
Shows size and use of the mounted file systems, or of those the files are in, in KiB.
  -h  as 1.5K, 2.0M   -i  inodes instead of space   -T  with the kind   -k  KiB   -m  MiB
Example: df -h /",
    run: df,
};

#[derive(Clone, Copy)]
enum Unit {
    Human,
    Bytes(u64),
}

impl Unit {
    fn text(self, bytes: u64) -> String {
        match self {
            Unit::Human if bytes == 0 => "0".to_string(),
            Unit::Human => human(bytes),
            Unit::Bytes(unit) => bytes.div_ceil(unit).to_string(),
        }
    }
}

struct Walk {
    unit: Unit,
    apparent: bool,
    all: bool,
    depth: usize,
    one_system: bool,
    seen: BTreeSet<(u64, u64)>,
}

fn du(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('s', "summarize"),
        Opt::Flag('a', "all"),
        Opt::Flag('h', "human-readable"),
        Opt::Flag('c', "total"),
        Opt::Value('d', "max-depth"),
        Opt::Flag('b', "bytes"),
        Opt::Flag('A', "apparent-size"),
        Opt::Flag('k', "\u{1}"),
        Opt::Flag('m', "\u{1}"),
        Opt::Flag('x', "one-file-system"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let depth = match parsed.value('d') {
        _ if parsed.has('s') => 0,
        None => usize::MAX,
        Some(text) => match text.parse() {
            Ok(depth) => depth,
            Err(_) => return Err(args::misuse(context, format_args!("'{text}' is no depth"))),
        },
    };
    let mut unit = Unit::Bytes(1024);
    for (option, _) in &parsed.options {
        match option {
            'h' => unit = Unit::Human,
            'b' => unit = Unit::Bytes(1),
            'k' => unit = Unit::Bytes(1024),
            'm' => unit = Unit::Bytes(1 << 20),
            _ => {}
        }
    }
    let mut walk = Walk {
        unit,
        apparent: parsed.has('b') || parsed.has('A'),
        all: parsed.has('a'),
        depth,
        one_system: parsed.has('x'),
        seen: BTreeSet::new(),
    };
    let mut operands = parsed.operands.clone();
    if operands.is_empty() {
        operands.push(".".to_string());
    }
    let mut total = 0;
    for path in &operands {
        total += measure(context, path, 0, None, &mut walk);
    }
    if parsed.has('c') {
        put!(context, "{}\ttotal\n", unit.text(total));
    }
    Ok(context.status)
}

/// Sums up a file or directory and prints it where the options ask for it.
fn measure(context: &mut Context, path: &str, level: usize, device: Option<u64>, walk: &mut Walk) -> u64 {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            context.error(format_args!("cannot access '{path}': {}", describe(&error)));
            return 0;
        }
    };
    if walk.one_system && device.is_some_and(|device| device != metadata.dev()) {
        return 0;
    }
    // A file with several names takes its space once.
    if metadata.nlink() > 1 && !metadata.is_dir() && !walk.seen.insert((metadata.dev(), metadata.ino())) {
        return 0;
    }
    let mut sum = if walk.apparent { metadata.len() } else { metadata.blocks() * 512 };
    if metadata.is_dir() {
        match fs::read_dir(path) {
            Ok(reader) => {
                for name in reader.flatten().map(|entry| entry.file_name()) {
                    if name != "." && name != ".." {
                        sum += measure(context, &join(path, &name), level + 1, Some(metadata.dev()), walk);
                    }
                }
            }
            Err(error) => {
                context.error(format_args!("cannot open directory '{path}': {}", describe(&error)));
            }
        }
    }
    if level == 0 || (level <= walk.depth && (walk.all || metadata.is_dir())) {
        put!(context, "{}\t{path}\n", walk.unit.text(sum));
    }
    sum
}

fn df(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('h', "human-readable"),
        Opt::Flag('i', "inodes"),
        Opt::Flag('T', "print-type"),
        Opt::Flag('k', "\u{1}"),
        Opt::Flag('m', "\u{1}"),
        Opt::Flag('a', "all"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let mounts = match fs::mounts() {
        Ok(mounts) => mounts,
        Err(error) => {
            let message = format!("cannot list the mounted file systems: {}", describe(&error));
            return Err(crate::context::Failure::new(1, message));
        }
    };
    let mut rows: Vec<(Mount, StatFs)> = Vec::new();
    if parsed.operands.is_empty() {
        for mount in &mounts {
            match fs::statfs(&mount.target) {
                Ok(found) => rows.push((mount.clone(), found)),
                Err(error) => {
                    context.error(format_args!("cannot read '{}': {}", mount.target, describe(&error)));
                }
            }
        }
    }
    for path in &parsed.operands {
        match fs::canonicalize(path).and_then(|full| Ok((fs::statfs(&full)?, full))) {
            Ok((found, full)) => {
                let holds = |mount: &&Mount| {
                    mount.target == "/" || full == mount.target || full.starts_with(&join(&mount.target, ""))
                };
                if let Some(mount) = mounts.iter().filter(holds).max_by_key(|mount| mount.target.len()) {
                    rows.push((mount.clone(), found));
                }
            }
            Err(error) => context.error(format_args!("cannot read '{path}': {}", describe(&error))),
        }
    }
    let unit = match (parsed.has('h'), parsed.has('m')) {
        (true, _) => Unit::Human,
        (_, true) => Unit::Bytes(1 << 20),
        _ => Unit::Bytes(1024),
    };
    print_rows(context, &rows, unit, parsed.has('i'), parsed.has('T'));
    Ok(context.status)
}

fn print_rows(context: &mut Context, rows: &[(Mount, StatFs)], unit: Unit, inodes: bool, with_kind: bool) {
    let size = match unit {
        _ if inodes => "Inodes",
        Unit::Human => "Size",
        Unit::Bytes(1024) => "1K-blocks",
        Unit::Bytes(_) => "1M-blocks",
    };
    let (used, free) = if inodes { ("IUsed", "IFree") } else { ("Used", "Available") };
    let percent = if inodes { "IUse%" } else { "Use%" };
    let head = ["Filesystem", "Type", size, used, free, percent, "Mounted on"].map(String::from);
    let mut table = vec![head];
    for (mount, found) in rows {
        let (total, free, show): (u64, u64, &dyn Fn(u64) -> String) = if inodes {
            (found.files, found.files_free, &|count: u64| count.to_string())
        } else {
            (found.blocks * found.block_size, found.blocks_free * found.block_size, &|bytes| unit.text(bytes))
        };
        let used = total.saturating_sub(free);
        let percent = match total {
            0 => "-".to_string(),
            total => format!("{}%", (u128::from(used) * 100).div_ceil(u128::from(total))),
        };
        table.push([
            mount.source.clone(),
            found.kind.clone(),
            show(total),
            show(used),
            show(free),
            percent,
            mount.target.clone(),
        ]);
    }
    let mut widths = [0; 7];
    for row in &table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for [source, kind, total, used, free, percent, target] in &table {
        put!(context, "{source:<0$} ", widths[0]);
        if with_kind {
            put!(context, "{kind:<0$} ", widths[1]);
        }
        put!(context, "{total:>0$} {used:>1$} {free:>2$} ", widths[2], widths[3], widths[4]);
        put!(context, "{percent:>0$} {target}\n", widths[5]);
    }
}

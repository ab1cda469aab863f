//! ls.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Tool;
use super::owners::{Names, mode_text, type_letter};
use crate::args::{self, Opt};
use crate::calendar::{now, strftime};
use crate::context::{Context, Outcome, describe};
use crate::paths::join;
use crate::context::put;
use crate::sys::fs::{self, Metadata};
use crate::sys::terminal;
use crate::text::human;

pub const LS: Tool = Tool {
    name: "ls",
    about: "list files",
    help: "Usage: ls [OPTION]... [FILE]...
Lists files and what is in directories, by name.
  -a  also names that begin with a dot   -A  the same without . and ..
  -l  with mode, links, owner, size, time   -h  sizes as 1.5K, 2.0M
  -1  one a line   -C  in columns   -d  directories themselves   -R  with all below
  -t  newest first   -S  largest first   -r  the other way round   -U  unsorted
  -F  mark directories with /, programs with *, links with @   -p  mark directories with /
  -i  with inode numbers   -s  with blocks used   -n  numbers for owners   -g, -o  without owner, group
  --color[=always|auto|never]   --full-time
Example: ls -lhS /bin",
    run: ls,
};

const SIX_MONTHS: i64 = 31_556_952 / 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Time,
    Size,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Lines,
    Columns,
    Commas,
    Long,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TimeOf {
    Modified,
    Accessed,
    Changed,
}

struct Settings {
    all: bool,
    almost_all: bool,
    layout: Layout,
    sort: Sort,
    time_of: TimeOf,
    reverse: bool,
    recursive: bool,
    directories_themselves: bool,
    directories_first: bool,
    human: bool,
    classify: bool,
    slash: bool,
    inode: bool,
    blocks: bool,
    owner: bool,
    group: bool,
    full_time: bool,
    follow: bool,
    color: bool,
    users: Option<Names>,
    groups: Option<Names>,
}

struct Entry {
    name: String,
    path: String,
    metadata: Option<Metadata>,
}

impl Entry {
    fn is_dir(&self) -> bool {
        self.metadata.as_ref().is_some_and(Metadata::is_dir)
    }

    /// Whether it is a directory, or a link to one.
    fn leads_to_dir(&self) -> bool {
        match &self.metadata {
            Some(metadata) if metadata.is_symlink() => fs::metadata(&self.path).is_ok_and(|found| found.is_dir()),
            _ => self.is_dir(),
        }
    }
}

const KNOWN: &[Opt] = &[
    Opt::Flag('a', "all"),
    Opt::Flag('A', "almost-all"),
    Opt::Flag('l', "\u{1}"),
    Opt::Flag('1', "\u{1}"),
    Opt::Flag('C', "\u{1}"),
    Opt::Flag('m', "\u{1}"),
    Opt::Flag('h', "human-readable"),
    Opt::Flag('R', "recursive"),
    Opt::Flag('t', "\u{1}"),
    Opt::Flag('S', "\u{1}"),
    Opt::Flag('r', "reverse"),
    Opt::Flag('U', "\u{1}"),
    Opt::Flag('f', "\u{1}"),
    Opt::Flag('d', "directory"),
    Opt::Flag('F', "classify"),
    Opt::Flag('p', "\u{1}"),
    Opt::Flag('i', "inode"),
    Opt::Flag('s', "size"),
    Opt::Flag('n', "numeric-uid-gid"),
    Opt::Flag('g', "\u{1}"),
    Opt::Flag('o', "\u{1}"),
    Opt::Flag('G', "no-group"),
    Opt::Flag('L', "dereference"),
    Opt::Flag('c', "\u{1}"),
    Opt::Flag('u', "\u{1}"),
    Opt::Flag('D', "group-directories-first"),
    Opt::Flag('T', "full-time"),
    Opt::Attached('K', "color"),
];

fn ls(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, KNOWN)?;
    let terminal = context.out.is_terminal();
    let mut layout = if terminal { Layout::Columns } else { Layout::Lines };
    let mut sort = Sort::Name;
    for (option, _) in &parsed.options {
        match option {
            'l' | 'n' | 'g' | 'o' | 'T' => layout = Layout::Long,
            '1' if layout != Layout::Long => layout = Layout::Lines,
            'C' => layout = Layout::Columns,
            'm' => layout = Layout::Commas,
            't' => sort = Sort::Time,
            'S' => sort = Sort::Size,
            'U' | 'f' => sort = Sort::None,
            _ => {}
        }
    }
    let time_of = match (parsed.has('u'), parsed.has('c')) {
        (true, _) => TimeOf::Accessed,
        (_, true) => TimeOf::Changed,
        _ => TimeOf::Modified,
    };
    if time_of != TimeOf::Modified && sort == Sort::Name && layout != Layout::Long {
        sort = Sort::Time;
    }
    let color = match parsed.options.iter().rev().find(|(option, _)| *option == 'K') {
        None => terminal,
        Some((_, when)) => match when.as_str() {
            "" | "always" | "yes" | "force" => true,
            "never" | "no" | "none" => false,
            "auto" | "tty" | "if-tty" => terminal,
            other => return Err(args::misuse(context, format_args!("'{other}' is no time for colours"))),
        },
    };
    let names = layout == Layout::Long && !parsed.has('n');
    let settings = Settings {
        all: parsed.has('a') || parsed.has('f'),
        almost_all: parsed.has('A'),
        layout,
        sort,
        time_of,
        reverse: parsed.has('r'),
        recursive: parsed.has('R'),
        directories_themselves: parsed.has('d'),
        directories_first: parsed.has('D'),
        human: parsed.has('h'),
        classify: parsed.has('F'),
        slash: parsed.has('p'),
        inode: parsed.has('i'),
        blocks: parsed.has('s'),
        owner: !parsed.has('g'),
        group: !parsed.has('o') && !parsed.has('G'),
        full_time: parsed.has('T'),
        follow: parsed.has('L'),
        color,
        users: names.then(Names::users),
        groups: names.then(Names::groups),
    };
    list_operands(context, parsed.operands, &settings);
    Ok(context.status)
}

fn list_operands(context: &mut Context, mut operands: Vec<String>, settings: &Settings) {
    if operands.is_empty() {
        operands.push(".".to_string());
    }
    let several = operands.len() > 1;
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for path in operands {
        let follow = settings.follow || (settings.layout != Layout::Long && !settings.classify);
        let found = if settings.follow {
            fs::metadata(&path)
        } else if follow || !settings.directories_themselves {
            fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path))
        } else {
            fs::symlink_metadata(&path)
        };
        match found {
            Err(error) => {
                context.error(format_args!("cannot access '{path}': {}", describe(&error)));
                context.status = 2;
            }
            Ok(metadata) if metadata.is_dir() && !settings.directories_themselves => {
                // A link on the command line is followed, but for a long listing.
                let link = !follow && fs::symlink_metadata(&path).is_ok_and(|own| own.is_symlink());
                if link {
                    files.push(Entry {
                        name: path.clone(),
                        metadata: fs::symlink_metadata(&path).ok(),
                        path,
                    });
                } else {
                    directories.push(Entry { name: path.clone(), path, metadata: Some(metadata) });
                }
            }
            Ok(metadata) => {
                let own = if settings.follow { Some(metadata) } else { fs::symlink_metadata(&path).ok() };
                files.push(Entry { name: path.clone(), path, metadata: own });
            }
        }
    }
    arrange(&mut files, settings);
    arrange(&mut directories, settings);
    let mut blank = !files.is_empty();
    if !files.is_empty() {
        // All operands count for the columns' widths, those listed further down too.
        let widths = widths(files.iter().chain(&directories), settings);
        print_entries(context, &files, &widths, settings);
    }
    for directory in directories {
        let title = several || settings.recursive;
        list_directory(context, &directory.path, title, blank, settings);
        blank = true;
    }
}

fn list_directory(context: &mut Context, path: &str, title: bool, blank: bool, settings: &Settings) {
    let reader = match fs::read_dir(path) {
        Ok(reader) => reader,
        Err(error) => {
            context.error(format_args!("cannot open directory '{path}': {}", describe(&error)));
            context.status = 2;
            return;
        }
    };
    if blank {
        put!(context, "\n");
    }
    if title {
        put!(context, "{path}:\n");
    }
    let mut entries = Vec::new();
    let needs_metadata = settings.layout == Layout::Long
        || !matches!(settings.sort, Sort::Name | Sort::None)
        || settings.recursive
        || settings.classify
        || settings.slash
        || settings.inode
        || settings.blocks
        || settings.color
        || settings.directories_first;
    let mut add = |context: &mut Context, name: String| {
        let full = join(path, &name);
        let metadata = if !needs_metadata {
            None
        } else {
            let found = if settings.follow { fs::metadata(&full) } else { fs::symlink_metadata(&full) };
            match found {
                Ok(metadata) => Some(metadata),
                Err(error) => {
                    context.error(format_args!("cannot access '{full}': {}", describe(&error)));
                    None
                }
            }
        };
        entries.push(Entry { name, path: full, metadata });
    };
    if settings.all {
        add(context, ".".to_string());
        add(context, "..".to_string());
    }
    for entry in reader {
        match entry {
            Ok(entry) => {
                let name = entry.file_name();
                if name != "." && name != ".." && (settings.all || settings.almost_all || !name.starts_with('.')) {
                    add(context, name);
                }
            }
            Err(error) => {
                context.error(format_args!("cannot read directory '{path}': {}", describe(&error)));
                context.status = 2;
                break;
            }
        }
    }
    arrange(&mut entries, settings);
    if settings.layout == Layout::Long || settings.blocks {
        let blocks: u64 = entries.iter().filter_map(|entry| entry.metadata.as_ref()).map(Metadata::blocks).sum();
        put!(context, "total {}\n", block_text(blocks, settings));
    }
    let widths = widths(entries.iter(), settings);
    print_entries(context, &entries, &widths, settings);
    if settings.recursive {
        for entry in entries.iter().filter(|entry| entry.is_dir() && entry.name != "." && entry.name != "..") {
            list_directory(context, &entry.path, true, true, settings);
        }
    }
}

fn block_text(blocks: u64, settings: &Settings) -> String {
    if settings.human {
        if blocks == 0 { "0".to_string() } else { human(blocks * 512) }
    } else {
        blocks.div_ceil(2).to_string()
    }
}

fn time_of(metadata: &Metadata, settings: &Settings) -> i64 {
    match settings.time_of {
        TimeOf::Modified => metadata.mtime(),
        TimeOf::Accessed => metadata.atime(),
        TimeOf::Changed => metadata.ctime(),
    }
}

fn arrange(entries: &mut [Entry], settings: &Settings) {
    if settings.sort == Sort::None {
        return;
    }
    let number = |entry: &Entry| match (&entry.metadata, settings.sort) {
        (Some(metadata), Sort::Size) => i64::try_from(metadata.len()).unwrap_or(i64::MAX),
        (Some(metadata), Sort::Time) => time_of(metadata, settings),
        _ => 0,
    };
    entries.sort_by(|a, b| {
        let order = Reverse(number(a)).cmp(&Reverse(number(b))).then_with(|| a.name.cmp(&b.name));
        let order = if settings.reverse { order.reverse() } else { order };
        match settings.directories_first {
            true => b.leads_to_dir().cmp(&a.leads_to_dir()).then(order),
            false => order,
        }
    });
}

/// The columns before a name.
type Cells = [String; 6];

/// Inode, blocks, links, owner, group, size; empty where they are not shown.
fn cells(metadata: &Metadata, settings: &Settings) -> Cells {
    let name_of = |names: &Option<Names>, number: u32| match names {
        Some(names) => names.name(number),
        None => number.to_string(),
    };
    let when = |wanted: bool, text: String| if wanted { text } else { String::new() };
    let long = settings.layout == Layout::Long;
    [
        when(settings.inode, metadata.ino().to_string()),
        when(settings.blocks, block_text(metadata.blocks(), settings)),
        when(long, metadata.nlink().to_string()),
        when(long && settings.owner, name_of(&settings.users, metadata.uid())),
        when(long && settings.group, name_of(&settings.groups, metadata.gid())),
        when(long, if settings.human { human(metadata.len()) } else { metadata.len().to_string() }),
    ]
}

fn widths<'a>(entries: impl Iterator<Item = &'a Entry>, settings: &Settings) -> [usize; 6] {
    let mut widths = [0; 6];
    for metadata in entries.filter_map(|entry| entry.metadata.as_ref()) {
        for (width, cell) in widths.iter_mut().zip(cells(metadata, settings)) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn print_entries(context: &mut Context, entries: &[Entry], widths: &[usize; 6], settings: &Settings) {
    match settings.layout {
        Layout::Long => print_long(context, entries, widths, settings),
        Layout::Lines => {
            for entry in entries {
                let (text, _) = short_text(entry, widths, settings);
                put!(context, "{text}\n");
            }
        }
        Layout::Commas => print_commas(context, entries, widths, settings),
        Layout::Columns => print_columns(context, entries, widths, settings),
    }
}

/// How wide a line may be.
fn line_width() -> usize {
    terminal::size().map_or(80, |(columns, _)| usize::from(columns).max(1))
}

fn print_commas(context: &mut Context, entries: &[Entry], widths: &[usize; 6], settings: &Settings) {
    let mut column = 0;
    for (position, entry) in entries.iter().enumerate() {
        let (text, width) = short_text(entry, widths, settings);
        if position > 0 {
            if column + width + 2 < line_width() {
                put!(context, ", ");
                column += 2;
            } else {
                put!(context, ",\n");
                column = 0;
            }
        }
        put!(context, "{text}");
        column += width;
    }
    if !entries.is_empty() {
        put!(context, "\n");
    }
}

/// A name with what the options put round it, and how wide it is on the screen.
fn short_text(entry: &Entry, widths: &[usize; 6], settings: &Settings) -> (String, usize) {
    let mut text = String::new();
    if let Some(metadata) = &entry.metadata {
        let [inode, blocks, ..] = cells(metadata, settings);
        if settings.inode {
            text += &format!("{inode:>0$} ", widths[0]);
        }
        if settings.blocks {
            text += &format!("{blocks:>0$} ", widths[1]);
        }
    }
    let mark = mark(entry, settings);
    let width = text.chars().count() + entry.name.chars().count() + usize::from(mark.is_some());
    text += &colored(entry, settings);
    text.extend(mark);
    (text, width)
}

fn mark(entry: &Entry, settings: &Settings) -> Option<char> {
    let mode = entry.metadata.as_ref()?.mode();
    match type_letter(mode) {
        'd' if settings.classify || settings.slash => Some('/'),
        'l' if settings.classify => Some('@'),
        'p' if settings.classify => Some('|'),
        's' if settings.classify => Some('='),
        '-' if settings.classify && mode & 0o111 != 0 => Some('*'),
        _ => None,
    }
}

fn colored(entry: &Entry, settings: &Settings) -> String {
    let mode = entry.metadata.as_ref().map_or(0o100_644, Metadata::mode);
    let code = match type_letter(mode) {
        _ if !settings.color => return entry.name.clone(),
        'd' => "1;34",
        'l' => "1;36",
        'c' | 'b' => "1;33",
        'p' => "33",
        's' => "1;35",
        _ if mode & 0o111 != 0 => "1;32",
        _ => return entry.name.clone(),
    };
    format!("\x1b[{code}m{}\x1b[0m", entry.name)
}

fn print_columns(context: &mut Context, entries: &[Entry], widths: &[usize; 6], settings: &Settings) {
    let width = line_width();
    let cells: Vec<(String, usize)> = entries.iter().map(|entry| short_text(entry, widths, settings)).collect();
    if cells.is_empty() {
        return;
    }
    // The fewest rows whose columns fit the line.
    let mut rows = 1;
    let columns = loop {
        let widths: Vec<usize> =
            cells.chunks(rows).map(|column| column.iter().map(|(_, width)| *width).max().unwrap_or(0)).collect();
        let total = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
        if total < width || rows >= cells.len() {
            break widths;
        }
        rows += 1;
    };
    for row in 0..rows {
        for (column, column_width) in columns.iter().enumerate() {
            let Some((text, width)) = cells.get(column * rows + row) else { break };
            put!(context, "{text}");
            if (column + 1) * rows + row < cells.len() {
                put!(context, "{:1$}", "", column_width + 2 - width);
            }
        }
        put!(context, "\n");
    }
}

fn print_long(context: &mut Context, entries: &[Entry], widths: &[usize; 6], settings: &Settings) {
    let present = now().0;
    for entry in entries {
        let Some(metadata) = &entry.metadata else { continue };
        let [inode, blocks, links, user, group, size] = cells(metadata, settings);
        if settings.inode {
            put!(context, "{inode:>0$} ", widths[0]);
        }
        if settings.blocks {
            put!(context, "{blocks:>0$} ", widths[1]);
        }
        put!(context, "{} {links:>1$} ", mode_text(metadata.mode()), widths[2]);
        if settings.owner {
            put!(context, "{user:<0$} ", widths[3]);
        }
        if settings.group {
            put!(context, "{group:<0$} ", widths[4]);
        }
        let time = time_of(metadata, settings);
        let format = if settings.full_time {
            "%Y-%m-%d %H:%M:%S.000000000 +0000"
        } else if time > present || present - time > SIX_MONTHS {
            "%b %e  %Y"
        } else {
            "%b %e %H:%M"
        };
        put!(context, "{size:>0$} {1} {2}", widths[5], strftime(format, time, 0), colored(entry, settings));
        if metadata.is_symlink() {
            if let Ok(target) = fs::read_link(&entry.path) {
                put!(context, " -> {target}");
            }
        } else if let Some(mark) = mark(entry, settings) {
            put!(context, "{mark}");
        }
        put!(context, "\n");
    }
}

//! ps, kill, free.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::process::{self, ProcessInfo};
use crate::sys::system;
use crate::text::human;

pub const PS: Tool = Tool {
    name: "ps",
    about: "list running programs",
    help: "Usage: ps [-f] [-c] [-o COLUMNS] [-p PID,...]
Lists the programs that run: number, state, memory, processor time, command.
  -f  with parent and memory limit   -c  components too   -p  only these numbers
  -o  columns of pid, ppid, state, mem, limit, time, name, command, with commas between
Example: ps -f",
    run: ps,
};

pub const KILL: Tool = Tool {
    name: "kill",
    about: "end programs, or components as a fault would",
    help: "Usage: kill [-9] [-s SIGNAL] PID|COMPONENT...
Ends programs by their number. A component is named, and meets its end as by a fault: the supervisor writes
a fault record and restarts it. A signal's name or number is taken but makes no difference.
Example: kill virtio-blk",
    run: kill,
};

pub const FREE: Tool = Tool {
    name: "free",
    about: "print how much memory is used",
    help: "Usage: free [-h|-b|-k|-m]
Prints how much of the memory is used, in KiB.
  -h  as 1.5M   -b  in bytes   -k  in KiB   -m  in MiB
Example: free -h",
    run: free,
};

/// Processor time as MM:SS.hh, or H:MM:SS from an hour on.
pub fn cpu_time(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    match seconds / 3_600 {
        0 => format!("{}:{:02}.{:02}", seconds / 60, seconds % 60, nanos / 10_000_000 % 100),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Pid,
    Parent,
    State,
    Memory,
    Limit,
    Time,
    Name,
    Command,
}

impl Column {
    fn parse(text: &str) -> Option<Column> {
        Some(match text {
            "pid" => Column::Pid,
            "ppid" => Column::Parent,
            "state" | "stat" | "s" => Column::State,
            "mem" | "rss" => Column::Memory,
            "limit" => Column::Limit,
            "time" | "cpu" => Column::Time,
            "name" | "comm" => Column::Name,
            "command" | "cmd" | "args" => Column::Command,
            _ => return None,
        })
    }

    fn title(self) -> &'static str {
        match self {
            Column::Pid => "PID",
            Column::Parent => "PPID",
            Column::State => "STATE",
            Column::Memory => "MEM",
            Column::Limit => "LIMIT",
            Column::Time => "TIME",
            Column::Name => "NAME",
            Column::Command => "COMMAND",
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Column::State | Column::Name | Column::Command)
    }

    fn cell(self, info: &ProcessInfo) -> String {
        match self {
            Column::Pid => info.id.to_string(),
            Column::Parent => info.parent.to_string(),
            Column::State => info.state.to_string(),
            Column::Memory => human(info.memory),
            Column::Limit => human(info.memory_limit),
            Column::Time => cpu_time(info.cpu_ns),
            Column::Name => info.name.clone(),
            Column::Command => {
                if info.command.is_empty() { info.name.clone() } else { info.command.clone() }
            }
        }
    }
}

fn ps(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('f', "full"),
        Opt::Flag('c', "components"),
        Opt::Value('o', "format"),
        Opt::Value('p', "pid"),
        Opt::Flag('e', "\u{1}"),
        Opt::Flag('A', "\u{1}"),
        Opt::Flag('a', "\u{1}"),
        Opt::Flag('l', "\u{1}"),
    ];
    let parsed = args::parse(context, args, &known)?;
    // `ps aux` is what fingers type.
    let full = parsed.has('f') || parsed.has('l') || parsed.operands.iter().any(|word| word.contains('u'));
    let columns = match parsed.value('o') {
        None if full => vec![
            Column::Pid,
            Column::Parent,
            Column::State,
            Column::Memory,
            Column::Limit,
            Column::Time,
            Column::Command,
        ],
        None => vec![Column::Pid, Column::State, Column::Memory, Column::Time, Column::Command],
        Some(text) => {
            let mut columns = Vec::new();
            for name in text.split([',', ' ']) {
                match Column::parse(name) {
                    Some(column) => columns.push(column),
                    None => return Err(args::misuse(context, format_args!("there is no column '{name}'"))),
                }
            }
            columns
        }
    };
    let mut list = process::list()
        .map_err(|error| Failure::new(1, format_args!("cannot list the programs: {}", describe(&error))))?;
    if let Some(text) = parsed.value('p') {
        let wanted: Vec<u32> = text.split([',', ' ']).filter_map(|pid| pid.parse().ok()).collect();
        list.retain(|info| wanted.contains(&info.id));
    }
    list.sort_by_key(|info| info.id);
    let mut table: Vec<Vec<String>> = vec![columns.iter().map(|column| column.title().to_string()).collect()];
    table.extend(list.iter().map(|info| columns.iter().map(|column| column.cell(info)).collect()));
    print_table(context, &table, &columns.iter().map(|column| column.is_text()).collect::<Vec<_>>());
    if parsed.has('c') {
        put!(context, "\n");
        let components = system::components().map_err(|error| {
            Failure::new(1, format_args!("cannot list the components: {}", describe(&error)))
        })?;
        let mut table = vec![["COMPONENT", "STATE", "MEM", "TIME"].map(String::from).to_vec()];
        for component in components {
            table.push(vec![
                component.name.clone(),
                component.state.to_string(),
                human(component.memory),
                cpu_time(component.cpu_ns),
            ]);
        }
        print_table(context, &table, &[true, true, false, false]);
    }
    Ok(if list.is_empty() { 1 } else { 0 })
}

/// Prints rows in columns: texts to the left, numbers to the right.
pub fn print_table(context: &mut Context, rows: &[Vec<String>], is_text: &[bool]) {
    let mut widths = vec![0; is_text.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::new();
        for ((cell, width), is_text) in row.iter().zip(&widths).zip(is_text) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            line += &match is_text {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            };
        }
        put!(context, "{}\n", line.trim_end());
    }
}

fn kill(context: &mut Context, args: &[String]) -> Outcome {
    if args.iter().any(|argument| argument == "--help") {
        return Err(args::help(context));
    }
    let mut targets = Vec::new();
    let mut rest = args.iter();
    let mut options = true;
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--" => options = false,
            "-s" | "-n" if options => {
                rest.next();
            }
            signal if options && signal.starts_with('-') => {
                let name = signal[1..].trim_start_matches("SIG");
                let known = name.parse::<u8>().is_ok()
                    || matches!(name, "KILL" | "TERM" | "INT" | "HUP" | "QUIT" | "ABRT" | "SEGV");
                if !known {
                    return Err(args::misuse(context, format_args!("unknown option '{signal}'")));
                }
            }
            _ => targets.push(argument),
        }
    }
    if targets.is_empty() {
        return Err(args::misuse(context, "there is nothing to end"));
    }
    for target in targets {
        let ended = match target.parse::<u32>() {
            Ok(pid) => process::kill(pid).map_err(|error| match error.kind() {
                crate::sys::io::ErrorKind::NotFound => String::from("no program has that number; 'ps' lists them"),
                _ => describe(&error),
            }),
            Err(_) => system::kill(target).map_err(|error| match error.kind() {
                crate::sys::io::ErrorKind::NotFound => {
                    String::from("no component has that name; 'services' lists them")
                }
                _ => describe(&error),
            }),
        };
        if let Err(reason) = ended {
            context.error(format_args!("cannot kill '{target}': {reason}"));
        }
    }
    Ok(context.status)
}

fn free(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('h', "human"),
        Opt::Flag('b', "bytes"),
        Opt::Flag('k', "kibi"),
        Opt::Flag('m', "mebi"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let memory = system::memory()
        .map_err(|error| Failure::new(1, format_args!("cannot read the memory's use: {}", describe(&error))))?;
    let show = |bytes: u64| match (parsed.has('h'), parsed.has('b'), parsed.has('m')) {
        (true, ..) => human(bytes),
        (_, true, _) => bytes.to_string(),
        (_, _, true) => (bytes >> 20).to_string(),
        _ => (bytes >> 10).to_string(),
    };
    let head = ["", "total", "used", "free", "cache", "kernel"].map(String::from).to_vec();
    let row = vec![
        "Mem:".to_string(),
        show(memory.total),
        show(memory.used),
        show(memory.free),
        show(memory.cache),
        show(memory.kernel),
    ];
    for row in [head, row] {
        put!(context, "{:<6}", row[0]);
        for cell in &row[1..] {
            put!(context, "{cell:>12}");
        }
        put!(context, "\n");
    }
    Ok(0)
}

//! log, trace, faults.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use super::processes::print_table;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::fs;
use crate::sys::system::{self, FaultRecord, LogRecord};
use crate::sys::thread::sleep;
use crate::sys::time::Duration;

pub const LOG: Tool = Tool {
    name: "log",
    about: "read the system's log",
    help: "Usage: log [-f] [-n N] [-s SOURCE] [-l LEVEL]
Prints what the kernel and the components logged: time since start-up, level, source, text.
  -f  go on with what is added   -n N  only the last N   -s SOURCE  only of that component
  -l LEVEL  only this level and what is graver: error, warn, info, debug, trace
Example: log -n 20 -l warn",
    run: log,
};

pub const TRACE: Tool = Tool {
    name: "trace",
    about: "print the kernel's latest events",
    help: "Usage: trace [-n N] [-k KIND] [-c CORE]   or   trace -m on|off
Prints the events in the kernel's trace ring: time in microseconds, core, kind, three values.
  -n N  only the last N   -k KIND  only of that kind   -c CORE  only of that core
  -m on|off  from now on record every message, or (off, as at start) only those that wait or are long
Example: trace -m on; ls; trace -n 50",
    run: trace,
};

pub const FAULTS: Tool = Tool {
    name: "faults",
    about: "list the records of faults, or show one",
    help: "Usage: faults [-n N] [NUMBER]...
Lists the faults of components and programs, or shows the whole record of each that is named by its
number. A number such as 3.1 is that of an earlier boot, as it lies in /var/log/faults.
  -n N  only the last N
Example: faults 1",
    run: faults,
};

/// Nanoseconds since start-up as seconds and microseconds.
fn stamp(nanos: u64) -> String {
    format!("{:5}.{:06}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000)
}

fn count(context: &Context, parsed: &args::Parsed) -> Result<usize, Failure> {
    match parsed.value('n').map(|text| (text, text.parse())) {
        None => Ok(usize::MAX),
        Some((_, Ok(count))) => Ok(count),
        Some((text, Err(_))) => Err(args::misuse(context, format_args!("'{text}' is no number"))),
    }
}

/// How grave a level is: 0 is the gravest.
fn rank(level: &str) -> Option<usize> {
    let known: [&[&str]; 5] =
        [&["error", "err"], &["warn", "warning"], &["info"], &["debug"], &["trace"]];
    let level = level.to_ascii_lowercase();
    known.iter().position(|names| names.contains(&level.as_str()))
}

fn log(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('f', "follow"),
        Opt::Value('n', "lines"),
        Opt::Value('s', "source"),
        Opt::Value('l', "level"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let limit = count(context, &parsed)?;
    let gravest = match parsed.value('l').map(|text| (text, rank(text))) {
        None => usize::MAX,
        Some((_, Some(rank))) => rank,
        Some((text, None)) => return Err(args::misuse(context, format_args!("there is no level '{text}'"))),
    };
    let wanted = |record: &LogRecord| {
        parsed.value('s').is_none_or(|source| record.source == source)
            && rank(&record.level.to_string()).unwrap_or(0) <= gravest
    };
    let mut next = 0;
    let mut skip_old = true;
    loop {
        let records = system::log_read(next)
            .map_err(|error| Failure::new(1, format_args!("cannot read the log: {}", describe(&error))))?;
        if let Some(last) = records.last() {
            next = last.seq + 1;
        }
        let matching = || records.iter().filter(|record| wanted(record));
        let skipped = if skip_old { matching().count().saturating_sub(limit) } else { 0 };
        skip_old = false;
        for record in matching().skip(skipped) {
            let (on, off) = match rank(&record.level.to_string()) {
                Some(0) if context.out.is_terminal() => ("\x1b[1;31m", "\x1b[0m"),
                Some(1) if context.out.is_terminal() => ("\x1b[33m", "\x1b[0m"),
                _ => ("", ""),
            };
            let level = record.level.to_string();
            put!(context, "[{}] {on}{level:<5}{off} {}: {}\n", stamp(record.time_ns), record.source, record.text);
        }
        if !parsed.has('f') {
            return Ok(0);
        }
        context.out.flush();
        if context.out.is_broken() {
            return Ok(0);
        }
        sleep(Duration::from_millis(200));
    }
}

fn trace(context: &mut Context, args: &[String]) -> Outcome {
    let known =
        [Opt::Value('n', "lines"), Opt::Value('k', "kind"), Opt::Value('c', "core"), Opt::Value('m', "on|off")];
    let parsed = args::parse(context, args, &known)?;
    if let Some(messages) = parsed.value('m') {
        let all = match messages {
            "on" => true,
            "off" => false,
            other => return Err(Failure::new(2, format_args!("-m takes on or off, not '{other}'"))),
        };
        system::trace_messages(all)
            .map_err(|error| Failure::new(1, format_args!("cannot change the trace: {}", describe(&error))))?;
        return Ok(0);
    }
    let limit = count(context, &parsed)?;
    let mut events = system::trace_read()
        .map_err(|error| Failure::new(1, format_args!("cannot read the trace: {}", describe(&error))))?;
    if let Some(kind) = parsed.value('k') {
        events.retain(|event| event.kind == kind);
    }
    if let Some(core) = parsed.value('c') {
        events.retain(|event| event.cpu.to_string() == core);
    }
    for event in events.iter().skip(events.len().saturating_sub(limit)) {
        let time = event.time_ns;
        put!(
            context,
            "{:>12}.{:03} {:>3} {:<14} {:#x} {:#x} {:#x}\n",
            time / 1_000,
            time % 1_000,
            event.cpu,
            event.kind.to_string(),
            event.a,
            event.b,
            event.c
        );
    }
    Ok(0)
}

/// Where the records of all boots lie, each as `BOOT/NUMBER`.
const FAULT_LOG: &str = "/var/log/faults";

/// A record as it is listed.
struct Fault {
    /// Its number, for an earlier boot behind the boot's.
    number: String,
    time: String,
    component: String,
    generation: String,
    cause: String,
    text: String,
}

impl Fault {
    fn of_this_boot(record: FaultRecord) -> Self {
        Self {
            number: record.number.to_string(),
            time: stamp(record.time_ns).trim_start().to_string(),
            component: record.component,
            generation: record.generation.to_string(),
            cause: record.cause,
            text: record.text,
        }
    }

    /// What the text of a record itself says.
    fn from_text(number: String, text: String) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let (component, generation) = lines.next()?.split_once(": ")?.1.split_once(" (generation ")?;
        let cause = lines.next()?.strip_prefix("cause: ")?;
        let time = lines.next()?.strip_prefix("time: ")?.split(' ').next()?;
        Some(Self {
            number,
            time: time.to_string(),
            component: component.to_string(),
            generation: generation.trim_end_matches(')').to_string(),
            cause: cause.to_string(),
            text,
        })
    }
}

/// The numbers that are names in a folder, in order.
fn numbers_in(folder: &str) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut numbers: Vec<u64> = entries.flatten().filter_map(|entry| entry.file_name().parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// The records on disk, except those of this boot that the supervisor has too.
fn earlier_faults(known: &[FaultRecord]) -> Vec<Fault> {
    let boots = numbers_in(FAULT_LOG);
    let mut faults = Vec::new();
    for &boot in &boots {
        for number in numbers_in(&format!("{FAULT_LOG}/{boot}")) {
            let Ok(bytes) = fs::read(format!("{FAULT_LOG}/{boot}/{number}").as_str()) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let is_known = boots.last() == Some(&boot)
                && known.iter().any(|record| record.number == number && record.text == text);
            if !is_known {
                faults.extend(Fault::from_text(format!("{boot}.{number}"), text));
            }
        }
    }
    faults
}

fn faults(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[Opt::Value('n', "lines")])?;
    let limit = count(context, &parsed)?;
    let records = system::fault_records()
        .map_err(|error| Failure::new(1, format_args!("cannot read the fault records: {}", describe(&error))))?;
    let mut faults = earlier_faults(&records);
    faults.extend(records.into_iter().map(Fault::of_this_boot));
    if parsed.operands.is_empty() {
        if faults.is_empty() {
            put!(context, "no faults\n");
            return Ok(0);
        }
        let head = ["NUMBER", "TIME", "COMPONENT", "GENERATION", "CAUSE"].map(String::from);
        let mut table = vec![head.to_vec()];
        let skipped = faults.len().saturating_sub(limit);
        for fault in faults.into_iter().skip(skipped) {
            table.push(vec![fault.number, fault.time, fault.component, fault.generation, fault.cause]);
        }
        print_table(context, &table, &[false, false, true, false, true]);
        return Ok(0);
    }
    for operand in &parsed.operands {
        match faults.iter().find(|fault| fault.number == *operand) {
            Some(fault) => put!(context, "{}\n", fault.text.trim_end()),
            None => context.error(format_args!("no fault has the number '{operand}'; 'faults' lists them")),
        }
    }
    Ok(context.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_on_disk_says_what_the_list_shows() {
        let text = "fault 3: demo (generation 2)\n  cause: no heartbeat for 5 ms\n  time: 1.500 s after start; it\n";
        let fault = Fault::from_text("7.3".into(), text.into()).unwrap();
        assert_eq!([&*fault.number, &*fault.time, &*fault.component], ["7.3", "1.500", "demo"]);
        assert_eq!([&*fault.generation, &*fault.cause], ["2", "no heartbeat for 5 ms"]);
        assert!(Fault::from_text("7.4".into(), "cut o".into()).is_none());
    }
}

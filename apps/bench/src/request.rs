//! The command line.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Everything that is measured, in the order in which it is. What stands before the first `/` is the group.
pub const NAMES: &[&str] = &[
    "ipc/call_reply/0",
    "ipc/call_reply/4",
    "ipc/call_reply/6",
    "ipc/call_reply/10",
    "ipc/call_reply/100",
    "ipc/call_cap",
    "ipc/signal_wait",
    "ipc/signal",
    "ipc/poll",
    "kernel/yield",
    "kernel/bad_cap",
    "kernel/fault",
    "kernel/fault_map",
    "kernel/map",
    "kernel/unmap",
    "kernel/cap_copy",
    "kernel/cap_mint",
    "kernel/cap_delete",
    "kernel/retype_endpoint",
    "kernel/thread_create",
    "kernel/interrupt",
    "proc/spawn_wait",
    "file/open_read_close",
    "disk/read_per_mib",
    "disk/write_per_mib",
    "recover/crash_loop",
    "recover/flood",
    "recover/copy",
    "recover/copy_driver_killed",
    "recover/copy_files_killed",
    "recover/files_first_answer",
    "recover/driver_first_answer",
    "recover/registry_first_answer",
    "recover/supervisor_first_answer",
    "recover/process_first_answer",
    "recover/log_first_answer",
    "recover/console_first_answer",
    "recover/pipe_first_answer",
    "recover/clock_first_answer",
    "recover/pci_first_answer",
];

/// What `bench --help` prints.
pub const HELP: &str = "\
usage: bench [GROUP | NAME]...
       bench growth
       bench serve
       bench trace NAME

Counts what operations cost, and prints of each: name, unit, number of samples, least, median, most.
Groups: ipc, kernel, proc, file, disk, recover. A name is one operation, such as ipc/call_reply/0. Without any, all are measured.

growth       prints how costs grow with the number of clients, slots, threads, copies and components
serve        takes what is sent to TCP port 5001, and sends to who connects to port 5002, for measurements from outside
trace NAME   does one operation between two marks, for a tool that watches the machine's instructions";

/// What the program shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Say how it is used.
    Help,
    /// Measure these.
    Measure(Vec<&'static str>),
    /// Measure how costs grow.
    Growth,
    /// Serve measurements from outside.
    Serve,
    /// Do one of this between two marks.
    Trace(&'static str),
}

/// Why a command line is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// There is no such group or operation.
    Unknown(String),
    /// `trace` takes the name of one operation.
    TraceOfOne,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => {
                write!(f, "`{word}` is neither a group nor an operation; `bench --help` names them")
            }
            Self::TraceOfOne => f.write_str("`trace` takes the name of one operation, such as ipc/call_reply/0"),
        }
    }
}

fn named(word: &str) -> Result<&'static str, UsageError> {
    NAMES.iter().copied().find(|name| *name == word).ok_or_else(|| UsageError::Unknown(word.to_string()))
}

impl Request {
    /// From the arguments behind the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, UsageError> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["--help" | "-h", ..] => Ok(Self::Help),
            ["growth"] => Ok(Self::Growth),
            ["serve"] => Ok(Self::Serve),
            ["trace", name] => named(name).map(Self::Trace),
            ["trace", ..] => Err(UsageError::TraceOfOne),
            [] => Ok(Self::Measure(NAMES.to_vec())),
            words => {
                let mut wanted = Vec::new();
                for word in words {
                    let in_group = |name: &&&str| name.split_once('/').is_some_and(|(group, _)| group == *word);
                    let group: Vec<_> = NAMES.iter().filter(in_group).copied().collect();
                    match group.is_empty() {
                        true => wanted.push(named(word)?),
                        false => wanted.extend(group),
                    }
                }
                Ok(Self::Measure(wanted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Request, UsageError> {
        Request::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn groups_and_names_choose_and_nothing_means_all() {
        assert_eq!(parse(&[]), Ok(Request::Measure(NAMES.to_vec())));
        let Ok(Request::Measure(ipc)) = parse(&["ipc"]) else { panic!("a group is not understood") };
        assert!(ipc.len() > 5 && ipc.iter().all(|name| name.starts_with("ipc/")));
        assert_eq!(parse(&["kernel/yield", "ipc/poll"]), Ok(Request::Measure(alloc::vec!["kernel/yield", "ipc/poll"])));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(parse(&["ipc", "ipx"]), Err(UsageError::Unknown("ipx".into())));
        assert_eq!(parse(&["trace", "ipc"]), Err(UsageError::Unknown("ipc".into())));
        assert_eq!(parse(&["trace"]), Err(UsageError::TraceOfOne));
    }

    #[test]
    fn one_operation_is_traced() {
        assert_eq!(parse(&["trace", "ipc/signal"]), Ok(Request::Trace("ipc/signal")));
        assert_eq!(parse(&["growth"]), Ok(Request::Growth));
        assert_eq!(parse(&["serve"]), Ok(Request::Serve));
        assert_eq!(parse(&["-h"]), Ok(Request::Help));
    }
}

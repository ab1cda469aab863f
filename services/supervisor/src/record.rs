//! Fault records: who, when, why, registers, backtrace with functions and lines, last words, last messages.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use motte_abi::fault::{FaultKind, FaultMessage, Registers};
use motte_abi::lines::Lines;
use motte_abi::symbols::Symbols;

/// Why a component ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The processor or the kernel stopped it.
    Fault(FaultKind, FaultMessage),
    /// It panicked, with this text.
    Panic(String, FaultMessage),
    /// It ended by itself with a status, and this to say.
    Exit(i32, String),
    /// Somebody asked the supervisor to end it.
    Killed,
    /// It did not beat for so many nanoseconds.
    Silent(u64),
    /// For so many nanoseconds it left no processor time to a less urgent component, of this name.
    Hogged(u64, String),
    /// Another component, of this name, says that it answered wrongly, and what.
    Accused(String, String),
}

impl Cause {
    /// In one line.
    pub fn text(&self) -> String {
        match self {
            Self::Fault(FaultKind::PageFault, fault) => {
                let act = match fault.code {
                    code if code & 1 << 4 != 0 => "execute",
                    code if code & 2 != 0 => "write",
                    _ => "read",
                };
                let state = if fault.code & 1 != 0 { "protected" } else { "unmapped" };
                format!("page fault: {act} of {state} address {:#x} at {:#x}", fault.address, fault.instruction)
            }
            Self::Fault(FaultKind::UnknownSyscall, fault) => {
                format!("unknown system call {} at {:#x}", fault.address, fault.instruction)
            }
            Self::Fault(kind, fault) => format!("{kind} at {:#x}", fault.instruction),
            // Where it was is the first line, what it was the second.
            Self::Panic(text, _) => text.lines().take(2).collect::<Vec<_>>().join(" "),
            Self::Exit(status, text) if text.is_empty() => format!("exit with status {status}"),
            Self::Exit(status, text) => {
                format!("exit with status {status}: {}", text.lines().next().unwrap_or_default())
            }
            Self::Killed => "killed by command".into(),
            Self::Silent(ns) => format!("no heartbeat for {} ms", ns.div_ceil(1_000_000)),
            Self::Hogged(ns, other) => format!("no processor time left for {other} for {} ms", ns.div_ceil(1_000_000)),
            Self::Accused(by, what) => format!("{by}: it answered {what}"),
        }
    }

    /// Where it was, if that is known.
    pub fn place(&self) -> Option<&FaultMessage> {
        match self {
            Self::Fault(_, fault) | Self::Panic(_, fault) => Some(fault),
            Self::Exit(..) | Self::Killed | Self::Silent(_) | Self::Hogged(..) | Self::Accused(..) => None,
        }
    }
}

/// A fault record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1.
    pub number: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The component.
    pub component: String,
    /// Its generation.
    pub generation: u64,
    /// Why, in one line.
    pub cause: String,
    /// Everything.
    pub text: String,
}

/// What is known when a record is written.
#[derive(Debug)]
pub struct Findings<'a> {
    /// The record's number.
    pub number: u64,
    /// Now.
    pub time_ns: u64,
    /// The component.
    pub component: &'a str,
    /// Its generation.
    pub generation: u64,
    /// How long it ran, in nanoseconds.
    pub ran_ns: u64,
    /// Processor time of its first thread, in nanoseconds.
    pub cpu_ns: u64,
    /// Bytes of memory in use, and its quota.
    pub memory: (u64, u64),
    /// Why it ended.
    pub cause: &'a Cause,
    /// The first thread's registers.
    pub registers: Option<Registers>,
    /// Return addresses, the innermost first.
    pub backtrace: &'a [u64],
    /// The program's symbols.
    pub symbols: Option<Symbols<'a>>,
    /// Where in the source its code comes from.
    pub lines: Option<Lines<'a>>,
    /// Its messages, as far as the trace holds them, the latest last; each in one line.
    pub messages: &'a [String],
    /// The last message that it sent or got, in one line.
    pub last_message: Option<String>,
}

impl Findings<'_> {
    /// The record.
    pub fn record(&self) -> Record {
        let cause = self.cause.text();
        Record {
            number: self.number,
            time_ns: self.time_ns,
            component: self.component.into(),
            generation: self.generation,
            text: self.text(&cause),
            cause,
        }
    }

    fn text(&self, cause: &str) -> String {
        let mut text = String::new();
        let seconds = |ns: u64| (ns / 1_000_000_000, ns / 1_000_000 % 1000);
        let ((at, at_ms), (ran, ran_ms)) = (seconds(self.time_ns), seconds(self.ran_ns));
        // Writing to a string does not fail.
        let _ = writeln!(text, "fault {}: {} (generation {})", self.number, self.component, self.generation);
        let _ = writeln!(text, "  cause: {cause}");
        let _ = writeln!(text, "  time: {at}.{at_ms:03} s after start; it had run for {ran}.{ran_ms:03} s");
        let ((cpu, cpu_ms), (used, quota)) = (seconds(self.cpu_ns), self.memory);
        let _ = writeln!(
            text,
            "  used: {cpu}.{cpu_ms:03} s of processor time; {} KiB of its memory quota of {} KiB",
            used.div_ceil(1024),
            quota / 1024
        );
        if let Cause::Panic(panic, _) = self.cause {
            for line in panic.lines() {
                let _ = writeln!(text, "  | {line}");
            }
        }
        if let Some(r) = &self.registers {
            let rows = [
                [("rip", r.rip), ("rsp", r.rsp), ("rbp", r.rbp), ("flags", r.rflags)],
                [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
                [("rsi", r.rsi), ("rdi", r.rdi), ("r8", r.r8), ("r9", r.r9)],
                [("r10", r.r10), ("r11", r.r11), ("r12", r.r12), ("r13", r.r13)],
                [("r14", r.r14), ("r15", r.r15), ("fs", r.fs_base), ("", 0)],
            ];
            for row in rows {
                text.push_str("  ");
                for (name, value) in row.into_iter().filter(|(name, _)| !name.is_empty()) {
                    let _ = write!(text, "{name:>6} {value:016x}");
                }
                text.push('\n');
            }
        }
        for (index, address) in self.backtrace.iter().enumerate() {
            let _ = write!(text, "  #{index} {address:#x}");
            // A return address may be the first byte of the next function: the call lies before it.
            let inside = if index == 0 { *address } else { address.saturating_sub(1) };
            if let Some(symbol) = self.symbols.as_ref().and_then(|symbols| symbols.find(inside)) {
                let _ = write!(text, " {symbol}");
            }
            if let Some(line) = self.lines.as_ref().and_then(|lines| lines.find(inside)) {
                let _ = write!(text, " at {line}");
            }
            text.push('\n');
        }
        if !self.messages.is_empty() {
            text.push_str("  messages, from the trace:\n");
        }
        for message in self.messages {
            let _ = writeln!(text, "    {message}");
        }
        if let Some(message) = &self.last_message {
            let _ = writeln!(text, "  last message: {message}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_happened_and_where() {
        let fault = FaultMessage { instruction: 0x401000, address: 0x10, code: 6, ..FaultMessage::default() };
        let mut table = Vec::new();
        let symbols = [(0x401000, "crash"), (0x402000, "main")];
        motte_abi::symbols::encode(symbols.into_iter(), |piece| table.extend_from_slice(piece));
        let mut lines = Vec::new();
        let rows = [(0x401000, Some((0, 12))), (0x402000, Some((0, 30))), (0x402005, Some((0, 31)))];
        motte_abi::lines::encode(["demo/src/main.rs"].into_iter(), &rows, |piece| lines.extend_from_slice(piece));
        let cause = Cause::Fault(FaultKind::PageFault, fault);
        let record = Findings {
            number: 3,
            time_ns: 1_500_000_000,
            component: "demo",
            generation: 2,
            ran_ns: 20_000_000,
            cpu_ns: 3_000_000,
            memory: (40960, 262_144),
            cause: &cause,
            registers: Some(Registers { rip: 0x401000, ..Registers::default() }),
            backtrace: &[0x401000, 0x402005],
            symbols: Symbols::parse(&table),
            lines: Lines::parse(&lines),
            messages: &["answer of fs, label 7, 1 words".into()],
            last_message: Some("call to thread 7".into()),
        }
        .record();
        assert_eq!(record.cause, "page fault: write of unmapped address 0x10 at 0x401000");
        assert!(record.text.contains("used: 0.003 s of processor time; 40 KiB of its memory quota of 256 KiB\n"));
        assert!(record.text.contains("#0 0x401000 crash+0x0 at demo/src/main.rs:12\n"), "{}", record.text);
        assert!(record.text.contains("#1 0x402005 main+0x4 at demo/src/main.rs:30\n"), "{}", record.text);
        assert!(record.text.contains("  messages, from the trace:\n    answer of fs, label 7, 1 words\n"));
        assert!(record.text.ends_with("  last message: call to thread 7\n"), "{}", record.text);
    }

    #[test]
    fn who_is_said_to_answer_wrongly_is_recorded_with_who_says_so_and_what() {
        let cause = Cause::Accused("health".into(), "3 for the size of a file, where 4 is right".into());
        assert_eq!(cause.text(), "health: it answered 3 for the size of a file, where 4 is right");
        assert_eq!(cause.place(), None);
    }

    #[test]
    fn a_panic_is_named_by_its_place_and_its_text() {
        let text = "panicked at x.rs:1:2:\nindex out of bounds\nnote: more";
        let cause = Cause::Panic(text.into(), FaultMessage::default());
        assert_eq!(cause.text(), "panicked at x.rs:1:2: index out of bounds");
    }
}

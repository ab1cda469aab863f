//! What a guardian tells a new supervisor of the one before: how it ended, for the fault record that the new one writes. It travels in the
//! new one's environment, as words in hexadecimal, and on the next lines what the former one had to say.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte_abi::MessageInfo;
use motte_abi::fault::{FaultKind, FaultMessage, Registers};

use crate::record::Cause;

/// Characters of a panic's text that are passed on.
const LONGEST_TEXT: usize = 1000;

/// How a supervisor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Why.
    pub cause: Cause,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// When it was started; 0 if it was the first.
    pub started_ns: u64,
    /// Processor time of its first thread, in nanoseconds.
    pub cpu_ns: u64,
    /// Bytes of memory in use.
    pub memory: u64,
    /// The number of its first thread.
    pub thread: u64,
    /// The last message of that thread: a badge and a description.
    pub last_message: (u64, MessageInfo),
    /// That thread's registers.
    pub registers: Option<Registers>,
    /// Return addresses, the innermost first.
    pub backtrace: Vec<u64>,
}

const FAULT: u64 = 0;
const PANIC: u64 = 1;
const EXIT: u64 = 2;
const KILLED: u64 = 3;
const SILENT: u64 = 4;
const ACCUSED: u64 = 5;
const HOGGED: u64 = 6;

impl Former {
    /// As a variable of the environment.
    #[must_use]
    pub fn to_text(&self) -> String {
        let no_fault = FaultMessage::default();
        let (tag, detail, fault, said) = match &self.cause {
            Cause::Fault(kind, fault) => (FAULT, *kind as u64, fault, String::new()),
            Cause::Panic(text, fault) => (PANIC, 0, fault, text.clone()),
            Cause::Exit(status, text) => (EXIT, u64::from(status.cast_unsigned()), &no_fault, text.clone()),
            Cause::Killed => (KILLED, 0, &no_fault, String::new()),
            Cause::Silent(ns) => (SILENT, *ns, &no_fault, String::new()),
            Cause::Hogged(ns, other) => (HOGGED, *ns, &no_fault, other.clone()),
            Cause::Accused(by, what) => (ACCUSED, 0, &no_fault, format!("{by}\n{what}")),
        };
        let Self { time_ns, started_ns, cpu_ns, memory, thread, last_message: (badge, info), .. } = *self;
        let numbers = [tag, detail, time_ns, started_ns, cpu_ns, memory, thread, badge, info.0];
        let words = numbers.into_iter().chain(fault.to_words());
        let registers = self.registers.iter().flat_map(Registers::to_words);
        let lines = [words.collect(), registers.collect(), self.backtrace.clone()].map(|words: Vec<u64>| {
            let words: Vec<String> = words.iter().map(|word| format!("{word:x}")).collect();
            words.join(" ")
        });
        let said: String = said.chars().take(LONGEST_TEXT).collect();
        format!("{}\n{said}", lines.join("\n"))
    }

    /// From a variable of the environment; `None` if it is none of these.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.splitn(4, '\n');
        let mut words = || -> Option<Vec<u64>> {
            let words = lines.next()?.split_whitespace();
            words.map(|word| u64::from_str_radix(word, 16).ok()).collect()
        };
        let [numbers, registers, backtrace] = [words()?, words()?, words()?];
        let said = lines.next()?.to_string();
        let (&[tag, detail, time_ns, started_ns, cpu_ns, memory, thread, badge, info], fault) =
            numbers.split_first_chunk()?;
        let fault = FaultMessage::from_words(fault.try_into().ok()?);
        let cause = match tag {
            FAULT => Cause::Fault(FaultKind::from_raw(detail)?, fault),
            PANIC => Cause::Panic(said, fault),
            EXIT => Cause::Exit((detail as u32).cast_signed(), said),
            KILLED => Cause::Killed,
            SILENT => Cause::Silent(detail),
            HOGGED => Cause::Hogged(detail, said),
            ACCUSED => said.split_once('\n').map(|(by, what)| Cause::Accused(by.into(), what.into()))?,
            _ => return None,
        };
        let registers = registers.as_slice().try_into().ok().map(Registers::from_words);
        let last_message = (badge, MessageInfo(info));
        Some(Self { cause, time_ns, started_ns, cpu_ns, memory, thread, last_message, registers, backtrace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guardian_tells_is_understood() {
        let fault = FaultMessage { instruction: 0x40_1000, stack: 7, ..FaultMessage::default() };
        let causes = [
            Cause::Fault(FaultKind::PageFault, fault),
            Cause::Panic("panicked at x.rs:1:2:\nindex out of bounds\nnote: more".into(), fault),
            Cause::Exit(-1, "no endpoint".into()),
            Cause::Killed,
            Cause::Silent(2_000_000_000),
            Cause::Hogged(2_000_000_000, "log".into()),
            Cause::Accused("health".into(), "3, where 4 is right".into()),
        ];
        for cause in causes {
            let registers = Registers { rip: 0x40_1000, fs_base: u64::MAX, ..Registers::default() };
            let former = Former {
                cause,
                time_ns: 1,
                started_ns: 2,
                cpu_ns: 3,
                memory: 4,
                thread: 5,
                last_message: (6, MessageInfo(7)),
                registers: Some(registers),
                backtrace: [0x40_1000, 0x40_2000].into(),
            };
            assert_eq!(Former::from_text(&former.to_text()), Some(former.clone()));
            let bare = Former { registers: None, backtrace: Vec::new(), ..former };
            assert_eq!(Former::from_text(&bare.to_text()), Some(bare));
        }
        assert_eq!(Former::from_text("panicked\n\n\n"), None);
    }
}

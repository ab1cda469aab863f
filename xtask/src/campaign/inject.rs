//! Carries out one fault in a running machine.
//!
//! Faults of code, stack and messages strike while the component works: it is stopped at one of its system calls, which is where it is
//! seen from outside, and from there, for code, some steps further on. So the damaged instruction is one that is being executed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use motte::interfaces::method_label;
use motte::layout::{HEAP_ADDRESS, HEAP_END, MESSAGE_BUFFER_ADDRESS, STACK_ADDRESS};
use motte_abi::message::{MAX_WORDS, REGISTER_WORDS};
use motte_abi::{MessageInfo, ObjectType, Syscall, boot_info};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};

use super::code::{self, Mutation};
use super::fault::{Fault, FaultType};
use super::gdb::{Registers, register};
use super::guest::{CodeChange, Guest, Space};
use crate::elf::{self, Function};
use crate::random::Random;

/// How long a component may take to its next system call.
const ARREST_LIMIT: Duration = Duration::from_millis(1500);
/// Arrests of a component after which it is known where it makes its system calls.
const ENOUGH_ARRESTS: u32 = 16;
/// How many instructions it then goes on at most before the fault strikes.
const STEPS: u64 = 250;
/// How many more it may go on to one that can be changed as wanted.
const MORE_STEPS: usize = 120;
/// How long a reply is late, in milliseconds.
const LATE: std::ops::Range<u64> = 5..600;
/// Of the stack in use, so much may be struck: what the functions at work have there.
const STACK_BYTES: u64 = 2048;
/// Where the capabilities to send stand in a message buffer.
const BUFFER_CAPS: u64 = MAX_WORDS as u64 * 8;
/// `jmp` to itself: as long as `syscall`.
const LOOP: [u8; 2] = [0xeb, 0xfe];
const SYSTEM_CALL: [u8; 2] = [0x0f, 0x05];

/// A component's program, as it was built.
#[derive(Debug)]
pub struct Program {
    code: Vec<u8>,
    start: u64,
    functions: Vec<Function>,
    system_calls: Vec<u64>,
    /// How often it was arrested where: a program has hundreds of system calls, of which it makes some.
    arrests: Mutex<HashMap<u64, u32>>,
}

impl Program {
    /// Reads a program's file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = std::fs::read(path).with_context(|| format!("{} could not be read", path.display()))?;
        let elf = ElfFile64::<Endianness>::parse(&*file).context("not an ELF program")?;
        let text = elf.section_by_name(".text").context("the program has no code")?;
        let (code, start) = (text.data()?.to_vec(), text.address());
        // Some may be in the middle of other instructions: nobody ever stops there.
        let places = code.windows(2).enumerate().filter(|(_, bytes)| *bytes == SYSTEM_CALL);
        let system_calls = places.map(|(at, _)| start + at as u64).collect();
        Ok(Self { functions: elf::functions(&file)?, code, start, system_calls, arrests: Mutex::default() })
    }

    fn arrests(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.arrests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to wait for it: a machine with hundreds of breakpoints is many times slower than one with some.
    fn places(&self, sites: Sites) -> Vec<u64> {
        let arrests = self.arrests();
        if sites == Sites::Seen && arrests.values().sum::<u32>() >= ENOUGH_ARRESTS {
            return arrests.keys().copied().collect();
        }
        self.system_calls.clone()
    }

    fn at(&self, address: u64) -> &[u8] {
        let rest = address.checked_sub(self.start).and_then(|at| self.code.get(at as usize..)).unwrap_or(&[]);
        &rest[..rest.len().min(code::LONGEST)]
    }

    fn function(&self, address: u64) -> &str {
        let next = self.functions.partition_point(|function| function.address <= address);
        next.checked_sub(1).map_or("?", |index| &self.functions[index].name)
    }
}

/// How a fault is taken back.
#[derive(Clone, Debug)]
enum Undo {
    Nothing,
    Code(CodeChange),
    Word { address: u64, former: u64, now: u64 },
}

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Injected {
    /// What exactly was done.
    pub what: String,
    /// Whom it struck.
    space: Space,
    undo: Undo,
}

impl Injected {
    /// Takes the fault back, as far as it is still there.
    pub fn undo(&self, guest: &mut Guest) -> Result<()> {
        guest.stop()?;
        match &self.undo {
            Undo::Nothing => {}
            Undo::Code(change) => guest.restore_code(&self.space, change)?,
            &Undo::Word { address, former, now } => {
                if guest.is_alive(&self.space)? && guest.word(self.space.root, address)? == Some(now) {
                    guest.set_word(self.space.root, address, former)?;
                }
            }
        }
        guest.resume()
    }
}

/// At which of its system calls a component is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sites {
    /// Those at which it was seen before, if that was often enough.
    Seen,
    /// Any.
    Any,
}

/// Injects a fault; `None` if there was no opportunity: the component did not work, or sent no such message. The machine runs
/// before and after.
pub fn inject(guest: &mut Guest, program: &Program, fault: &mut Fault, sites: Sites) -> Result<Option<Injected>> {
    guest.stop()?;
    let injected = match guest.component(&fault.component)? {
        Some(space) => Injector { guest, program, space, sites, random: &mut fault.random }.inject(fault.kind)?,
        None => None,
    };
    guest.resume()?;
    Ok(injected)
}

/// The label of a message, without what the caller says there of its patience.
const fn label(info: MessageInfo) -> u64 {
    method_label(info.label())
}

/// What is at hand while the machine is stopped.
struct Injector<'a> {
    guest: &'a mut Guest,
    program: &'a Program,
    space: Space,
    sites: Sites,
    random: &'a mut Random,
}

impl Injector<'_> {
    fn inject(mut self, kind: FaultType) -> Result<Option<Injected>> {
        let done = match kind {
            FaultType::Code(mutation) => self.code(mutation)?,
            FaultType::Stack => self.stack()?,
            FaultType::Heap => self.heap()?,
            FaultType::MessageLength => self.message_length()?,
            FaultType::MessageIndex => self.message_index()?,
            FaultType::MessageHandle => self.message_handle()?,
            FaultType::ReplyLost => self.reply_lost()?,
            FaultType::ReplyTwice => self.reply_twice()?,
            FaultType::ReplyLate => self.reply_late()?,
        };
        Ok(done.map(|(what, undo)| Injected { what, space: self.space, undo }))
    }

    /// Lets the component run to a system call that is wanted.
    fn arrest(&mut self, wanted: impl Fn(&Registers) -> bool) -> Result<Option<Registers>> {
        let places = self.program.places(self.sites);
        if !self.guest.run_to(self.space.root, &places, ARREST_LIMIT, wanted)? {
            return Ok(None);
        }
        let registers = self.guest.registers()?;
        *self.program.arrests().entry(registers.rip()).or_default() += 1;
        Ok(Some(registers))
    }

    fn code(&mut self, mutation: Mutation) -> Result<Option<(String, Undo)>> {
        let Some(arrested) = self.arrest(|_| true)? else { return Ok(None) };
        let mut at = arrested.rip();
        let mut left = self.random.below(STEPS) as i64;
        loop {
            if left <= 0
                && at != arrested.rip()
                && let Some(changed) = code::mutate(mutation, self.program.at(at), at, self.random)
            {
                let Some(change) = self.guest.change_code(self.space.root, at, &changed.bytes)? else {
                    return Ok(None);
                };
                let what = format!("{} at {at:#x} in {}", changed.text, self.program.function(at));
                return Ok(Some((what, Undo::Code(change))));
            }
            let Some(instruction) = code::decode(self.program.at(at), at) else { return Ok(None) };
            left -= 1;
            if left < -(MORE_STEPS as i64) {
                return Ok(None);
            }
            match self.guest.step(self.space.root, instruction.len() as u64, ARREST_LIMIT)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
    }

    fn stack(&mut self) -> Result<Option<(String, Undo)>> {
        let Some(registers) = self.arrest(|_| true)? else { return Ok(None) };
        let pointer = registers.general[register::RSP] & !7;
        let top =
            if self.is_first_stack(&registers) { STACK_ADDRESS + self.space.stack } else { (pointer | 0xfff) + 1 };
        let words = (top - pointer).min(STACK_BYTES) / 8;
        if words == 0 {
            return Ok(None);
        }
        let address = pointer + self.random.below(words) * 8;
        self.flip(address, 64, &format!("{} bytes above the stack pointer", address - pointer))
    }

    fn is_first_stack(&self, registers: &Registers) -> bool {
        (STACK_ADDRESS..STACK_ADDRESS + self.space.stack).contains(&registers.general[register::RSP])
    }

    fn heap(&mut self) -> Result<Option<(String, Undo)>> {
        let pages = self.guest.pages(self.space.root, HEAP_ADDRESS..HEAP_END)?;
        for _ in 0..16 {
            let Some(&page) = self.random.choose(&pages) else { return Ok(None) };
            let Some(bytes) = self.guest.read(self.space.root, page, 4096)? else { continue };
            let used: Vec<u64> = (0_u64..512).filter(|&word| bytes[word as usize * 8..][..8] != [0; 8]).collect();
            if let Some(&word) = self.random.choose(&used) {
                return self.flip(page + word * 8, 48, "in the heap");
            }
        }
        Ok(None)
    }

    /// Flips one of the lower `bits` of a word.
    fn flip(&mut self, address: u64, bits: u64, place: &str) -> Result<Option<(String, Undo)>> {
        let Some(former) = self.guest.word(self.space.root, address)? else { return Ok(None) };
        let now = former ^ 1 << self.random.below(bits);
        self.guest.set_word(self.space.root, address, now)?;
        Ok(Some((format!("{former:#x} became {now:#x} at {address:#x}, {place}"), Undo::Word { address, former, now })))
    }

    /// Arrests the component when it sends a message of which this is true.
    fn sending(&mut self, wanted: impl Fn(MessageInfo) -> bool) -> Result<Option<(Registers, MessageInfo)>> {
        let info = |registers: &Registers| MessageInfo(registers.general[register::RSI]);
        let arrested = self.arrest(|registers| sends(registers.general[register::RAX]) && wanted(info(registers)))?;
        Ok(arrested.map(|registers| (registers, info(&registers))))
    }

    fn message_length(&mut self) -> Result<Option<(String, Undo)>> {
        let Some((_, info)) = self.sending(|_| true)? else { return Ok(None) };
        let length = (info.length() as u64 + 1 + self.random.below(127)) % 128;
        self.guest.set_register(register::RSI, info.0 & !0x7f | length)?;
        let what = format!("a message of label {} with {} words has {length}", label(info), info.length());
        Ok(Some((what, Undo::Nothing)))
    }

    fn message_index(&mut self) -> Result<Option<(String, Undo)>> {
        const WORDS: [usize; REGISTER_WORDS] =
            [register::R12, register::R13, register::R14, register::R15, register::RBX, register::RBP];
        let Some((registers, info)) = self.sending(|info| info.length() > 0)? else { return Ok(None) };
        let index = self.random.below(info.length().min(MAX_WORDS) as u64) as usize;
        let in_buffer = MESSAGE_BUFFER_ADDRESS + index as u64 * 8;
        let former = match WORDS.get(index) {
            Some(&number) => Some(registers.general[number]),
            None if self.is_first_stack(&registers) => self.guest.word(self.space.root, in_buffer)?,
            None => None,
        };
        let Some(former) = former else { return Ok(None) };
        let now = self.other(former);
        match WORDS.get(index) {
            Some(&number) => self.guest.set_register(number, now)?,
            None => self.guest.set_word(self.space.root, in_buffer, now)?,
        }
        let what = format!("word {index} of a message of label {}: {former:#x} became {now:#x}", label(info));
        Ok(Some((what, Undo::Nothing)))
    }

    fn message_handle(&mut self) -> Result<Option<(String, Undo)>> {
        let Some((registers, info)) = self.sending(|_| true)? else { return Ok(None) };
        let now = match self.random.below(3) {
            0 => self.random.number(),
            _ => self.random.below(self.space.slots.max(1)),
        };
        let carries = info.caps() > 0 && self.is_first_stack(&registers);
        let (name, former) = if carries && self.random.below(2) == 0 {
            let address = MESSAGE_BUFFER_ADDRESS + BUFFER_CAPS;
            let former = self.guest.word(self.space.root, address)?.unwrap_or(0);
            self.guest.set_word(self.space.root, address, now)?;
            ("the first capability that it carries", former)
        } else {
            let answers = registers.general[register::RAX] == Syscall::ReplyReceive as u64;
            let (name, number) = match answers && self.random.below(2) == 0 {
                true => ("the caller that it answers", register::RDX),
                false => ("the capability that it goes to", register::RDI),
            };
            self.guest.set_register(number, now)?;
            (name, registers.general[number])
        };
        let what = format!("of a message of label {}, {name}: {former:#x} became {now:#x}", label(info));
        Ok(Some((what, Undo::Nothing)))
    }

    /// Other values that a mistake in reckoning gives.
    fn other(&mut self, value: u64) -> u64 {
        match self.random.below(5) {
            0 => value.wrapping_add(1),
            1 => value.wrapping_sub(1),
            2 => u64::MAX,
            3 => self.random.number(),
            _ => value ^ 1 << self.random.below(64),
        }
    }

    /// Arrests the component when it answers a request.
    fn answering(&mut self) -> Result<Option<Registers>> {
        self.arrest(|registers| {
            registers.general[register::RAX] == Syscall::ReplyReceive as u64 && registers.general[register::RDX] != 0
        })
    }

    /// The caller's Reply object is put aside, where nobody knows of it, and the component receives with a new one.
    fn reply_lost(&mut self) -> Result<Option<(String, Undo)>> {
        let Some(registers) = self.answering()? else { return Ok(None) };
        let reply = registers.general[register::RDX];
        let aside = self.space.slots.saturating_sub(1);
        let moved = self.call(&registers, Syscall::CapMove, [0, aside, 0, reply, 0, 0])?;
        let Some(0) = moved else { return Ok(None) };
        let one_reply = ObjectType::Reply as u64 | 1 << 8;
        let memory = boot_info::slot::UNTYPED;
        if self.call(&registers, Syscall::Retype, [memory, one_reply, 0, 0, reply, 0])? != Some(0) {
            self.call(&registers, Syscall::CapMove, [0, reply, 0, aside, 0, 0])?;
            return Ok(None);
        }
        self.guest.set_register(register::RAX, Syscall::Receive as u64)?;
        Ok(Some(("the request at hand is never answered".to_owned(), Undo::Nothing)))
    }

    fn reply_twice(&mut self) -> Result<Option<(String, Undo)>> {
        let Some(registers) = self.answering()? else { return Ok(None) };
        let (reply, info) = (registers.general[register::RDX], registers.general[register::RSI]);
        let answered = self.call(&registers, Syscall::Reply, [reply, info, 0, 0, 0, 0])?;
        Ok(answered.map(|_| ("the request at hand is answered twice".to_owned(), Undo::Nothing)))
    }

    fn reply_late(&mut self) -> Result<Option<(String, Undo)>> {
        let Some(registers) = self.answering()? else { return Ok(None) };
        let milliseconds = LATE.start + self.random.below(LATE.end - LATE.start);
        let Some(change) = self.guest.change_code(self.space.root, registers.rip(), &LOOP)? else { return Ok(None) };
        self.guest.resume()?;
        std::thread::sleep(Duration::from_millis(milliseconds));
        self.guest.stop()?;
        self.guest.restore_code(&self.space, &change)?;
        Ok(Some((format!("the request at hand is answered {milliseconds} ms late"), Undo::Nothing)))
    }

    /// Has the arrested component make another system call before the one that it was about to make. Returns its status; `None` if it
    /// did not come back.
    fn call(&mut self, registers: &Registers, call: Syscall, arguments: [u64; 6]) -> Result<Option<u64>> {
        const R10: usize = register::R9 + 1;
        const ARGUMENTS: [usize; 6] = [register::RDI, register::RSI, register::RDX, register::R8, register::R9, R10];
        self.guest.set_register(register::RAX, call as u64)?;
        for (number, value) in ARGUMENTS.into_iter().zip(arguments) {
            self.guest.set_register(number, value)?;
        }
        if self.guest.step(self.space.root, SYSTEM_CALL.len() as u64, ARREST_LIMIT)?.is_none() {
            return Ok(None);
        }
        let status = self.guest.registers()?.general[register::RAX];
        self.guest.set_registers(registers)?;
        Ok(Some(status))
    }
}

/// Whether a system call sends a message.
fn sends(number: u64) -> bool {
    use Syscall::{Call, Reply, ReplyReceive, Send, TryCall, TryReplyReceive, TrySend};
    let sending = [Call, ReplyReceive, Send, Reply, TrySend, TryCall, TryReplyReceive];
    sending.into_iter().any(|call| call as u64 == number)
}

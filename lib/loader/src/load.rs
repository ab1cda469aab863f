//! Makes what a program needs, maps it, and starts its first thread.
//!
//! | where | what is in the started program's table |
//! |---|---|
//! | 1–6 | `motte_abi::boot_info::slot`: table, space, thread, scheduling context, remaining memory, message buffer |
//! | 16 | `fault`: its fault endpoint, for further threads |
//! | from 17 | the granted capabilities in order, then the scheduling contexts: the first thread's again and those for further threads; the rest is free |
//!
//! The frames that are mapped for it are kept in a second table of just the size that takes (*holding table*), so that neither the
//! program nor the loader spends slots on them. From slot 1 on it holds the pages of the stack, from the lowest address on (those that are
//! not there yet have their slots), then message buffer, start information, data, shared pages; page tables lie at its end.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use motte::interfaces::strings::Strings;
use motte::kernel::{
    AddressSpace, CacheMode, CapSlot, CapTable, Endpoint, Frame, IoPortControl, IrqControl, MapError, SchedContext,
    SchedControl, Thread, Untyped,
};
use motte::last_words::{self, LastWords};
use motte::start_info::{Builder, Header};
use motte::{layout, slots};
use motte_abi::boot_info::slot;
use motte_abi::clock::CLOCK_ADDRESS;
use motte_abi::fault::Registers;
use motte_abi::syscall::{MAX_RANGE, ThreadState};
use motte_abi::{Error, ObjectType, PAGE_SIZE, Rights};

use crate::image::{Contents, Image};
use crate::stack::{FIRST_HELD, INITIAL_PAGES, Stack};
use crate::view::{self, View};
use crate::window::Window;

/// Where a granted capability comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A copy of the loader's capability, with these rights.
    Copy(CapSlot, Rights),
    /// Copies of what lies in these slots of a table of the loader's, in a row, with these rights.
    Row(CapTable, Range<u64>, Rights),
    /// A copy with these rights and a badge.
    Mint(CapSlot, Rights, u64),
    /// A new object of the program's own memory.
    New(ObjectType),
    /// The whole of an Untyped that the loader holds, as an Untyped derived from it.
    Memory(Untyped),
    /// The interrupt of an I/O APIC line: line, flags.
    IrqLine(IrqControl, u64, u64),
    /// I/O ports: the first, and how many.
    Ports(IoPortControl, u16, u64),
    /// A page of device memory at a byte offset of a device Untyped.
    DevicePage(Untyped, u64),
}

impl Source {
    /// Slots that it takes in the program's table.
    fn slots(&self) -> u64 {
        match self {
            Self::Row(_, slots, _) => slots.end.saturating_sub(slots.start),
            _ => 1,
        }
    }
}

/// A capability that the program starts with, or a row of them.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its name in the start information.
    pub name: Cow<'static, str>,
    /// Where it comes from.
    pub source: Source,
}

impl Grant {
    /// A grant.
    pub fn new(name: impl Into<Cow<'static, str>>, source: Source) -> Self {
        Self { name: name.into(), source }
    }
}

/// Slots of the loader's own table, empty, for what it keeps of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The program's capability table.
    pub table: CapTable,
    /// Its address space.
    pub space: AddressSpace,
    /// Its first thread.
    pub thread: Thread,
    /// The scheduling context of that thread.
    pub context: SchedContext,
    /// The frame with message buffer and last words.
    pub message_buffer: Frame,
    /// The table with the frames that are mapped.
    pub holding: CapTable,
}

impl Places {
    /// Six slots in a row.
    pub const fn at(first: u64) -> Self {
        Self {
            table: CapTable::at(first),
            space: AddressSpace::at(first + 1),
            thread: Thread::at(first + 2),
            context: SchedContext::at(first + 3),
            message_buffer: Frame::at(first + 4),
            holding: CapTable::at(first + 5),
        }
    }

    /// How many slots they are.
    pub const COUNT: u64 = 6;

    /// Whether there is a thread that was begun to run and was not stopped since, even if it waits in its fault.
    #[must_use]
    pub fn has_thread(&self) -> bool {
        self.thread.0.identify().is_ok_and(|(ty, ..)| ty == ObjectType::Thread)
            && self.thread.info().is_ok_and(|info| info.state != ThreadState::Stopped as u64)
    }

    /// The last words of the program, if it left any.
    pub fn last_words(&self) -> Option<LastWords> {
        let mut page = [0; PAGE_SIZE];
        Window::new().ok()?.read(self.message_buffer, 0, &mut page).ok()?;
        last_words::read(|offset, bytes| bytes.copy_from_slice(&page[offset..offset + bytes.len()]))
    }

    /// Copies a page of the first thread's stack: the one that holds `address`, if it belongs to the stack. `window` lends a slot.
    pub fn read_stack(
        &self,
        stack: u64,
        address: u64,
        window: &Window,
        page: &mut [u8; PAGE_SIZE],
    ) -> Result<(), Error> {
        let index = address.checked_sub(layout::STACK_ADDRESS).ok_or(Error::InvalidArgument)? / PAGE_SIZE as u64;
        if index >= stack.div_ceil(PAGE_SIZE as u64) {
            return Err(Error::InvalidArgument);
        }
        let slot = motte::slots::allocate()?;
        let copied = self.holding.copy(FIRST_HELD + index, CapSlot::OWN_TABLE, slot.0, Rights::READ);
        let result = copied.and_then(|()| window.read(Frame(slot), 0, page));
        motte::slots::delete(slot);
        result
    }
}

/// A program to start.
#[derive(Debug)]
pub struct Program<'a> {
    /// What to run.
    pub image: &'a Image,
    /// Pays for everything; what is left becomes the program's own budget.
    pub untyped: Untyped,
    /// Where the loader keeps its capabilities: slots in a row, but for a table that is kept.
    pub places: Places,
    /// The table is there already (it survives restarts); else one of `header.slots` slots is made.
    pub keep_table: bool,
    /// A slot for the memory of the stack's pages that are mapped when they are needed; `None`: all are mapped at the start.
    pub stack_memory: Option<CapSlot>,
    /// Numbers of the start information: `badge`, `generation`, `slots`, `stack`, `priority` count, and `first_free_slot` if it
    /// is not 0; the rest is filled in.
    pub header: Header,
    /// The program's name.
    pub name: &'a str,
    /// Working directory.
    pub directory: &'a str,
    /// Arguments, the name first.
    pub arguments: Strings<'a>,
    /// Environment, `NAME=value`.
    pub environment: Strings<'a>,
    /// Capabilities.
    pub grants: &'a [Grant],
    /// Sets the budget.
    pub time_control: SchedControl,
    /// Budget in nanoseconds, and its period.
    pub budget: (u64, u64),
    /// Scheduling contexts for further threads, with the same budget each.
    pub further_contexts: u32,
    /// Hears of its faults, under this badge.
    pub fault_endpoint: (Endpoint, u64),
    /// The clock page.
    pub clock: Frame,
}

/// Why a program could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The memory quota is too small for the program itself.
    QuotaTooSmall {
        /// What could not be paid.
        what: &'static str,
        /// The quota in bytes.
        quota: u64,
    },
    /// A capability could not be granted.
    Grant(String, Error),
    /// The start information is larger than it may be.
    TooManyArguments,
    /// The stack is larger than it may be.
    StackTooLarge,
    /// Anything else that the kernel refused.
    Kernel(&'static str, Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QuotaTooSmall { what, quota } => {
                write!(f, "its memory quota of {} KiB is too small: nothing was left for {what}", quota / 1024)
            }
            Self::Grant(name, error) => write!(f, "it could not be given `{name}`: {error}"),
            Self::TooManyArguments => f.write_str("its arguments and environment are too long"),
            Self::StackTooLarge => {
                write!(f, "its stack is to be larger than {} KiB", layout::STACK_MAX / 1024)
            }
            Self::Kernel(what, error) => write!(f, "the kernel refused {what}: {error}"),
        }
    }
}

impl core::error::Error for LoadError {}

const PAGE: u64 = PAGE_SIZE as u64;
/// The most objects that one call makes.
const MAX_RETYPE: u64 = 256;
/// The largest Untyped that can be made; a range of device memory may be larger.
const LARGEST_UNTYPED: u64 = 1 << 40;
/// Slot of the fault endpoint.
const FAULT_SLOT: u64 = slot::FIRST_FREE;

/// What the loader has of a program that runs, besides its [`Places`].
#[derive(Debug)]
pub struct Loaded {
    /// Its message buffer and last words, and what else the loader wrote.
    pub view: View,
    /// Its stack, if that is to grow.
    pub stack: Option<Stack>,
}

/// Starts a program. On failure whoever asked revokes the Untyped, and everything is as before.
pub fn load(program: &Program<'_>) -> Result<Loaded, LoadError> {
    let loaded = prepare(program)?;
    program.places.thread.resume().map_err(refused("its start"))?;
    Ok(loaded)
}

/// Does everything for a program but let its thread run.
pub fn prepare(program: &Program<'_>) -> Result<Loaded, LoadError> {
    Loader::new(program)?.run()
}

/// Loads one program. Where things go in the holding table is settled at the beginning.
struct Loader<'a> {
    program: &'a Program<'a>,
    /// Bytes of its memory.
    quota: u64,
    /// What is written for it to read first.
    start_info: Vec<u8>,
    /// The page tables that it needs, as level and address, the upper levels first.
    tables: Vec<(u64, u64)>,
    /// Pages of the stack.
    stack: u64,
    /// Pages of the start information.
    info: u64,
}

impl<'a> Loader<'a> {
    fn new(program: &'a Program<'a>) -> Result<Self, LoadError> {
        let (_, quota, _) = program.untyped.info().map_err(refused("its memory"))?;
        let stack = program.header.stack.div_ceil(PAGE);
        if stack > layout::STACK_MAX / PAGE {
            return Err(LoadError::StackTooLarge);
        }
        let mut loader = Self { program, quota, start_info: Vec::new(), tables: Vec::new(), stack, info: 0 };
        loader.start_info = loader.start_info()?;
        loader.info = loader.start_info.len().div_ceil(PAGE_SIZE) as u64;
        loader.tables = loader.tables();
        Ok(loader)
    }

    /// Slot of the holding table for the message buffer; then come start information and data.
    fn first_private(&self) -> u64 {
        FIRST_HELD + self.stack
    }

    /// Slot of the holding table for the first of the shared pages; the clock page is the last of them.
    fn first_shared(&self) -> u64 {
        self.first_private() + 1 + self.info + self.program.image.private_pages() as u64
    }

    /// Slot of the holding table for the first page table.
    fn first_table(&self) -> u64 {
        self.first_shared() + self.program.image.shared_pages() as u64 + 1
    }

    /// Pages of the stack that are mapped at the start.
    fn initial_stack(&self) -> u64 {
        if self.program.stack_memory.is_some() { self.stack.min(INITIAL_PAGES) } else { self.stack }
    }

    /// Slot of the program's table for its first thread's scheduling context; those for further threads follow.
    fn first_context(&self) -> u64 {
        self.granted().last().map_or(FAULT_SLOT + 1, |(_, slots)| slots.end)
    }

    /// The grants, and the slots of the program's table that each takes.
    fn granted(&self) -> impl Iterator<Item = (&'a Grant, Range<u64>)> {
        self.program.grants.iter().scan(FAULT_SLOT + 1, |next, grant| {
            let first = *next;
            *next += grant.source.slots();
            Some((grant, first..*next))
        })
    }

    /// How many scheduling contexts there are.
    fn contexts(&self) -> u64 {
        1 + u64::from(self.program.further_contexts)
    }

    fn run(&self) -> Result<Loaded, LoadError> {
        let places = self.program.places;
        self.make_objects()?;
        self.map_tables()?;
        let view = self.map_private()?;
        self.map_shared()?;
        self.give_capabilities()?;
        let stack = self.give_memory()?;
        let registers = Registers {
            rip: self.program.image.entry,
            rsp: layout::STACK_ADDRESS + self.stack * PAGE,
            rflags: 0x202,
            rdi: layout::START_INFO_ADDRESS,
            rsi: layout::MESSAGE_BUFFER_ADDRESS,
            ..Registers::default()
        };
        places.thread.write_registers(&registers).map_err(refused("its registers"))?;
        Ok(Loaded { view, stack })
    }

    fn start_info(&self) -> Result<Vec<u8>, LoadError> {
        let program = self.program;
        let named = self.granted().map(|(grant, slots)| (&*grant.name, slots));
        let capabilities: Vec<_> = core::iter::once(("fault", FAULT_SLOT..FAULT_SLOT + 1)).chain(named).collect();
        let header = Header {
            memory_quota: self.quota,
            first_free_slot: match program.header.first_free_slot {
                0 => self.first_context() + self.contexts(),
                given => given,
            },
            first_context: self.first_context() + 1,
            contexts: program.further_contexts.into(),
            started_ns: motte::time::monotonic_ns(),
            ..program.header
        };
        let builder = Builder {
            header,
            name: program.name,
            directory: program.directory,
            arguments: program.arguments,
            environment: program.environment,
            capabilities: &capabilities,
        };
        let bytes = builder.build();
        if bytes.len() as u64 > layout::START_INFO_MAX {
            return Err(LoadError::TooManyArguments);
        }
        Ok(bytes)
    }

    fn tables(&self) -> Vec<(u64, u64)> {
        let fixed = CLOCK_ADDRESS..layout::STACK_ADDRESS + self.stack * PAGE;
        let parts = self.program.image.parts.iter().map(|part| part.address..part.end());
        let mut tables = Vec::new();
        for range in parts.chain([fixed]) {
            for (level, bits) in [(3, 39), (2, 30), (1, 21)] {
                for number in range.start >> bits..=(range.end - 1) >> bits {
                    if !tables.contains(&(level, number << bits)) {
                        tables.push((level, number << bits));
                    }
                }
            }
        }
        tables
    }

    /// Makes the tables, the address space and the thread.
    fn make_objects(&self) -> Result<(), LoadError> {
        let places = self.program.places;
        let make = |what, ty, size, slot: CapSlot| self.retype(what, ty, size, CapSlot::OWN_TABLE, slot.0, 1);
        if !self.program.keep_table {
            make("its capability table", ObjectType::CapTable, self.program.header.slots, places.table.0)?;
        }
        let slots = (self.first_table() + self.tables.len() as u64).next_power_of_two().max(16);
        make("the table of its frames", ObjectType::CapTable, slots, places.holding.0)?;
        make("its address space", ObjectType::AddressSpace, 0, places.space.0)?;
        make("its thread", ObjectType::Thread, 0, places.thread.0)
    }

    fn retype(
        &self,
        what: &'static str,
        ty: ObjectType,
        size: u64,
        table: CapTable,
        first: u64,
        count: u64,
    ) -> Result<(), LoadError> {
        let mut done = 0;
        while done < count {
            let some = (count - done).min(MAX_RETYPE);
            let made = self.program.untyped.retype(ty, size, table, first + done, some);
            made.map_err(|error| match error {
                Error::OutOfMemory => LoadError::QuotaTooSmall { what, quota: self.quota },
                other => LoadError::Kernel(what, other),
            })?;
            done += some;
        }
        Ok(())
    }

    /// Makes the page tables and puts them into their places.
    fn map_tables(&self) -> Result<(), LoadError> {
        let Places { space, holding, .. } = self.program.places;
        let (first, count) = (self.first_table(), self.tables.len() as u64);
        self.retype("its page tables", ObjectType::PageTable, 0, holding, first, count)?;
        for (slot, &(level, address)) in (first..).zip(&self.tables) {
            holding.map_table(slot, space, address, level).map_err(refused("a page table"))?;
        }
        Ok(())
    }

    /// Makes, maps and fills the pages that are its own.
    fn map_private(&self) -> Result<View, LoadError> {
        let holding = self.program.places.holding;
        let (initial, buffer) = (self.initial_stack(), self.first_private());
        let first = buffer - initial;
        let count = self.first_shared() - first;
        self.retype("its stack and data", ObjectType::Frame, PAGE, holding, first, count)?;
        let writable = Rights::READ | Rights::WRITE;
        let stack_end = layout::STACK_ADDRESS + self.stack * PAGE;
        self.map(first, initial, stack_end - initial * PAGE, writable)?;
        self.map(buffer, 1, layout::MESSAGE_BUFFER_ADDRESS, writable)?;
        self.map(buffer + 1, self.info, layout::START_INFO_ADDRESS, Rights::READ)?;
        let mut next = buffer + 1 + self.info;
        for (part, _) in self.program.image.private_parts() {
            let rights = if part.executable { Rights::READ | Rights::EXECUTE } else { writable };
            self.map(next, part.pages as u64, part.address, rights)?;
            next += part.pages as u64;
        }

        // Up to the last page that begins with something.
        let data = |pages: usize| view::START_INFO + (self.info as usize + pages) * PAGE_SIZE;
        let (mut pages, mut end) = (0, data(0));
        for (part, bytes) in self.program.image.private_parts() {
            end = if bytes.is_empty() { end } else { data(pages) + bytes.len() };
            pages += part.pages;
        }
        let view = View::new(holding, buffer, end.div_ceil(PAGE_SIZE)).map_err(refused("a view of its data"))?;
        view.write(view::START_INFO, &self.start_info);
        let mut pages = 0;
        for (part, bytes) in self.program.image.private_parts() {
            view.write(data(pages), bytes);
            pages += part.pages;
        }
        Ok(view)
    }

    /// Maps copies of the frames that others use too.
    fn map_shared(&self) -> Result<(), LoadError> {
        let mut next = self.first_shared();
        let mut share = |first: CapSlot, pages: u64, address: u64, rights: Rights| {
            let holding = self.program.places.holding;
            let copied = CapSlot::OWN_TABLE.copy_range(first.0, holding, next, pages, rights);
            copied.map_err(refused("a shared page"))?;
            self.map(next, pages, address, rights)?;
            next += pages;
            Ok(())
        };
        for part in &self.program.image.parts {
            if let Contents::Shared(first) = part.contents {
                let rights = if part.executable { Rights::READ | Rights::EXECUTE } else { Rights::READ };
                share(first, part.pages as u64, part.address, rights)?;
            }
        }
        share(self.program.clock.0, 1, CLOCK_ADDRESS, Rights::READ)
    }

    /// Maps frames of the holding table for the program.
    fn map(&self, first: u64, count: u64, address: u64, rights: Rights) -> Result<(), LoadError> {
        let Places { space, holding, .. } = self.program.places;
        let mut done = 0;
        while done < count {
            let (slot, at, some) = (first + done, address + done * PAGE, (count - done).min(MAX_RANGE));
            done += match holding.map_frames(slot, some, space, at, rights, CacheMode::Normal) {
                Ok(mapped) => mapped,
                Err(MapError::MissingTable(_)) => {
                    return Err(LoadError::Kernel("a mapping", Error::MissingTable));
                }
                Err(MapError::Kernel(error)) => return Err(LoadError::Kernel("a mapping", error)),
            };
        }
        Ok(())
    }

    /// Configures thread and scheduling contexts and fills the program's table.
    fn give_capabilities(&self) -> Result<(), LoadError> {
        let program = self.program;
        let Places { table, space, context, message_buffer, holding, .. } = program.places;
        let (first_context, contexts) = (self.first_context(), self.contexts());
        if program.keep_table {
            // The table outlives its programs: what a former one left in these slots goes.
            for slot in slot::ADDRESS_SPACE..=slot::UNTYPED {
                let _ = table.delete(slot);
            }
            for slot in FAULT_SLOT..first_context + contexts {
                let _ = table.delete(slot);
            }
        }
        self.retype("its time", ObjectType::SchedContext, 0, table, first_context, contexts)?;
        let (budget, period) = program.budget;
        let configured = program.time_control.configure_range(table, first_context, contexts, budget, period);
        if configured != Ok(contexts) {
            let error = configured.err().unwrap_or(Error::InvalidArgument);
            return Err(LoadError::Kernel("its budget", error));
        }
        let own = "its own capabilities";
        table.copy(first_context, CapSlot::OWN_TABLE, context.0.0, Rights::ALL).map_err(refused(own))?;
        let buffer = (self.first_private(), message_buffer.0.0);
        holding.copy(buffer.0, CapSlot::OWN_TABLE, buffer.1, Rights::ALL).map_err(refused(own))?;

        let fault = slots::allocate().map_err(refused("slots"))?;
        match self.configure_thread(fault) {
            // It lies in the program's table now.
            Ok(()) => slots::free(fault),
            Err(error) => {
                slots::delete(fault);
                return Err(error);
            }
        }

        // Its own objects lie in its table in the order of `Places`.
        let kept = program.keep_table && table.identify(slot::CAP_TABLE).is_ok_and(|(ty, ..)| ty != ObjectType::Null);
        if program.keep_table && !kept {
            let copied = CapSlot::OWN_TABLE.copy(table.0.0, table, slot::CAP_TABLE, Rights::ALL);
            copied.map_err(refused(own))?;
        }
        let (first, to) = match program.keep_table {
            true => (space.0, slot::ADDRESS_SPACE),
            false => (table.0, slot::CAP_TABLE),
        };
        let count = slot::MESSAGE_BUFFER + 1 - to;
        CapSlot::OWN_TABLE.copy_range(first.0, table, to, count, Rights::ALL).map_err(refused(own))?;
        for (grant, slots) in self.granted() {
            self.grant(&grant.source, table, slots.start)
                .map_err(|error| LoadError::Grant(grant.name.clone().into_owned(), error))?;
        }
        Ok(())
    }

    /// Gives the first thread its surroundings; `fault` is a slot for its fault endpoint on its way into the program's table.
    fn configure_thread(&self, fault: CapSlot) -> Result<(), LoadError> {
        let Places { table, space, thread, context, message_buffer, .. } = self.program.places;
        let (endpoint, badge) = self.program.fault_endpoint;
        endpoint.0.mint(fault, Rights::SEND, badge).map_err(refused("its fault endpoint"))?;
        thread.configure(table.0, space.0, fault, message_buffer.0).map_err(refused("the thread's surroundings"))?;
        let priority = self.program.header.priority.min(255) as u8;
        thread.schedule(priority, priority, context).map_err(refused("its priority and processor time"))?;
        CapSlot::OWN_TABLE.move_to(fault.0, table, FAULT_SLOT).map_err(refused("its fault endpoint"))
    }

    fn grant(&self, source: &Source, table: CapTable, to: u64) -> Result<(), Error> {
        match *source {
            Source::Row(from, ref slots, rights) => from.copy_range(slots.start, table, to, source.slots(), rights),
            Source::Copy(slot, rights) => CapSlot::OWN_TABLE.copy(slot.0, table, to, rights),
            Source::Mint(slot, rights, badge) => CapSlot::OWN_TABLE.mint(slot.0, table, to, rights, badge),
            Source::New(ty) => self.program.untyped.retype(ty, 0, table, to, 1),
            Source::Memory(untyped) => {
                let (_, size, used) = untyped.info()?;
                let size = if used == 0 { size } else { size.saturating_sub(used.next_multiple_of(PAGE)) };
                let size = size.min(LARGEST_UNTYPED);
                untyped.retype(ObjectType::Untyped, size, table, to, 1)
            }
            Source::IrqLine(control, line, flags) => control.line(line, flags, table, to),
            Source::Ports(control, first, count) => control.create(first, count, table, to),
            Source::DevicePage(untyped, offset) => untyped.retype_at(ObjectType::Frame, PAGE, table, to, 1, offset),
        }
    }

    /// Sets memory aside for the rest of the stack, and gives the program what is then left.
    fn give_memory(&self) -> Result<Option<Stack>, LoadError> {
        let program = self.program;
        let rest = (self.stack - self.initial_stack()) * PAGE;
        let stack = match program.stack_memory {
            Some(slot) if rest > 0 => {
                self.retype("its stack", ObjectType::Untyped, rest, CapSlot::OWN_TABLE, slot.0, 1)?;
                Some(Stack::new(Untyped(slot), self.stack))
            }
            _ => None,
        };
        let (_, size, used) = program.untyped.info().map_err(refused("its memory"))?;
        let left = size.saturating_sub(used.next_multiple_of(PAGE)) / PAGE * PAGE;
        if left == 0 {
            return Err(LoadError::QuotaTooSmall { what: "its heap", quota: size });
        }
        self.retype("its memory", ObjectType::Untyped, left, program.places.table, slot::UNTYPED, 1)?;
        Ok(stack)
    }
}

/// Makes an error that says what the kernel refused.
fn refused(what: &'static str) -> impl Fn(Error) -> LoadError {
    move |error| LoadError::Kernel(what, error)
}

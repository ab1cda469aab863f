//! Makes what a program needs, maps it, and starts its first thread.
//!
//! | where | what is in the started program's table |
//! |---|---|
//! | 1–6 | `motte_abi::boot_info::slot`: table, space, thread, scheduling context, remaining memory, message buffer |
//! | 16 | `fault`: its fault endpoint, for further threads |
//! | from 17 | the granted capabilities in order, then `sched:1` …; the rest is free |
//!
//! The frames that are mapped for it are kept in a second table of just the size that takes (*holding table*), so that neither the
//! program nor the loader spends slots on them. From slot 1 on it holds the pages of the stack, from the lowest address on, then
//! all other frames; page tables lie at its end.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use motte::kernel::{
    AddressSpace, CacheMode, CapSlot, CapTable, Endpoint, Frame, IoPortControl, IrqControl, MapError,
    PageTable, SchedContext, SchedControl, Thread, Untyped,
};
use motte::layout;
use motte::start_info::{Builder, Header};
use motte_abi::boot_info::slot;
use motte_abi::clock::CLOCK_ADDRESS;
use motte_abi::fault::Registers;
use motte_abi::{Error, ObjectType, PAGE_SIZE, Rights};

use crate::image::{Contents, Image};
use crate::scratch::{Scratch, Window};

/// Where a granted capability comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A copy of the loader's capability, with these rights.
    Copy(CapSlot, Rights),
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

/// A capability that the program starts with.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its name in the start information.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
}

impl Grant {
    /// A grant.
    pub fn new(name: impl Into<String>, source: Source) -> Self {
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

    /// Copies a page of the first thread's stack: the one that holds `address`, if it belongs to the stack. `window` lends a slot.
    pub fn read_stack(
        &self,
        stack: u64,
        address: u64,
        window: &Window,
        page: &mut [u8; PAGE_SIZE],
    ) -> Result<(), Error> {
        let index =
            address.checked_sub(layout::STACK_ADDRESS).ok_or(Error::InvalidArgument)? / PAGE_SIZE as u64;
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
    /// Where the loader keeps its capabilities.
    pub places: Places,
    /// The table is there already (it survives restarts); else one of `header.slots` slots is made.
    pub keep_table: bool,
    /// Numbers of the start information: `badge`, `generation`, `slots`, `stack`, `priority` count, and `first_free_slot` if it
    /// is not 0; the rest is filled in.
    pub header: Header,
    /// The program's name.
    pub name: &'a str,
    /// Working directory.
    pub directory: &'a str,
    /// Arguments, the name first.
    pub arguments: Vec<String>,
    /// Environment, `NAME=value`.
    pub environment: Vec<String>,
    /// Capabilities.
    pub grants: Vec<Grant>,
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
    /// Anything else that the kernel refused.
    Kernel(&'static str, Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QuotaTooSmall { what, quota } => {
                write!(
                    f,
                    "its memory quota of {} KiB is too small: nothing was left for {what}",
                    quota / 1024
                )
            }
            Self::Grant(name, error) => write!(f, "it could not be given `{name}`: {error}"),
            Self::TooManyArguments => f.write_str("its arguments and environment are too long"),
            Self::Kernel(what, error) => write!(f, "the kernel refused {what}: {error}"),
        }
    }
}

impl core::error::Error for LoadError {}

const PAGE: u64 = PAGE_SIZE as u64;
/// First slot of the holding table: slot 0 of any table is never valid.
const FIRST_HELD: u64 = 1;
/// The largest Untyped that can be made; a range of device memory may be larger.
const LARGEST_UNTYPED: u64 = 1 << 40;
/// Slot of the fault endpoint.
const FAULT_SLOT: u64 = slot::FIRST_FREE;

/// Starts a program. On failure whoever asked revokes the Untyped, and everything is as before.
pub fn load(program: &Program<'_>) -> Result<(), LoadError> {
    let mut loader = Loader {
        program,
        scratch: Scratch::default(),
        held: FIRST_HELD,
        held_tables: 0,
        reserve: Vec::new(),
    };
    loader.run()
}

struct Loader<'a> {
    program: &'a Program<'a>,
    scratch: Scratch,
    /// The next slot of the holding table for a frame; they fill it upwards.
    held: u64,
    /// The slot behind the next one for a page table; they fill it downwards.
    held_tables: u64,
    /// Slots for capabilities on their way into the holding table; each is empty.
    reserve: Vec<CapSlot>,
}

impl Loader<'_> {
    fn run(&mut self) -> Result<(), LoadError> {
        let program = self.program;
        let Places { space, thread, context, message_buffer, .. } = program.places;
        let start_info_pages = self.start_info(0, 0)?.len().div_ceil(PAGE_SIZE);
        self.make_tables(start_info_pages)?;
        self.make("its address space", ObjectType::AddressSpace, 0, space.0)?;
        self.make("its thread", ObjectType::Thread, 0, thread.0)?;

        let stack_pages = program.header.stack.div_ceil(PAGE) as usize;
        self.map_fresh("its stack", layout::STACK_ADDRESS, stack_pages, Rights::READ | Rights::WRITE, &[])?;
        for part in &program.image.parts {
            let rights = if part.executable { Rights::READ | Rights::EXECUTE } else { Rights::READ };
            match &part.contents {
                Contents::Shared(frames) => self.map_shared(part.address, frames, rights)?,
                Contents::Copied(bytes) => {
                    let rights = if part.executable { rights } else { Rights::READ | Rights::WRITE };
                    self.map_fresh("its data", part.address, part.pages, rights, bytes)?;
                }
            }
        }
        self.map_shared(CLOCK_ADDRESS, &[program.clock], Rights::READ)?;
        self.make("its message buffer", ObjectType::Frame, PAGE, message_buffer.0)?;
        self.map(message_buffer, layout::MESSAGE_BUFFER_ADDRESS, Rights::READ | Rights::WRITE)?;

        // The start information comes last, because it says how much memory and which slots are left; its frames come first.
        let info_frames = self.scratch.range(start_info_pages).map_err(refused("slots"))?;
        self.retype("its start information", ObjectType::Frame, PAGE, info_frames, start_info_pages)?;
        let window = Window::new().map_err(refused("a window"))?;
        let first_free = self.give_capabilities(thread, context, message_buffer)?;
        let budget = self.give_budget()?;
        let info = self.start_info(first_free, budget)?;
        for (index, piece) in info.chunks(PAGE_SIZE).enumerate() {
            let frame = Frame(CapSlot(info_frames.0 + index as u64));
            window.write(frame, 0, piece).map_err(refused("its start information"))?;
            self.map(frame, layout::START_INFO_ADDRESS + index as u64 * PAGE, Rights::READ)?;
            self.hold(frame.0)?;
        }

        let stack_top = layout::STACK_ADDRESS + stack_pages as u64 * PAGE;
        let registers = Registers {
            rip: program.image.entry,
            rsp: stack_top,
            rflags: 0x202,
            rdi: layout::START_INFO_ADDRESS,
            rsi: layout::MESSAGE_BUFFER_ADDRESS,
            ..Registers::default()
        };
        thread.write_registers(&registers).map_err(refused("its registers"))?;
        thread.resume().map_err(refused("its start"))
    }

    /// The start information as it would be; its length does not depend on the numbers.
    fn start_info(&self, first_free_slot: u64, budget: u64) -> Result<Vec<u8>, LoadError> {
        let program = self.program;
        let mut capabilities = vec![("fault".to_string(), FAULT_SLOT)];
        let names = program.grants.iter().map(|grant| grant.name.clone());
        let contexts = (1..=program.further_contexts).map(|number| alloc::format!("sched:{number}"));
        for (index, name) in names.chain(contexts).enumerate() {
            capabilities.push((name, FAULT_SLOT + 1 + index as u64));
        }
        let header = Header {
            memory_quota: if budget == 0 { 0 } else { self.quota() },
            first_free_slot: if program.header.first_free_slot == 0 {
                first_free_slot
            } else {
                program.header.first_free_slot
            },
            started_ns: motte::time::monotonic_ns(),
            ..program.header
        };
        let builder = Builder {
            header,
            name: program.name.into(),
            directory: program.directory.into(),
            arguments: program.arguments.clone(),
            environment: program.environment.clone(),
            capabilities,
        };
        let bytes = builder.build();
        if bytes.len() as u64 > layout::START_INFO_MAX {
            return Err(LoadError::TooManyArguments);
        }
        Ok(bytes)
    }

    fn quota(&self) -> u64 {
        self.program.untyped.info().map_or(0, |(_, size, _)| size)
    }

    /// Makes the program's table and the holding table.
    fn make_tables(&mut self, start_info_pages: usize) -> Result<(), LoadError> {
        let program = self.program;
        let Places { table, holding, .. } = program.places;
        if !program.keep_table {
            self.make("its capability table", ObjectType::CapTable, program.header.slots, table.0)?;
        }
        let stack_pages = program.header.stack.div_ceil(PAGE) as usize;
        // Page tables: three levels for the program, three for the fixed addresses, one more for each 2 MiB.
        let tables = 6 + program.image.pages() / 512 + stack_pages / 512 + program.image.parts.len() * 2;
        let frames =
            program.image.pages() + stack_pages + start_info_pages + tables + 4 + FIRST_HELD as usize;
        let slots = (frames as u64).next_power_of_two().max(16);
        self.held_tables = slots;
        self.make("the table of its frames", ObjectType::CapTable, slots, holding.0)
    }

    fn make(&self, what: &'static str, ty: ObjectType, size: u64, slot: CapSlot) -> Result<(), LoadError> {
        self.retype(what, ty, size, slot, 1)
    }

    fn retype(
        &self,
        what: &'static str,
        ty: ObjectType,
        size: u64,
        first: CapSlot,
        count: usize,
    ) -> Result<(), LoadError> {
        let made = self.program.untyped.retype(ty, size, CapSlot::OWN_TABLE, first.0, count as u64);
        made.map_err(|error| match error {
            Error::OutOfMemory => LoadError::QuotaTooSmall { what, quota: self.quota() },
            other => LoadError::Kernel(what, other),
        })
    }

    /// A slot for a capability on its way.
    fn passing_slot(&mut self) -> Result<CapSlot, LoadError> {
        match self.reserve.pop() {
            Some(slot) => Ok(slot),
            None => self.scratch.slot().map_err(refused("slots")),
        }
    }

    /// Moves a frame into the holding table; its slot is free again.
    fn hold(&mut self, slot: CapSlot) -> Result<(), LoadError> {
        self.hold_at(slot, self.held)?;
        self.held += 1;
        Ok(())
    }

    /// Moves a page table into the holding table, away from the frames: those of the stack lie where [`Places::read_stack`] looks for them.
    fn hold_table(&mut self, slot: CapSlot) -> Result<(), LoadError> {
        self.held_tables -= 1;
        self.hold_at(slot, self.held_tables)
    }

    fn hold_at(&self, slot: CapSlot, to: u64) -> Result<(), LoadError> {
        let holding = self.program.places.holding;
        let moved = CapSlot::OWN_TABLE.move_to(slot.0, holding, to);
        moved.map_err(refused("the table of its frames"))
    }

    /// Maps a frame for the program, with page tables of its own memory.
    fn map(&mut self, frame: Frame, address: u64, rights: Rights) -> Result<(), LoadError> {
        let space = self.program.places.space;
        loop {
            match frame.map(space, address, rights, CacheMode::Normal) {
                Ok(()) => return Ok(()),
                Err(MapError::MissingTable(level)) => {
                    let slot = self.passing_slot()?;
                    self.make("page tables", ObjectType::PageTable, 0, slot)?;
                    PageTable(slot).map(space, address, level).map_err(refused("a page table"))?;
                    self.hold_table(slot)?;
                    self.reserve.push(slot);
                }
                Err(MapError::Kernel(error)) => return Err(LoadError::Kernel("a mapping", error)),
            }
        }
    }

    /// Maps copies of frames that others use too.
    fn map_shared(&mut self, address: u64, frames: &[Frame], rights: Rights) -> Result<(), LoadError> {
        for (index, frame) in frames.iter().enumerate() {
            let slot = self.passing_slot()?;
            frame.0.copy(slot, rights).map_err(refused("a shared page"))?;
            self.map(Frame(slot), address + index as u64 * PAGE, rights)?;
            self.hold(slot)?;
            self.reserve.push(slot);
        }
        Ok(())
    }

    /// Maps fresh pages that begin with `bytes`.
    fn map_fresh(
        &mut self,
        what: &'static str,
        address: u64,
        pages: usize,
        rights: Rights,
        bytes: &[u8],
    ) -> Result<(), LoadError> {
        let window = Window::new().map_err(refused("a window"))?;
        for start in (0..pages).step_by(64) {
            let count = (pages - start).min(64);
            let mut passing = Scratch::default();
            let first = passing.range(count).map_err(refused("slots"))?;
            self.retype(what, ObjectType::Frame, PAGE, first, count)?;
            for index in 0..count {
                let page = start + index;
                let frame = Frame(CapSlot(first.0 + index as u64));
                let piece = bytes.get(page * PAGE_SIZE..).unwrap_or_default();
                let piece = &piece[..piece.len().min(PAGE_SIZE)];
                if piece.iter().any(|&byte| byte != 0) {
                    window.write(frame, 0, piece).map_err(refused(what))?;
                }
                self.map(frame, address + page as u64 * PAGE, rights)?;
                self.hold(frame.0)?;
            }
        }
        Ok(())
    }

    /// Configures thread and scheduling contexts and fills the program's table; returns its first free slot.
    fn give_capabilities(
        &mut self,
        thread: Thread,
        context: SchedContext,
        message_buffer: Frame,
    ) -> Result<u64, LoadError> {
        let program = self.program;
        let Places { table, space, .. } = program.places;
        let give = |from: CapSlot, to: u64| {
            CapSlot::OWN_TABLE.copy(from.0, table, to, Rights::ALL).map_err(refused("its own capabilities"))
        };
        self.make("its scheduling context", ObjectType::SchedContext, 0, context.0)?;
        let (budget, period) = program.budget;
        let control = program.time_control;
        control.configure(context, budget, period, 0).map_err(refused("its budget"))?;

        let fault = self.passing_slot()?;
        let (endpoint, badge) = program.fault_endpoint;
        endpoint.0.mint(fault, Rights::SEND, badge).map_err(refused("its fault endpoint"))?;
        thread
            .configure(table.0, space.0, fault, message_buffer.0)
            .map_err(refused("the thread's surroundings"))?;
        let priority = program.header.priority.min(255) as u8;
        thread.set_priority(priority, priority).map_err(refused("its priority"))?;
        thread.bind_sched_context(context.0).map_err(refused("its scheduling context"))?;
        if program.keep_table {
            // The table outlives its programs: what a former one left in these slots goes.
            for slot in
                [slot::ADDRESS_SPACE, slot::THREAD, slot::SCHED_CONTEXT, slot::UNTYPED, slot::MESSAGE_BUFFER]
            {
                let _ = table.delete(slot);
            }
            for slot in
                FAULT_SLOT..FAULT_SLOT + 1 + program.grants.len() as u64 + u64::from(program.further_contexts)
            {
                let _ = table.delete(slot);
            }
            if table.identify(slot::CAP_TABLE).is_ok_and(|(ty, ..)| ty == ObjectType::Null) {
                give(table.0, slot::CAP_TABLE)?;
            }
        } else {
            give(table.0, slot::CAP_TABLE)?;
        }
        give(space.0, slot::ADDRESS_SPACE)?;
        give(thread.0, slot::THREAD)?;
        give(context.0, slot::SCHED_CONTEXT)?;
        give(message_buffer.0, slot::MESSAGE_BUFFER)?;
        CapSlot::OWN_TABLE.move_to(fault.0, table, FAULT_SLOT).map_err(refused("its fault endpoint"))?;
        self.reserve.push(fault);

        let mut next = FAULT_SLOT + 1;
        for grant in &program.grants {
            self.grant(&grant.source, table, next)
                .map_err(|error| LoadError::Grant(grant.name.clone(), error))?;
            next += 1;
        }
        for _ in 0..program.further_contexts {
            let slot = self.passing_slot()?;
            self.make("a scheduling context", ObjectType::SchedContext, 0, slot)?;
            control.configure(SchedContext(slot), budget, period, 0).map_err(refused("its budget"))?;
            CapSlot::OWN_TABLE.move_to(slot.0, table, next).map_err(refused("a scheduling context"))?;
            self.reserve.push(slot);
            next += 1;
        }
        Ok(next)
    }

    fn grant(&self, source: &Source, table: CapTable, to: u64) -> Result<(), Error> {
        match *source {
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
            Source::DevicePage(untyped, offset) => {
                untyped.retype_at(ObjectType::Frame, PAGE, table, to, 1, offset)
            }
        }
    }

    /// Gives the program what is left of its memory; returns how much that is.
    fn give_budget(&self) -> Result<u64, LoadError> {
        let (_, size, used) = self.program.untyped.info().map_err(refused("its memory"))?;
        let left = size.saturating_sub(used.next_multiple_of(PAGE)) / PAGE * PAGE;
        if left == 0 {
            return Err(LoadError::QuotaTooSmall { what: "its heap", quota: size });
        }
        let table = self.program.places.table;
        let given = self.program.untyped.retype(ObjectType::Untyped, left, table, slot::UNTYPED, 1);
        given.map_err(refused("its memory"))?;
        Ok(left)
    }
}

/// Makes an error that says what the kernel refused.
fn refused(what: &'static str) -> impl Fn(Error) -> LoadError {
    move |error| LoadError::Kernel(what, error)
}

//! A thread in an address space of its own: the program's code is mapped there at its usual place, and besides only a stack, a message
//! buffer and a page that it shares with the program.

use motte::abi::fault::Registers;
use motte::abi::{Error, ObjectType, PAGE_SIZE, Rights};
use motte::kernel::{AddressSpace, CapSlot, CapTable, Frame, Thread};
use motte::layout::PROGRAM_ADDRESS;
use motte::start;

use crate::arena::Arena;
use crate::roles::Role;

/// Where its stack ends.
const STACK_TOP: u64 = 0x1001_0000;
/// Pages of its stack.
const STACK_PAGES: u64 = 4;
/// Its message buffer.
pub const BUFFER: u64 = 0x1002_0000;
/// The page that it shares with the program.
pub const SHARED: u64 = 0x1003_0000;
/// Nothing is mapped from here to the next multiple of 2 MiB, and the page table is there.
pub const UNMAPPED: u64 = 0x1010_0000;

/// A thread, and what is around it.
pub struct Child {
    /// Its address space.
    pub space: AddressSpace,
    /// Its capability table.
    pub table: CapTable,
    /// The thread.
    pub thread: Thread,
}

/// How a child is made.
pub struct Plan<'a> {
    /// What it does.
    pub role: Role,
    /// What its function is called with.
    pub argument: u64,
    /// Its priority.
    pub priority: u8,
    /// Its capabilities: from which slot, to which of its own.
    pub capabilities: &'a [(CapSlot, u64)],
    /// Who hears of its faults; nobody: the one who hears of the program's.
    pub faults: Option<CapSlot>,
    /// A frame to be mapped at [`SHARED`].
    pub shared: Option<Frame>,
    /// Slots of its table.
    pub slots: u64,
}

impl Child {
    /// A capability table, and an address space with the program's code and nothing else.
    pub fn surroundings(arena: &mut Arena, slots: u64) -> Result<(CapTable, AddressSpace), Error> {
        let table = CapTable(arena.make(ObjectType::CapTable, slots)?);
        let space = AddressSpace(arena.make(ObjectType::AddressSpace, 0)?);
        let code = Frame(arena.copy(arena.code().0, Rights::READ | Rights::EXECUTE)?);
        arena.map(code, space, PROGRAM_ADDRESS, Rights::READ | Rights::EXECUTE)?;
        Ok((table, space))
    }

    /// Makes a child and starts it. If its priority is the higher, it runs at once, until it waits.
    pub fn start(arena: &mut Arena, plan: &Plan<'_>) -> Result<Self, Error> {
        let (table, space) = Self::surroundings(arena, plan.slots)?;
        let writable = Rights::READ | Rights::WRITE;
        for page in 1..=STACK_PAGES {
            let frame = Frame(arena.make(ObjectType::Frame, PAGE_SIZE as u64)?);
            arena.map(frame, space, STACK_TOP - page * PAGE_SIZE as u64, writable)?;
        }
        let buffer = Frame(arena.make(ObjectType::Frame, PAGE_SIZE as u64)?);
        arena.map(buffer, space, BUFFER, writable)?;
        if let Some(frame) = plan.shared {
            let copy = Frame(arena.copy(frame.0, writable)?);
            arena.map(copy, space, SHARED, writable)?;
        }

        for &(from, to) in plan.capabilities {
            CapSlot::OWN_TABLE.copy(from.0, table, to, Rights::ALL)?;
        }
        let thread = Thread(arena.make(ObjectType::Thread, 0)?);
        let faults = plan.faults.or_else(|| start::capability("fault")).unwrap_or(CapSlot::NULL);
        thread.configure(table.0, space.0, faults, buffer.0)?;
        let context = start::further_context(0).ok_or(Error::InvalidCapability)?;
        thread.schedule(plan.priority, plan.priority, context)?;
        thread.start(&registers(plan.role, plan.argument, STACK_TOP))?;
        Ok(Self { space, table, thread })
    }
}

/// With which a thread begins a role on a stack that ends at `stack_top`.
pub fn registers(role: Role, argument: u64, stack_top: u64) -> Registers {
    Registers {
        rip: role as usize as u64,
        // As after a call: the System V calling convention has it 8 below a multiple of 16.
        rsp: stack_top - 8,
        rflags: 0x202,
        rdi: argument,
        ..Registers::default()
    }
}

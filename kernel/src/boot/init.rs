//! The creation of `init`: its objects, its memory, and the capabilities to everything there is.

use super::elf::Executable;
use super::{BootError, PAGE, Parameters, Reserve};
use crate::Kernel;
use crate::arch::{Access, Arch, Context};
use crate::cap::{self, slot};
use crate::mem::space::{find_entry, span};
use crate::memory::{boot_bytes, copy_in, read_word, view, write_structure, write_word};
use crate::object::control::Surroundings;
use crate::object::sched_context::SchedContext;
use crate::object::space::AddressSpace;
use crate::object::table::CapTable;
use crate::object::thread::Thread;
use motte_abi::boot_image::BootImage;
use motte_abi::boot_info::{BOOT_INFO_MAGIC, BootInfo, INIT_SLOTS, MAX_UNTYPED, UntypedDescription, slot as fixed};
use motte_abi::clock::CLOCK_ADDRESS;
use motte_abi::fault::Registers;
use motte_abi::object::SLOT_BYTES;
use motte_abi::{ABI_VERSION, ObjectType, Rights, USER_END};
use motte_boot::{Range, RangeSet};
use slot::Slot;

const STACK_BYTES: u64 = 64 << 10;
/// Slice of init's unlimited scheduling context.
const SLICE: u64 = 10_000_000;

const READ_ONLY: Access = Access { write: false, execute: false, uncached: false };
const WRITABLE: Access = Access { write: true, execute: false, uncached: false };

/// Init while it is made.
struct Builder<'k, A: Arch> {
    kernel: &'k Kernel<A>,
    reserve: Reserve,
    table: &'k CapTable,
    space: &'k AddressSpace,
    /// Next slot to fill.
    next_slot: u64,
    /// Next address to map something at.
    next_address: u64,
}

/// Create init, ready to run on core 0, and give it all that is left. Once, after [`super::early`].
pub fn start_init<A: Arch>(kernel: &Kernel<A>, parameters: &Parameters<'_>) -> Result<(), BootError> {
    let bytes = boot_bytes::<A>(kernel, parameters.image.start, parameters.image.len());
    let image = BootImage::parse(bytes).map_err(|_| "the boot image is damaged")?;
    let file = image.file("init").ok_or("the boot image has no init")?;
    let executable = Executable::parse(file.data)?;

    let mut ram = parameters.ram.clone();
    let reserve = Reserve::new(&mut ram, memory_needed(parameters, &executable)?)?;
    let mut builder = Builder::new(kernel, reserve)?;
    builder.load(&executable)?;
    let info = builder.furnish(parameters, ram)?;
    builder.start(executable.entry, info)
}

/// Bytes to set aside for init: its table, segments, stack and page tables, with a little to spare.
fn memory_needed(parameters: &Parameters<'_>, executable: &Executable<'_>) -> Result<u64, BootError> {
    let mut bytes = INIT_SLOTS * SLOT_BYTES + STACK_BYTES + 32 * PAGE;
    for segment in executable.segments() {
        bytes += segment?.size.next_multiple_of(PAGE) + 4 * PAGE;
    }
    let mapped = bytes + parameters.image.len();
    Ok((bytes + (mapped / span(2) + 2) * PAGE + parameters.command_line.len() as u64).next_multiple_of(PAGE))
}

impl<'k, A: Arch> Builder<'k, A> {
    fn new(kernel: &'k Kernel<A>, mut reserve: Reserve) -> Result<Self, BootError> {
        let table_bytes = INIT_SLOTS * SLOT_BYTES;
        let table = kernel.begin_object(0, ObjectType::CapTable, table_bytes, reserve.pages::<A>(table_bytes)?);
        let space = kernel.begin_object(0, ObjectType::AddressSpace, 0, reserve.pages::<A>(2 * PAGE)?);
        let builder = Self {
            kernel,
            reserve,
            table: view(kernel, table),
            space: view(kernel, space),
            next_slot: fixed::FIRST_FREE,
            next_address: 0,
        };
        builder.fill(fixed::CAP_TABLE, ObjectType::CapTable, table)?;
        builder.fill(fixed::ADDRESS_SPACE, ObjectType::AddressSpace, space)?;
        for (at, kind) in [
            (fixed::IRQ_CONTROL, ObjectType::IrqControl),
            (fixed::IO_PORT_CONTROL, ObjectType::IoPortControl),
            (fixed::SCHED_CONTROL, ObjectType::SchedControl),
        ] {
            builder.fill(at, kind, 0)?;
        }
        Ok(builder)
    }

    fn slot(&self, index: u64) -> Result<&'k Slot, BootError> {
        self.table.slot(self.kernel, index).ok_or("init's capability table is too small for the boot image")
    }

    fn fill(&self, index: u64, kind: ObjectType, object: u64) -> Result<&'k Slot, BootError> {
        let slot = self.slot(index)?;
        cap::create(self.kernel, slot, None, (kind, 0), object, 0);
        Ok(slot)
    }

    /// Capabilities to the pages of a range, in the next slots. The first slot and their number.
    fn frames(&mut self, start: u64, bytes: u64, rights: Rights) -> Result<(u64, u64), BootError> {
        let (first, count) = (self.next_slot, bytes.div_ceil(PAGE));
        for index in 0..count {
            self.fill(first + index, ObjectType::Frame, start + index * PAGE)?.restrict(rights);
        }
        self.next_slot += count;
        Ok((first, count))
    }

    /// Maps one page, with the tables that it needs.
    fn map(&mut self, address: u64, physical: u64, access: Access) -> Result<(), BootError> {
        if address >= USER_END {
            return Err("init does not fit into its address space");
        }
        let root = self.space.root.get();
        loop {
            match find_entry::<A>(root, address, 1) {
                Ok(place) if read_word::<A>(place) != 0 => return Err("segments of init share a page"),
                Ok(place) => {
                    write_word::<A>(place, A::page_entry(physical, false, access));
                    return Ok(());
                }
                Err(missing) => {
                    let table = self.reserve.pages::<A>(PAGE)?;
                    if let Ok(place) = find_entry::<A>(root, address, missing + 1) {
                        write_word::<A>(place, A::table_entry(table));
                    }
                }
            }
        }
    }

    /// Maps the pages of a range at the next free address. That address.
    fn map_next(&mut self, physical: u64, bytes: u64, access: Access) -> Result<u64, BootError> {
        let address = self.next_address;
        for index in 0..bytes.div_ceil(PAGE) {
            self.map(address + index * PAGE, physical + index * PAGE, access)?;
        }
        self.next_address += bytes.next_multiple_of(PAGE);
        Ok(address)
    }

    /// Loads the program into fresh memory.
    fn load(&mut self, executable: &Executable<'_>) -> Result<(), BootError> {
        for segment in executable.segments() {
            let segment = segment?;
            let start = segment.address / PAGE * PAGE;
            let size = segment.size.checked_add(segment.address - start).filter(|&size| size < USER_END - start);
            let size = size.ok_or("init does not fit into its address space")?;
            let memory = self.reserve.pages::<A>(size)?;
            copy_in::<A>(memory + (segment.address - start), segment.data);
            let access = Access { write: segment.write, execute: segment.execute, uncached: false };
            for offset in (0..size).step_by(PAGE as usize) {
                self.map(start + offset, memory + offset, access)?;
            }
            self.next_address = self.next_address.max((start + size).next_multiple_of(span(2)));
        }
        Ok(())
    }

    /// Maps and describes what init gets to see. The description, still without its untyped memory.
    fn furnish(&mut self, parameters: &Parameters<'_>, ram: RangeSet) -> Result<BootInfo, BootError> {
        let clock = self.reserve.pages::<A>(PAGE)?;
        write_structure::<A, _>(clock, &parameters.clock);
        self.fill(fixed::CLOCK_FRAME, ObjectType::Frame, clock)?.restrict(Rights::READ);
        self.map(CLOCK_ADDRESS, clock, READ_ONLY)?;

        let line = parameters.command_line;
        let line_page = self.reserve.pages::<A>(line.len().max(1) as u64)?;
        copy_in::<A>(line_page, line);
        let command_line_address = self.map_next(line_page, line.len().max(1) as u64, READ_ONLY)?;
        let image = parameters.image;
        let boot_image_address = self.map_next(image.start, image.len(), READ_ONLY)?;
        let image_rights = Rights::READ | Rights::EXECUTE | Rights::MANAGE;
        let (boot_image_slot, _) = self.frames(image.start, image.len(), image_rights)?;

        let (log, log_bytes) = self.kernel.log.memory();
        let (kernel_log_slot, kernel_log_frames) = self.frames(log, log_bytes, Rights::READ)?;
        let (trace_slot, mut trace_frames_per_core) = (self.next_slot, 0);
        for core in self.kernel.cores.iter().take(parameters.processors_online) {
            let (memory, bytes) = core.trace.memory();
            trace_frames_per_core = self.frames(memory, bytes, Rights::READ)?.1;
        }
        let kept = log_bytes + trace_frames_per_core * parameters.processors_online as u64 * PAGE;
        let mut info = BootInfo {
            magic: BOOT_INFO_MAGIC,
            abi_version: u64::from(ABI_VERSION.0) << 16 | u64::from(ABI_VERSION.1),
            processors_online: parameters.processors_online as u64,
            processors_present: parameters.processors_present as u64,
            memory_total: parameters.memory_total,
            memory_kernel: parameters.memory_kernel + kept,
            boot_image_address,
            boot_image_size: image.len(),
            boot_image_slot,
            command_line_address,
            command_line_size: line.len() as u64,
            kernel_log_slot,
            kernel_log_frames,
            trace_slot,
            trace_frames_per_core,
            first_free_slot: 0,
            first_free_address: 0,
            kernel_started_ns: 0,
            acpi_rsdp: parameters.acpi_root,
            untyped_count: 0,
            untyped: [UntypedDescription::default(); MAX_UNTYPED],
        };
        let ram = ram.as_slice().iter().map(|&range| (range, 0));
        let device = parameters.device.as_slice().iter().map(|&range| (range, slot::DEVICE));
        for (range, flag) in ram.chain(device) {
            self.give_untyped(&mut info, range, flag)?;
        }
        info.first_free_slot = self.next_slot;
        Ok(info)
    }

    /// A capability to a range of untyped memory, as far as there is room to describe it.
    fn give_untyped(&mut self, info: &mut BootInfo, range: Range, flag: u8) -> Result<(), BootError> {
        let range = range.inward(PAGE);
        let Some(place) = info.untyped.get_mut(info.untyped_count as usize) else { return Ok(()) };
        if range.is_empty() {
            return Ok(());
        }
        let index = self.next_slot;
        cap::create(self.kernel, self.slot(index)?, None, (ObjectType::Untyped, flag), range.start, range.len());
        *place = UntypedDescription {
            slot: index,
            base: range.start,
            size: range.len(),
            device: u64::from(flag == slot::DEVICE),
        };
        info.untyped_count += 1;
        self.next_slot += 1;
        Ok(())
    }

    /// Makes the thread, and the pages that it starts with.
    fn start(mut self, entry: u64, mut info: BootInfo) -> Result<(), BootError> {
        let kernel = self.kernel;
        let buffer = self.reserve.pages::<A>(PAGE)?;
        let buffer_slot = self.fill(fixed::MESSAGE_BUFFER, ObjectType::Frame, buffer)?;
        let buffer_address = self.map_next(buffer, PAGE, WRITABLE)?;
        // An unmapped page below the stack.
        self.next_address += PAGE;
        let stack = self.reserve.pages::<A>(STACK_BYTES)?;
        let stack_top = self.map_next(stack, STACK_BYTES, WRITABLE)? + STACK_BYTES;
        self.next_address += PAGE;
        let page = self.reserve.pages::<A>(PAGE)?;
        let info_address = self.map_next(page, PAGE, READ_ONLY)?;

        let context = self.reserve.pages::<A>(PAGE)?;
        let context = kernel.begin_object(0, ObjectType::SchedContext, 0, context);
        self.fill(fixed::SCHED_CONTEXT, ObjectType::SchedContext, context)?;
        let context: &SchedContext<A> = view(kernel, context);
        let thread = self.reserve.pages::<A>(PAGE)?;
        let thread = kernel.begin_object(0, ObjectType::Thread, 0, thread);
        self.fill(fixed::THREAD, ObjectType::Thread, thread)?;
        let thread: &Thread<A> = view(kernel, thread);
        let with = Surroundings {
            table: Some((self.table, self.slot(fixed::CAP_TABLE)?)),
            space: Some((self.space, self.slot(fixed::ADDRESS_SPACE)?)),
            fault: None,
            buffer: Some(buffer_slot),
        };
        const FAILED: BootError = "the objects of init cannot be put together";
        kernel.configure_thread(thread, &with).map_err(|_| FAILED)?;
        kernel.configure_context(context, SLICE, SLICE, false).map_err(|_| FAILED)?;
        kernel.bind_context(thread, Some(context)).map_err(|_| FAILED)?;
        thread.max_priority.set(u8::MAX);
        kernel.set_priority(thread, u8::MAX);
        thread.context().set_registers(&Registers {
            rip: entry,
            rsp: stack_top,
            rdi: info_address,
            rsi: buffer_address,
            ..Registers::default()
        });

        info.first_free_address = self.next_address;
        info.kernel_started_ns = A::now();
        info.memory_kernel += self.reserve.bytes();
        write_structure::<A, _>(page, &info);
        kernel.resume(thread).map_err(|_| FAILED)
    }
}

//! From the boot loader's hand-over to the first user instruction, on the first core.

use super::early_memory::{EarlyMemory, Mapped};
use super::paging::{self, KernelTables};
use super::percore::{self, Stacks};
use super::{X86, apic, clock, cpu, entry, fpu, ioapic, kernel, panic, syscall};
use crate::boot::{self, Parameters};
use core::arch::asm;
use cpu::Features;
use motte_boot::acpi::{self, Interrupts};
use motte_boot::{Handover, PhysicalMemory, Range, RangeSet, pvh};

const PAGE: u64 = 4096;
const LARGE: u64 = 2 << 20;
/// Memory of old firmware, and later of other processors' first instructions: never handed out.
const LOW: Range = Range::new(0, 1 << 20);
/// Where video memory and firmware begin in it.
const LOW_DEVICES: Range = Range::new(0xa_0000, 1 << 20);
/// Where message-signalled interrupts are written to; the local APICs' registers lie there too.
const MESSAGES: Range = Range::new(0xfee0_0000, 0xfef0_0000);
const KERNEL_STACK_PAGES: u64 = 8;
const FAULT_STACK_PAGES: u64 = 4;

/// What is found out on the boot stack, for the rest of the start on the kernel's own.
struct Machine {
    features: Features,
    handover: Handover,
    /// RAM that is left.
    free: RangeSet,
    interrupts: Interrupts,
    stacks: Stacks,
    local_apic: u64,
    io_apics: [(u64, u32); acpi::MAX_IO_APICS],
    kernel_bytes: u64,
}

/// Starts the kernel; `start_info` is the physical address that the boot loader gave.
pub fn start(start_info: u64) -> ! {
    let features = Features::detect();
    cpu::configure(&features);
    let handover = match pvh::read(&Mapped::first(), start_info) {
        Ok(handover) => handover,
        Err(error) => panic!("{error}"),
    };
    let mut machine = prepare_memory(features, handover);
    let top = machine.stacks.kernel;
    // SAFETY: the kernel's tables map the new stack, and the boot stack that `machine` lies on stays mapped. Nothing
    // returns.
    unsafe {
        asm!("mov rsp, {top}", "xor ebp, ebp", "call {next}", "ud2",
             top = in(reg) top, next = sym start_on_stack, in("rdi") &raw mut machine, options(noreturn))
    }
}

/// Builds the kernel's page tables and stacks, and finds the interrupt controllers.
fn prepare_memory(features: Features, handover: Handover) -> Machine {
    let image = paging::kernel_image();
    let mut free = handover.ram.clone();
    take(&mut free, LOW);
    take(&mut free, image);
    for occupied in [handover.image, handover.command_line].into_iter().flatten() {
        take(&mut free, occupied);
    }
    let mut memory = EarlyMemory::new(image.end, &free);
    let reach = direct_ranges(&handover);
    let mut tables = KernelTables::new(&mut memory, &features);
    for &range in reach.as_slice() {
        tables.map_direct(range);
    }
    tables.load();
    let found = find_interrupts(&handover, reach);
    let local_apic = tables.map_device(found.local_apic);
    let mut io_apics = [(0, 0); acpi::MAX_IO_APICS];
    for (place, apic) in io_apics.iter_mut().zip(found.io_apics()) {
        *place = (tables.map_device(apic.address), apic.first_line);
    }
    let kernel = tables.map_stack(KERNEL_STACK_PAGES);
    let fault = [FAULT_STACK_PAGES, 1, FAULT_STACK_PAGES].map(|pages| tables.map_stack(pages));
    take(&mut free, memory.used());
    if let Some(image) = handover.image {
        panic::set_image(image);
    }
    let kernel_bytes = image.len() + memory.used().len();
    let stacks = Stacks { kernel, fault };
    Machine { features, handover, free, interrupts: found, stacks, local_apic, io_apics, kernel_bytes }
}

/// Removes what is occupied from what is free.
fn take(free: &mut RangeSet, occupied: Range) {
    if free.remove(occupied.outward(PAGE)).is_err() {
        panic!("the memory map has too many ranges");
    }
}

/// What the direct map holds: everything that is memory, in large pages.
fn direct_ranges(handover: &Handover) -> RangeSet {
    let mut reach = RangeSet::new();
    let memory = handover.ram.as_slice().iter().chain(handover.firmware.as_slice());
    for range in memory.copied().chain(handover.image).chain([LOW]) {
        if reach.insert(range.outward(LARGE)).is_err() {
            panic!("the memory map has too many ranges");
        }
    }
    reach
}

/// Reads the MADT, by the direct map.
fn find_interrupts(handover: &Handover, reach: RangeSet) -> Interrupts {
    acpi::interrupts(&Mapped::direct(reach), handover.acpi_root).unwrap_or_else(Interrupts::usual)
}

extern "C" fn start_on_stack(machine: &mut Machine) -> ! {
    let features = machine.features;
    percore::initialise(0, &machine.stacks, &features);
    entry::initialise();
    syscall::initialise(&features);
    fpu::initialise(&features);
    apic::initialise(machine.local_apic, &features);
    if machine.interrupts.has_pic {
        ioapic::silence_pic();
    }
    for &(registers, first_line) in machine.io_apics.iter().filter(|apic| apic.0 != 0) {
        ioapic::add(registers, first_line);
    }
    clock::initialise(&features);
    start_kernel(machine)
}

/// Hands the machine to the kernel's logic.
fn start_kernel(machine: &mut Machine) -> ! {
    let kernel = kernel();
    if let Err(error) = boot::early::<X86>(kernel, &mut machine.free, 1) {
        panic!("{error}");
    }
    let Some(image) = machine.handover.image else {
        panic!("there is no boot image: give one to the boot loader (QEMU: -initrd boot.img)");
    };
    let device = device_ranges(machine);
    let memory = Mapped::direct(direct_ranges(&machine.handover));
    let command_line =
        machine.handover.command_line.and_then(|line| memory.bytes(line.start, line.len() as usize)).unwrap_or(&[]);
    let parameters = Parameters {
        ram: machine.free.clone(),
        device,
        image,
        command_line,
        acpi_root: machine.handover.acpi_root,
        processors_online: 1,
        processors_present: machine.interrupts.processors().len().max(1),
        memory_total: machine.handover.ram.total(),
        memory_kernel: machine.kernel_bytes,
        clock: clock::page(),
    };
    if let Err(error) = boot::start_init::<X86>(kernel, &parameters) {
        panic!("init cannot be started: {error}");
    }
    entry::leave(kernel.start(0))
}

/// The addresses that drivers may be given: what is neither memory nor the kernel's own interrupt controllers.
fn device_ranges(machine: &Machine) -> RangeSet {
    let mut device = RangeSet::new();
    let change = |result: Result<(), motte_boot::ranges::Full>| {
        if result.is_err() {
            panic!("the memory map has too many ranges");
        }
    };
    let bits = machine.features.physical_bits.clamp(32, 52);
    change(device.insert(Range::new(LOW_DEVICES.start, 1 << bits)));
    let memory = machine.handover.ram.as_slice().iter().chain(machine.handover.firmware.as_slice());
    for range in memory.copied().chain(machine.handover.image).chain([paging::kernel_image(), MESSAGES]) {
        change(device.remove(range.outward(PAGE)));
    }
    for apic in machine.interrupts.io_apics() {
        change(device.remove(Range::sized(apic.address, 1).outward(PAGE)));
    }
    change(device.remove(Range::sized(machine.interrupts.local_apic, 1).outward(PAGE)));
    device
}

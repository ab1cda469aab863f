//! A machine for the host: memory from an arena, time and interrupts as a test sets them.
//!
//! Physical addresses are host addresses inside an [`Arena`], so the direct map adds nothing. The rest of the machine is a
//! thread-local [`State`]: each test, being a thread of its own, has its own machine.
#![allow(unsafe_code)]

use super::{Access, Arch, Context, Entry};
use crate::memory::{read_word, write_word};
use core::cell::{Cell, RefCell};
use motte_abi::fault::{FaultMessage, Registers};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::vec::Vec;

/// The mock machine.
pub struct Mock;

/// What a test sets and sees.
#[derive(Default)]
pub struct State {
    /// The clock.
    pub now: u64,
    /// The timer's deadline.
    pub deadline: u64,
    /// How often the kernel may ask for a pending interrupt before there is one; `None`: never one.
    pub interrupt_after: Option<u64>,
    /// What was written to the debug console.
    pub console: Vec<u8>,
    /// The root that the processor uses.
    pub root: u64,
    /// Connected lines: vector, and whether masked.
    pub lines: BTreeMap<u64, (usize, bool)>,
    /// Pages flushed, as (root, address); address `u64::MAX` is the whole space.
    pub flushed: Vec<(u64, u64)>,
    /// Contents of ports.
    pub ports: BTreeMap<u16, u32>,
}

std::thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Looks at or changes the machine of this host thread.
pub fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(f)
}

/// RAM of a mock machine, full of rubbish.
pub struct Arena {
    memory: *mut u8,
    layout: Layout,
}

impl Arena {
    /// `bytes` of memory, aligned to `align`, filled with `rubbish`.
    pub fn new(bytes: usize, align: usize, rubbish: u8) -> Self {
        let layout = Layout::from_size_align(bytes, align).expect("a power of two");
        assert!(bytes > 0);
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: just allocated with that size.
        unsafe { memory.write_bytes(rubbish, bytes) };
        Self { memory, layout }
    }

    /// Its address, physical and other.
    pub fn base(&self) -> u64 {
        self.memory.expose_provenance() as u64
    }

    /// Writes bytes at an offset.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.layout.size());
        // SAFETY: in bounds; the source is a slice elsewhere.
        unsafe { self.memory.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    /// Reads the word at a physical address inside.
    pub fn word(&self, physical: u64) -> u64 {
        let offset = (physical - self.base()) as usize;
        assert!(offset + 8 <= self.layout.size());
        // SAFETY: in bounds, initialised when made; the callers pass aligned addresses.
        unsafe { self.memory.add(offset).cast::<u64>().read_volatile() }
    }

    /// Writes the word at a physical address inside.
    pub fn set_word(&self, physical: u64, value: u64) {
        self.write((physical - self.base()) as usize, &value.to_ne_bytes());
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.memory, self.layout) }
    }
}

/// Registers in memory.
#[repr(C)]
pub struct MockContext {
    registers: Cell<Registers>,
    retired: Cell<bool>,
}

impl MockContext {
    /// Changes registers.
    pub fn change(&self, f: impl FnOnce(&mut Registers)) {
        let mut registers = self.registers.get();
        f(&mut registers);
        self.registers.set(registers);
    }

    /// Whether the kernel said that it will not run again.
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }
}

impl Context for MockContext {
    fn reset(&self) {}

    fn syscall_number(&self) -> u64 {
        self.registers.get().rax
    }

    fn argument(&self, index: usize) -> u64 {
        let r = self.registers.get();
        [r.rdi, r.rsi, r.rdx, r.r8, r.r9, r.r10][index]
    }

    fn set_status(&self, status: u64) {
        self.change(|r| r.rax = status);
    }

    fn set_result(&self, index: usize, value: u64) {
        self.change(|r| *[&mut r.rdi, &mut r.rsi, &mut r.rdx][index] = value);
    }

    fn message_words(&self) -> [u64; 6] {
        let r = self.registers.get();
        [r.r12, r.r13, r.r14, r.r15, r.rbx, r.rbp]
    }

    fn set_message_words(&self, words: [u64; 6]) {
        self.change(|r| [r.r12, r.r13, r.r14, r.r15, r.rbx, r.rbp] = words);
    }

    fn fault_message(&self, address: u64, code: u64) -> FaultMessage {
        let r = self.registers.get();
        let (stack, frame, flags) = (r.rsp, r.rbp, r.rflags);
        FaultMessage { instruction: r.rip, address, code, stack, frame, flags }
    }

    fn registers(&self) -> Registers {
        self.registers.get()
    }

    fn set_registers(&self, registers: &Registers) {
        self.registers.set(*registers);
    }

    fn set_tls(&self, base: u64) {
        self.change(|r| r.fs_base = base);
    }

    fn rewind_syscall(&self) {
        self.change(|r| r.rip = r.rip.wrapping_sub(2));
    }
}

const PRESENT: u64 = 1;
const PAGE: u64 = 2;
/// Bit of an entry: writable.
pub const WRITE: u64 = 4;
/// Bit of an entry: executable.
pub const EXECUTE: u64 = 8;
/// Bit of an entry: not cached.
pub const UNCACHED: u64 = 16;
const TARGET: u64 = !0xfff;

impl Arch for Mock {
    type Context = MockContext;
    type Core = ();
    const DIRECT_MAP: u64 = 0;
    const PATIENCE: u32 = 1;
    const VECTORS: usize = 4;

    fn now() -> u64 {
        with(|state| state.now)
    }

    fn counter() -> u64 {
        with(|state| state.now)
    }

    fn set_timer(deadline: u64) {
        with(|state| state.deadline = deadline);
    }

    fn interrupt_pending() -> bool {
        with(|state| match &mut state.interrupt_after {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        })
    }

    fn switch(to: &MockContext) {
        assert!(!to.is_retired(), "a destroyed thread runs");
    }

    fn retire(context: &MockContext) {
        context.retired.set(true);
    }

    fn activate(root: u64) {
        with(|state| state.root = root);
    }

    fn retire_root(root: u64) {
        with(|state| {
            if state.root == root {
                state.root = 0;
            }
        });
    }

    fn prepare_root(_root: u64) {}

    fn flush_page(root: u64, address: u64) {
        with(|state| state.flushed.push((root, address)));
    }

    fn flush_space(root: u64) {
        with(|state| state.flushed.push((root, u64::MAX)));
    }

    fn table_entry(physical: u64) -> u64 {
        physical | PRESENT
    }

    fn page_entry(physical: u64, _large: bool, access: Access) -> u64 {
        let bit = |set, bit| if set { bit } else { 0 };
        physical
            | PRESENT
            | PAGE
            | bit(access.write, WRITE)
            | bit(access.execute, EXECUTE)
            | bit(access.uncached, UNCACHED)
    }

    fn decode_entry(entry: u64, _level: u8) -> Option<Entry> {
        match (entry & PRESENT != 0, entry & PAGE != 0) {
            (false, _) => None,
            (true, true) => Some(Entry::Page(entry & TARGET)),
            (true, false) => Some(Entry::Table(entry & TARGET)),
        }
    }

    fn connect_line(line: u64, vector: usize, _level_triggered: bool, _active_low: bool) -> bool {
        with(|state| line < 24 && state.lines.insert(line, (vector, true)).is_none_or(|_| true))
    }

    fn mask_line(line: u64, masked: bool) {
        with(|state| state.lines.get_mut(&line).expect("a connected line").1 = masked);
    }

    fn message_for(vector: usize) -> Option<(u64, u64)> {
        Some((0xfee0_0000, vector as u64))
    }

    fn port_in(port: u16, _width: u8) -> u32 {
        with(|state| state.ports.get(&port).copied().unwrap_or(0xff))
    }

    fn port_out(port: u16, _width: u8, value: u32) {
        with(|state| state.ports.insert(port, value));
    }

    fn copy_words(from: u64, to: u64, count: usize) {
        for offset in (0..count as u64 * 8).step_by(8) {
            write_word::<Self>(to + offset, read_word::<Self>(from + offset));
        }
    }

    fn zero(physical: u64, bytes: u64) {
        let memory = std::ptr::with_exposed_provenance_mut::<u64>(physical as usize);
        // SAFETY: the kernel names memory of the arena in which nothing lies.
        unsafe { memory.write_bytes(0, (bytes / 8) as usize) }
    }

    fn debug_write(bytes: &[u8]) {
        with(|state| state.console.extend_from_slice(bytes));
    }
}

//! A booted mock machine with a root thread (init's), and shorthand for what tests do with it.

use crate::arch::mock::{self, Arena, Mock};
use crate::arch::{Context, Interrupt};
use crate::boot::{self, Parameters};
use crate::ipc::fast::Answer;
use crate::ipc::notification::Short;
use crate::memory::view;
use crate::object::sched_context::SchedContext;
use crate::object::thread::{Fault, Thread};
use crate::{Kernel, Next};
use motte_abi::boot_info::slot as fixed;
use motte_abi::clock::ClockPage;
use motte_abi::fault::{FaultKind, Registers};
use motte_abi::{Error, MessageInfo, ObjectType, Rights, Syscall};
use motte_boot::{Range, RangeSet};
use std::boxed::Box;
use std::cell::Cell;
use std::vec::Vec;

/// A thread of the mock machine.
pub type T<'w> = &'w Thread<Mock>;

/// Where the device range of the machine lies.
pub const DEVICE: u64 = 0x4000_0000_0000;
/// Bytes of RAM.
const RAM: usize = 6 << 20;
/// Time slice of spawned threads.
pub const SLICE: u64 = 1_000_000;

/// See the module.
pub struct World {
    /// The kernel.
    pub kernel: Box<Kernel<Mock>>,
    /// Its memory.
    pub arena: Arena,
    next: Cell<u64>,
    root_table: Cell<u64>,
    /// Whether messages take the short path where it applies.
    pub short: Cell<bool>,
    /// How often one did.
    pub handovers: Cell<u64>,
}

/// A boot image with an init of one executable and one writable segment.
fn image() -> Vec<u8> {
    let mut elf = std::vec![0u8; 8192 + 16];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let mut put = |at: usize, value: u64, width: usize| {
        elf[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    };
    put(16, 2, 2);
    put(24, 0x40_0010, 8);
    put(32, 64, 8);
    put(54, 56, 2);
    put(56, 2, 2);
    for (index, (flags, offset, address, file, size)) in
        [(5, 4096, 0x40_0000, 4096, 4096), (6, 8192, 0x40_2000, 16, 5000)].into_iter().enumerate()
    {
        let at = 64 + index * 56;
        put(at, 1, 4);
        put(at + 4, flags, 4);
        put(at + 8, offset, 8);
        put(at + 16, address, 8);
        put(at + 32, file, 8);
        put(at + 40, size, 8);
    }
    elf[4096] = 0xc3;
    elf[8192] = 0x77;
    let mut image = std::vec![0u8; 4096];
    image[..8].copy_from_slice(b"motteIMG");
    image[8] = 1;
    image[64..68].copy_from_slice(b"init");
    image[64 + 48..64 + 56].copy_from_slice(&4096u64.to_le_bytes());
    image[64 + 56..64 + 64].copy_from_slice(&(elf.len() as u64).to_le_bytes());
    image.extend(elf);
    let total = image.len() as u64;
    image[16..24].copy_from_slice(&total.to_le_bytes());
    image
}

impl World {
    /// A machine that has just booted; the root thread is about to run, at priority 255.
    pub fn new() -> Self {
        mock::with(|state| *state = mock::State { now: 1000, deadline: u64::MAX, ..Default::default() });
        let arena = Arena::new(RAM, 2 << 20, 0xa5);
        let kernel = Box::new(Kernel::new());
        let image = image();
        arena.write(0, &image);
        let (mut ram, mut device) = (RangeSet::new(), RangeSet::new());
        let free = arena.base() + image.len().next_multiple_of(4096) as u64;
        ram.insert(Range::new(free, arena.base() + RAM as u64)).unwrap();
        device.insert(Range::sized(DEVICE, 16 << 20)).unwrap();
        boot::early(&kernel, &mut ram, 1).unwrap();
        let parameters = Parameters {
            ram,
            device,
            image: Range::sized(arena.base(), image.len() as u64),
            command_line: b"quiet",
            acpi_root: 0,
            processors_online: 1,
            processors_present: 1,
            memory_total: RAM as u64,
            memory_kernel: 0,
            clock: ClockPage { magic: 1, multiplier: 1, shift: 0, frequency: 1 },
        };
        boot::start_init(&kernel, &parameters).unwrap();
        kernel.start(0);
        let world = Self {
            kernel,
            arena,
            next: Cell::new(100),
            root_table: Cell::new(0),
            short: Cell::new(true),
            handovers: Cell::new(0),
        };
        world.root_table.set(world.current().table.get());
        world
    }

    /// Address of init's table.
    pub fn root_table(&self) -> u64 {
        self.root_table.get()
    }

    /// The thread that runs.
    pub fn current(&self) -> T<'_> {
        self.kernel.cores[0].current.get(&self.kernel).expect("a thread runs")
    }

    /// Whether this thread runs.
    pub fn runs(&self, thread: T<'_>) -> bool {
        self.kernel.cores[0].current.names(thread)
    }

    /// Whether nothing runs.
    pub fn idle(&self) -> bool {
        self.kernel.cores[0].current.is_null()
    }

    /// Makes the running thread execute the system call instruction with these registers.
    pub fn start(&self, call: Syscall, arguments: &[u64], words: [u64; 6]) {
        let thread = self.current();
        thread.context().change(|r| {
            let mut values = [0; 6];
            values[..arguments.len()].copy_from_slice(arguments);
            r.rax = call as u64;
            [r.rdi, r.rsi, r.rdx, r.r8, r.r9, r.r10] = values;
            [r.r12, r.r13, r.r14, r.r15, r.rbx, r.rbp] = words;
            r.rip = 0x1000;
        });
        self.execute(thread);
    }

    /// Executes the system call whose registers are set.
    fn execute(&self, thread: T<'_>) {
        thread.context().change(|r| r.rip += 2);
        if self.short.get() && self.take_short_path(thread) {
            self.handovers.set(self.handovers.get() + 1);
            return;
        }
        let next = self.kernel.syscall(&self.kernel.cores[0], thread);
        assert_eq!(matches!(next, Next::Idle), self.idle());
    }

    /// What a machine does with the two calls that have a short path. Whether it applied.
    fn take_short_path(&self, thread: T<'_>) -> bool {
        let (kernel, context) = (&*self.kernel, thread.context());
        let core = &kernel.cores[0];
        let [a, info, b] = core::array::from_fn(|index| context.argument(index));
        let number = context.syscall_number();
        let handover = match Syscall::from_raw(number) {
            Some(Syscall::Call) => kernel
                .fast_call::<false>(core, thread, a, info)
                .or_else(|| kernel.fast_call::<true>(core, thread, a, info)),
            Some(Syscall::ReplyReceive) => {
                let short = kernel.fast_reply_receive::<false>(core, thread, a, info, b);
                if let Some(Answer::OfFault(faulted)) = short
                    && let Some(faulted) = kernel.fast_fault_reply(core, thread, a, info, faulted)
                {
                    core.enter(faulted);
                    return true;
                }
                match short.or_else(|| kernel.fast_reply_receive::<true>(core, thread, a, info, b)) {
                    Some(Answer::Given(handover)) => Some(handover),
                    Some(Answer::OfFault(_)) | None => None,
                }
            }
            _ => {
                match kernel.shortest_call(core, thread, number, a) {
                    Some(Short::GoesOn(status)) => context.set_status(status),
                    Some(Short::Switches(slot)) => match kernel.short_switch(core, thread, number, slot) {
                        Some(next) => core.enter(next),
                        None => return false,
                    },
                    None => return false,
                }
                return true;
            }
        };
        let Some(handover) = handover else { return false };
        let to = handover.to.context();
        to.set_message_words(context.message_words());
        to.set_result(0, handover.badge);
        to.set_result(1, handover.info);
        to.set_status(0);
        core.enter(handover.to);
        true
    }

    /// An interrupt comes.
    pub fn interrupt(&self, interrupt: Interrupt) {
        let core = &self.kernel.cores[0];
        self.kernel.interrupt(core, core.current.get(&self.kernel), interrupt);
    }

    /// Whether the thread's last system call was preempted: it stands on the instruction again.
    pub fn was_preempted(&self, thread: T<'_>) -> bool {
        thread.context().registers().rip == 0x1000
    }

    /// Executes a preempted call again.
    pub fn again(&self) {
        self.execute(self.current());
    }

    /// A call of the running thread that does not wait.
    pub fn call(&self, call: Syscall, arguments: &[u64]) -> Result<[u64; 3], Error> {
        self.message(call, arguments, [0; 6])
    }

    /// A call with message words that does not wait.
    pub fn message(&self, call: Syscall, arguments: &[u64], words: [u64; 6]) -> Result<[u64; 3], Error> {
        let thread = self.current();
        self.start(call, arguments, words);
        self.result(thread)
    }

    /// How a thread's last call ended.
    pub fn result(&self, thread: T<'_>) -> Result<[u64; 3], Error> {
        let r = thread.context().registers();
        Error::from_status(r.rax).map(|()| [r.rdi, r.rsi, r.rdx])
    }

    /// A call that succeeds.
    pub fn ok(&self, call: Syscall, arguments: &[u64]) -> [u64; 3] {
        self.call(call, arguments).unwrap_or_else(|error| panic!("{call:?}{arguments:?}: {error}"))
    }

    /// A free slot.
    pub fn free_slot(&self) -> u64 {
        let slot = self.next.get();
        self.next.set(slot + 1);
        slot
    }

    /// Slot of the root thread's untyped memory.
    pub fn untyped(&self) -> u64 {
        (fixed::FIRST_FREE..100)
            .find(|&index| {
                let slot = self.kernel.slot_of(self.current(), index).unwrap();
                slot.kind() == ObjectType::Untyped && !slot.has(crate::cap::slot::DEVICE)
            })
            .expect("memory")
    }

    /// Slot of the device memory.
    pub fn device(&self) -> u64 {
        self.untyped() + 1
    }

    /// Makes an object from untyped memory; the slot of its capability.
    pub fn make_from(&self, untyped: u64, kind: ObjectType, size: u64) -> u64 {
        let slot = self.free_slot();
        self.ok(Syscall::Retype, &[untyped, kind as u64 | 1 << 8, size, 0, slot, 0]);
        slot
    }

    /// Makes an object; the slot of its capability.
    pub fn make(&self, kind: ObjectType, size: u64) -> u64 {
        self.make_from(self.untyped(), kind, size)
    }

    /// A copy of a capability with these rights.
    pub fn copy(&self, slot: u64, rights: Rights) -> u64 {
        let to = self.free_slot();
        self.ok(Syscall::CapCopy, &[0, to, 0, slot, rights.0.into()]);
        to
    }

    /// A copy with a badge.
    pub fn mint(&self, slot: u64, badge: u64) -> u64 {
        let to = self.free_slot();
        self.ok(Syscall::CapMint, &[0, to, 0, slot, 0xf, badge]);
        to
    }

    /// The object of a capability of the running thread.
    pub fn object<O: crate::memory::Plain>(&self, slot: u64) -> &O {
        view(&self.kernel, self.kernel.slot_of(self.current(), slot).unwrap().object.get())
    }

    /// A thread in the running thread's table and space, not yet resumed, without a scheduling context.
    pub fn thread(&self, untyped: u64, priority: u64, fault: u64) -> (u64, T<'_>) {
        let slot = self.make_from(untyped, ObjectType::Thread, 0);
        let buffer = self.make_from(untyped, ObjectType::Frame, 4096);
        let (table, space) = (fixed::CAP_TABLE, fixed::ADDRESS_SPACE);
        self.ok(Syscall::ThreadConfigure, &[slot, table, space, fault, buffer]);
        self.ok(Syscall::ThreadSetPriority, &[slot, priority, priority]);
        (slot, self.object(slot))
    }

    /// Gives a thread a scheduling context; its slot.
    pub fn bind(&self, untyped: u64, thread: u64, budget: u64, period: u64, flags: u64) -> u64 {
        let context = self.make_from(untyped, ObjectType::SchedContext, 0);
        self.ok(Syscall::SchedConfigure, &[fixed::SCHED_CONTROL, context, budget, period, flags]);
        self.ok(Syscall::ThreadBindSched, &[thread, context]);
        context
    }

    /// A thread that is ready to run, with an unlimited scheduling context.
    pub fn spawn(&self, priority: u64) -> (u64, T<'_>) {
        let untyped = self.untyped();
        let (slot, thread) = self.thread(untyped, priority, 0);
        self.bind(untyped, slot, SLICE, SLICE, 0);
        self.ok(Syscall::ThreadResume, &[slot]);
        (slot, thread)
    }

    /// A thread that runs only on what it is lent.
    pub fn spawn_passive(&self, priority: u64) -> (u64, T<'_>) {
        let (slot, thread) = self.thread(self.untyped(), priority, 0);
        self.ok(Syscall::ThreadResume, &[slot]);
        (slot, thread)
    }

    /// Changes the running thread's priority.
    pub fn set_priority(&self, priority: u64) {
        self.ok(Syscall::ThreadSetPriority, &[fixed::THREAD, priority, 255]);
    }

    /// Changes the running thread's priority, whatever it may do itself.
    pub fn set_priority_of_current(&self, priority: u64) {
        self.kernel.set_priority(self.current(), priority as u8);
    }

    /// Lets time pass and the timer fire when it is due.
    pub fn pass(&self, nanoseconds: u64) {
        let end = mock::with(|state| state.now) + nanoseconds;
        loop {
            let due = mock::with(|state| {
                let due = state.deadline <= end;
                state.now = if due { state.deadline.max(state.now) } else { end };
                if due {
                    // It fires once.
                    state.deadline = u64::MAX;
                }
                due
            });
            if !due {
                return;
            }
            self.interrupt(Interrupt::Timer);
        }
    }

    /// The running thread faults.
    pub fn fault(&self, kind: FaultKind, address: u64, code: u64) {
        let (thread, fault) = (self.current(), Fault { kind, address, code });
        let core = &self.kernel.cores[0];
        if self.short.get()
            && let Some(handler) = self.kernel.fast_fault(core, thread, fault)
        {
            core.enter(handler);
        } else {
            self.kernel.exception(core, thread, fault);
        }
    }

    /// A thread's registers.
    pub fn registers(&self, thread: T<'_>) -> Registers {
        thread.context().registers()
    }

    /// What a thread received: badge, description and words.
    pub fn received(&self, thread: T<'_>) -> (u64, MessageInfo, [u64; 6]) {
        let r = thread.context().registers();
        assert_eq!(r.rax, 0, "{:?}", self.result(thread));
        (r.rdi, MessageInfo(r.rsi), thread.context().message_words())
    }

    /// A word of a thread's message buffer, by index from its start.
    pub fn buffer(&self, thread: T<'_>, index: u64) -> u64 {
        self.arena.word(thread.buffer.get() + index * 8)
    }

    /// Sets a word of a thread's message buffer.
    pub fn set_buffer(&self, thread: T<'_>, index: u64, value: u64) {
        self.arena.set_word(thread.buffer.get() + index * 8, value);
    }

    /// The scheduling context in a slot.
    pub fn context(&self, slot: u64) -> &SchedContext<Mock> {
        self.object(slot)
    }
}

/// Cases of a property test: few under Miri, else as many as `PROPTEST_CASES` says, or `usual`.
pub fn cases(usual: u32) -> u32 {
    let asked = || std::env::var("PROPTEST_CASES").ok()?.parse().ok();
    if cfg!(miri) { 2 } else { asked().unwrap_or(usual) }
}

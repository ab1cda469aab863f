//! System calls and their registers.
//!
//! | register | in | out |
//! |---|---|---|
//! | `rax` | call number | status: 0, or an [`Error`](crate::Error) |
//! | `rdi` | first argument: mostly a capability index | badge, or first result |
//! | `rsi` | message information, or second argument | message information, or second result |
//! | `rdx` | third argument | third result |
//! | `r8`, `r9`, `r10` | fourth to sixth argument | clobbered |
//! | `r12` `r13` `r14` `r15` `rbx` `rbp` | message words 0 to 5 | message words 0 to 5 |
//! | `rcx`, `r11`, flags | – | clobbered; the flags are those of a new thread |
//! | bases of FS and GS | – | FS: what `ThreadSetTls` set; GS: 0; or as they were, if no other thread ran |
//! | `rsp` | | preserved |
//!
//! In message calls (numbers below [`Syscall::FIRST_OBJECT_CALL`]) all six message registers are the
//! message's, whatever its length: the sender clears what it does not want to show, and none is preserved.
//! Object calls preserve them. The message words lie in the callee-saved registers of the System V calling
//! convention, so that compiled kernel code carries them along without touching them.
//!
//! Capability index 0 is never valid as the object of a call. Where a call takes a table, index 0 means the
//! caller's own table.

macro_rules! syscalls {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        /// The number of a system call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Syscall { $($(#[$doc])* $name = $value,)* }

        impl Syscall {
            /// Every call, in the order of its number.
            pub const ALL: &[Syscall] = &[$(Syscall::$name),*];

            /// The call with this number. Any other number is a fault of the thread
            /// ([`crate::fault::FaultKind::UnknownSyscall`]).
            #[inline(always)]
            pub const fn from_raw(raw: u64) -> Option<Self> {
                if raw <= Self::LAST { Self::CALLS[raw as usize] } else { None }
            }

            const LAST: u64 = {
                let mut last = 0;
                $(if $value >= last { last = $value; })*
                last
            };

            /// The calls by their numbers.
            const CALLS: [Option<Syscall>; Self::LAST as usize + 1] = {
                let mut calls = [None; Self::LAST as usize + 1];
                $(calls[$value] = Some(Syscall::$name);)*
                calls
            };
        }
    };
}

syscalls! {
    /// Send and wait for the reply. `rdi` endpoint (right SEND), `rsi` info. Out: `rsi` info.
    Call = 0;
    /// Answer the caller held by Reply `rdx`, then receive on endpoint `rdi` (right RECEIVE) with the same
    /// Reply object. In: `rsi` info of the answer. Out: `rdi` badge, `rsi` info. An answer to a caller that is gone,
    /// or an empty Reply object, is dropped.
    ReplyReceive = 1;
    /// Send and wait until it is received. `rdi` endpoint (SEND), `rsi` info.
    Send = 2;
    /// Wait for a message on endpoint `rdi` (RECEIVE) or for the bound notification. `rdx` Reply object for a
    /// caller (0: none; then calls wait until a receiver brings one). Out: `rdi` badge, `rsi` info. While the Reply object
    /// still holds a caller the call fails with `Busy`.
    Receive = 3;
    /// Answer the caller held by Reply `rdi`. `rsi` info. Never waits. `PeerGone` if there is none any more.
    Reply = 4;
    /// `Send`, or `WouldBlock` if nobody is receiving.
    TrySend = 5;
    /// `Receive`, or `WouldBlock` if nothing is there.
    TryReceive = 6;
    /// `Call`, or `WouldBlock` if nobody is receiving.
    TryCall = 7;
    /// Or the badge of notification `rdi` (WRITE) into its word (a badge of 0 counts as 1), and wake a waiter.
    Signal = 8;
    /// Wait until notification `rdi` (READ) is non-zero. Out: `rdi` its word, which is cleared.
    Wait = 9;
    /// `Wait`, or `WouldBlock` if the word is zero.
    Poll = 10;
    /// Go to the end of the ready queue of one's priority.
    Yield = 11;
    /// `ReplyReceive` that answers, then gives `WouldBlock` if nothing is there to receive.
    TryReplyReceive = 12;

    /// Make objects. `rdi` Untyped (MANAGE), `rsi` type in bits 0–7 and count in bits 8–63 (1 to 256), `rdx` size
    /// argument ([`crate::ObjectType::bytes`]), `r8` destination table (0: own), `r9` first destination slot (the
    /// following ones are used in order, all must be empty), `r10` byte offset into the range: used only with device
    /// memory, which is carved freely. Device memory makes only Frame and Untyped. May be long: preemptible.
    Retype = 16;
    /// Copy capabilities. `rdi` destination table, `rsi` first destination slot, `rdx` source table, `r8` first source slot,
    /// `r9` rights to keep, `r10` how many, from consecutive slots into consecutive slots (0 counts as 1; at most
    /// [`MAX_RANGE`]). Each copy is a child of its source. Out: `rdi` how many were copied; fewer than asked for if one that was not the first
    /// could not be.
    CapCopy = 17;
    /// Copy one and set the badge. As `CapCopy`, with `r10` badge. Endpoint and Notification only, and only from a
    /// capability whose badge is 0.
    CapMint = 18;
    /// Move a capability: `rdi` destination table, `rsi` destination slot, `rdx` source table, `r8` source slot. It keeps its place in the derivation.
    CapMove = 19;
    /// Empty slot `rsi` of table `rdi`. Its children become its parent's. The last capability to an object
    /// destroys the object. Deleting an empty slot succeeds.
    CapDelete = 20;
    /// Delete everything derived from slot `rsi` of table `rdi`, not the capability itself. Preemptible.
    CapRevoke = 21;
    /// What is in slot `rsi` of table `rdi`: out `rdi` type, `rsi` rights, `rdx` badge.
    CapIdentify = 22;
    /// `rdi` Untyped. Out: `rdi` physical base (device memory: else 0), `rsi` size, `rdx` bytes used.
    UntypedInfo = 23;

    /// Give a thread its surroundings. `rdi` Thread (MANAGE), `rsi` CapTable, `rdx` AddressSpace, `r8` endpoint
    /// for faults, its badge says who (0: none: a fault stops the thread), `r9` frame for the message buffer (0: none). An index of
    /// 0 for table or space leaves what is there. The thread must not be running.
    ThreadConfigure = 32;
    /// `rdi` Thread (MANAGE), `rsi` priority, `rdx` highest priority that the thread may itself give to others; both at most the caller's own
    /// highest. `r8` SchedContext to bind as well (0: it keeps what it has).
    ThreadSetPriority = 33;
    /// `rdi` Thread (MANAGE), `rsi` SchedContext (0: unbind).
    ThreadBindSched = 34;
    /// `rdi` Thread (MANAGE), `rsi` Notification (READ; 0: unbind). A receive of that thread wakes for it too.
    ThreadBindNotification = 35;
    /// `rdi` Thread (READ). Fills `words` of the caller's message buffer with [`crate::fault::Registers`].
    ThreadReadRegisters = 36;
    /// `rdi` Thread (WRITE). Takes [`crate::fault::Registers`] from `words` of the caller's message buffer. `Busy` while the thread
    /// waits in a call of its own: suspend it first. `rsi` 1: and let it run, as `ThreadResume`; 0: only that.
    ThreadWriteRegisters = 37;
    /// Let a stopped thread run. `rdi` Thread (WRITE). A wait it was stopped in ends with `Cancelled`.
    ThreadResume = 38;
    /// Stop a thread. `rdi` Thread (WRITE; the caller's own allowed). A caller it was to answer keeps waiting for its Reply object.
    ThreadSuspend = 39;
    /// Base of thread-local storage (x86-64: FS). `rdi` Thread (WRITE), `rsi` address.
    ThreadSetTls = 40;
    /// `rdi` Thread (READ). Out: `rdi` state ([`ThreadState`]), `rsi` priority in bits 0–7 and above them its number in the trace, `rdx`
    /// nanoseconds run.
    ThreadInfo = 41;
    /// The last request that a thread took, or the last call that it made if that is later. `rdi` Thread (READ). Out: `rdi` badge
    /// (request), `rsi` info: with [`crate::MessageInfo::CALL`] a request, else a call; both 0: there was none.
    ThreadLastMessage = 42;

    /// `rdi` SchedControl, `rsi` SchedContext, `rdx` budget in ns, `r8` period in ns (budget = period: no
    /// limit, the budget is then the round-robin slice), `r9` flags: bit 0 tells the thread's fault endpoint when the budget is exhausted;
    /// in bits 8–63 how many contexts, in consecutive slots (0 counts as 1; at most [`MAX_RANGE`]), `r10` the table that holds them (0: own).
    /// Out: `rdi` how many were configured; fewer than asked for if one that was not the first could not be.
    SchedConfigure = 48;
    /// `rdi` SchedContext. Out: `rdi` nanoseconds consumed ever, `rsi` budget, `rdx` period.
    SchedInfo = 49;

    /// `rdi` Endpoint (MANAGE). Waiting senders and callers get `PeerGone`, as does every later one, until it is opened.
    EndpointClose = 56;
    /// `rdi` Endpoint (MANAGE). The state that a new endpoint has.
    EndpointOpen = 57;
    /// Signal at a time. `rdi` Notification (WRITE), `rsi` deadline in ns of the monotonic clock (0: disarm), `rdx` bits. One deadline a notification; a new one replaces it.
    NotificationTimer = 58;

    /// Map frames. `rdi` Frame, `rsi` AddressSpace (MANAGE), `rdx` address, `r8` rights wanted (READ, WRITE, EXECUTE; at most
    /// the capability's; WRITE with EXECUTE is refused), `r9` cache mode in bits 0–7 (0 normal, 1 uncached; device memory is always uncached) and
    /// in bits 8–63 how many frames, from consecutive slots to consecutive addresses (0 counts as 1; at most [`MAX_RANGE`]),
    /// `r10` the table that holds them (0: own). One mapping a capability. Out: `rdi` how many were mapped, if more than one
    /// was asked for; fewer if one that was not the first could not be. On `MissingTable`, `rdi` is the missing level.
    FrameMap = 64;
    /// `rdi` Frame.
    FrameUnmap = 65;
    /// `rdi` Frame (MANAGE). Out: `rdi` physical address, `rsi` size, `rdx` mapped address or 0.
    FrameInfo = 66;
    /// Map a page table at its place. `rdi` PageTable, `rsi` AddressSpace (MANAGE), `rdx` address, `r8` level (1 to 3),
    /// `r9` the table that holds it (0: own).
    TableMap = 67;
    /// `rdi` PageTable. Frames below it are no longer mapped.
    TableUnmap = 68;

    /// Make an `Irq`. `rdi` IrqControl, `rsi` kind (0 I/O APIC line, 1 message-signalled), `rdx` line (kind 0), `r8` destination
    /// table, `r9` slot, `r10` flags (kind 0: bit 0 level-triggered, bit 1 active low).
    IrqCreate = 72;
    /// `rdi` Irq (MANAGE), `rsi` Notification (WRITE; its badge gives the bits; 0: unbind). Binding unmasks.
    IrqBind = 73;
    /// `rdi` Irq. Unmask after an interrupt was handled.
    IrqAcknowledge = 74;
    /// `rdi` Irq of kind 1. Out: `rdi` the address and `rsi` the data that the device must write.
    IrqMessage = 75;
    /// Make an `IoPort`. `rdi` IoPortControl, `rsi` first port, `rdx` number of ports, `r8` destination table, `r9` slot.
    IoPortCreate = 80;
    /// `rdi` IoPort (READ), `rsi` port, `rdx` width in bytes (1, 2, 4). Out: `rdi` value.
    IoPortIn = 81;
    /// `rdi` IoPort (WRITE), `rsi` port, `rdx` width in bytes, `r8` value.
    IoPortOut = 82;

    /// Write up to 48 bytes to the kernel's debug console and log: `rsi` length, bytes in the message registers.
    /// Needs no capability in this version; meant for start-up and last words.
    DebugWrite = 96;
    /// Whether the trace is to hold messages, signals and switches too, or only what is rarer. `rdi` a frame of the trace (READ), `rsi` 1
    /// or 0 (as at start: then it costs them nothing).
    TraceMessages = 97;
}

impl Syscall {
    /// Calls from this number on work on objects and preserve the message registers.
    pub const FIRST_OBJECT_CALL: u64 = 16;

    /// The call with this number, if it needs nothing of the caller's registers but the number and its arguments.
    #[inline(always)]
    pub const fn lean_from_raw(raw: u64) -> Option<Self> {
        const LEAN: [Option<Syscall>; Syscall::CALLS.len()] = {
            let mut lean = Syscall::CALLS;
            let mut index = 0;
            while index < lean.len() {
                if let Some(call) = lean[index]
                    && !call.is_lean()
                {
                    lean[index] = None;
                }
                index += 1;
            }
            lean
        };
        if raw <= Self::LAST { LEAN[raw as usize] } else { None }
    }

    const fn is_lean(self) -> bool {
        use Syscall::*;
        match self {
            Signal | Wait | Poll | Yield => true,
            // The one reads the message words, the other may read the caller's registers.
            DebugWrite | ThreadReadRegisters => false,
            _ => self as u64 >= Self::FIRST_OBJECT_CALL,
        }
    }
}

/// The most capabilities copied, frames mapped or scheduling contexts configured by one call.
pub const MAX_RANGE: u64 = 64;

/// Bit of `SchedConfigure`'s flags: tell the fault endpoint when the budget is exhausted.
pub const SCHED_NOTIFY_EXHAUSTED: u64 = 1;

/// `IrqCreate` kind: a line of the I/O APIC.
pub const IRQ_LINE: u64 = 0;
/// `IrqCreate` kind: a message-signalled interrupt (MSI, MSI-X).
pub const IRQ_MESSAGE: u64 = 1;
/// `IrqCreate` flag: level-triggered.
pub const IRQ_LEVEL: u64 = 1;
/// `IrqCreate` flag: active low.
pub const IRQ_ACTIVE_LOW: u64 = 2;

/// What a thread is doing, as `ThreadInfo` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ThreadState {
    /// Never started, or suspended.
    Stopped = 0,
    /// Running, or ready to.
    Ready = 1,
    /// Waiting to send or for its message to be taken.
    Sending = 2,
    /// Waiting for a message.
    Receiving = 3,
    /// Waiting for a reply.
    AwaitingReply = 4,
    /// Waiting on a notification.
    Waiting = 5,
    /// Faulted with nobody to tell.
    Faulted = 6,
}

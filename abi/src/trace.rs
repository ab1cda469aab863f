//! The kernel's trace rings and log, as the holder of their frames sees them.

/// Events in one core's ring; a power of two. Older ones are overwritten.
pub const TRACE_EVENTS: usize = 2048;

/// One event, 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TraceEvent {
    /// Time-stamp counter.
    pub time: u64,
    /// [`TraceKind`] in bits 0–7; the rest is the kind's first datum.
    pub kind: u64,
    /// Second datum.
    pub a: u64,
    /// Third datum.
    pub b: u64,
}

/// What happened. Threads are named by the number that the kernel gave them when they were made (never reused).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TraceKind {
    /// An unused entry.
    None = 0,
    /// A thread was switched to. a: from, b: to.
    Switch = 1,
    /// A call. a: caller, b: receiver; first datum: message information.
    Call = 2,
    /// A reply. a: server, b: caller; first datum: message information.
    Reply = 3,
    /// A one-way message. a: sender, b: receiver; first datum: message information.
    Send = 4,
    /// A notification was signalled. a: thread, b: bits.
    Signal = 5,
    /// A fault. a: thread, b: address; first datum: kind.
    Fault = 6,
    /// An interrupt. a: vector.
    Interrupt = 7,
    /// A budget was used up. a: thread.
    Exhausted = 8,
    /// A thread was made. a: maker, b: thread.
    ThreadCreated = 9,
    /// A thread was destroyed. a: thread.
    ThreadDestroyed = 10,
}

impl TraceKind {
    /// The kind with this number.
    pub const fn from_raw(raw: u8) -> Option<Self> {
        use TraceKind::*;
        Some(match raw {
            0 => None,
            1 => Switch,
            2 => Call,
            3 => Reply,
            4 => Send,
            5 => Signal,
            6 => Fault,
            7 => Interrupt,
            8 => Exhausted,
            9 => ThreadCreated,
            10 => ThreadDestroyed,
            _ => return Option::None,
        })
    }
}

/// Header of a trace ring, 64 bytes; the events follow.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TraceHeader {
    /// Events ever written; event `n` lies at index `n % TRACE_EVENTS`.
    pub written: u64,
    /// The core.
    pub core: u64,
    /// Zero.
    pub reserved: [u64; 6],
}

/// Bytes of one core's ring, in whole pages.
pub const TRACE_BYTES: usize = (64 + TRACE_EVENTS * 32).next_multiple_of(4096);

/// Bytes of the kernel's log area, in whole pages: a header word (bytes ever written), then a ring of bytes.
pub const KERNEL_LOG_BYTES: usize = 16384;

/// Bytes of the ring of the kernel's log.
pub const KERNEL_LOG_RING: usize = KERNEL_LOG_BYTES - 64;

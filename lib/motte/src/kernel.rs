//! Typed system calls, one thin stub each.
//!
//! A capability is named by its slot in the program's own table. The types here say what the slot is expected to hold; the kernel
//! checks. They are plain numbers: copying one does not copy the capability, dropping one does not delete it.
//!
//! System calls act on kernel objects. The stubs are safe to call but for the one that takes memory away ([`Frame::unmap`]):
//! the kernel refuses to map over what is mapped. Deleting the capability of a frame that is mapped here
//! takes its memory away too; owners such as [`crate::memory::Mapping`] see to it that nobody else does.

use motte_abi::fault::Registers;
use motte_abi::syscall::MAX_RANGE;
use motte_abi::{Error, MessageInfo, ObjectType, Rights, Syscall};

use crate::arch;
use crate::thread;

/// A slot of the program's own capability table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct CapSlot(pub u64);

impl CapSlot {
    /// The slot that never holds anything.
    pub const NULL: Self = Self(0);
    /// The program's own table, as the argument of calls that take one.
    pub const OWN_TABLE: CapTable = CapTable(CapSlot(0));

    /// What is in the slot: type, rights, badge.
    #[inline]
    pub fn identify(self) -> Result<(ObjectType, Rights, u64), Error> {
        CapSlot::OWN_TABLE.identify(self.0)
    }

    /// Empties the slot. What it held is destroyed if this was the last capability to it.
    #[inline]
    pub fn delete(self) -> Result<(), Error> {
        CapSlot::OWN_TABLE.delete(self.0)
    }

    /// Deletes everything derived from the capability, not itself.
    #[inline]
    pub fn revoke(self) -> Result<(), Error> {
        CapSlot::OWN_TABLE.revoke(self.0)
    }

    /// A copy with at most `rights`, in `to`.
    #[inline]
    pub fn copy(self, to: CapSlot, rights: Rights) -> Result<(), Error> {
        CapSlot::OWN_TABLE.copy(self.0, CapSlot::OWN_TABLE, to.0, rights)
    }

    /// A copy with at most `rights` and a badge, in `to`.
    #[inline]
    pub fn mint(self, to: CapSlot, rights: Rights, badge: u64) -> Result<(), Error> {
        CapSlot::OWN_TABLE.mint(self.0, CapSlot::OWN_TABLE, to.0, rights, badge)
    }
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident = $object:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub CapSlot);

        impl $name {
            /// The type of object.
            pub const TYPE: ObjectType = ObjectType::$object;

            /// The capability in slot number `slot`.
            pub const fn at(slot: u64) -> Self {
                Self(CapSlot(slot))
            }

            /// The slot.
            pub const fn slot(self) -> CapSlot {
                self.0
            }
        }

        impl From<$name> for CapSlot {
            fn from(handle: $name) -> CapSlot {
                handle.0
            }
        }
    )* };
}

handles! {
    /// A range of memory from which objects are made.
    Untyped = Untyped;
    /// A table of capabilities.
    CapTable = CapTable;
    /// A thread.
    Thread = Thread;
    /// The right to processor time.
    SchedContext = SchedContext;
    /// Where messages meet.
    Endpoint = Endpoint;
    /// The right to answer one caller.
    Reply = Reply;
    /// A word of signals.
    Notification = Notification;
    /// An address space.
    AddressSpace = AddressSpace;
    /// A page table.
    PageTable = PageTable;
    /// A page of memory.
    Frame = Frame;
    /// An interrupt.
    Irq = Irq;
    /// A range of I/O ports.
    IoPort = IoPort;
    /// The authority over interrupts.
    IrqControl = IrqControl;
    /// The authority over ports.
    IoPortControl = IoPortControl;
    /// The authority over budgets.
    SchedControl = SchedControl;
}

/// The program's own objects, in the slots that have a fixed meaning.
pub mod own {
    use super::{AddressSpace, CapTable, SchedContext, Thread, Untyped};
    use motte_abi::boot_info::slot;

    /// The table.
    pub const CAP_TABLE: CapTable = CapTable::at(slot::CAP_TABLE);
    /// The address space.
    pub const ADDRESS_SPACE: AddressSpace = AddressSpace::at(slot::ADDRESS_SPACE);
    /// The first thread.
    pub const THREAD: Thread = Thread::at(slot::THREAD);
    /// The first thread's scheduling context.
    pub const SCHED_CONTEXT: SchedContext = SchedContext::at(slot::SCHED_CONTEXT);
    /// The memory budget.
    pub const UNTYPED: Untyped = Untyped::at(slot::UNTYPED);
}

#[inline(always)]
fn object(call: Syscall, arguments: [u64; 6]) -> Result<[u64; 3], Error> {
    let result = arch::object_call(call as u64, arguments);
    Error::from_status(result.status)?;
    Ok(result.values)
}

/// A message as it arrived: who sent it, what it is, and the words that came in registers. Further words and
/// capabilities lie in the thread's message buffer.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Badge of the capability it was sent through (of a notification: see `info`).
    pub badge: u64,
    /// Label, length, capabilities, and whether it is a call or the bound notification.
    pub info: MessageInfo,
    /// The first six words; those beyond the length are whatever the sender left.
    pub words: [u64; 6],
}

#[inline(always)]
fn message(result: arch::MessageResult) -> Result<Message, Error> {
    Error::from_status(result.status)?;
    Ok(Message { badge: result.badge, info: MessageInfo(result.info), words: result.words })
}

impl Endpoint {
    /// Sends and waits for the answer (right SEND). Words from the seventh on and capabilities are taken from, and arrive in, the
    /// thread's message buffer.
    #[inline(always)]
    pub fn call(self, info: MessageInfo, words: [u64; 6]) -> Result<Message, Error> {
        message(arch::message_call(Syscall::Call as u64, self.0.0, info.0, 0, words))
    }

    /// [`call`](Self::call) with at most four words each way.
    #[inline(always)]
    pub fn call_short(self, info: MessageInfo, words: [u64; 4]) -> Result<Message, Error> {
        message(arch::message_call_short(Syscall::Call as u64, self.0.0, info.0, 0, words))
    }

    /// [`call`](Self::call) of a message without words, answered by one without: the label is all. The receiver finds in the message
    /// registers whatever they hold, so a caller with secrets in registers uses [`call_short`](Self::call_short), which clears them.
    #[inline(always)]
    pub fn call_empty(self, info: MessageInfo) -> Result<MessageInfo, Error> {
        let (status, _, info) = arch::message_call_empty(Syscall::Call as u64, self.0.0, info.0, 0);
        Error::from_status(status).map(|()| MessageInfo(info))
    }

    /// [`call`](Self::call), or `WouldBlock` if nobody is receiving.
    #[inline]
    pub fn try_call(self, info: MessageInfo, words: [u64; 6]) -> Result<Message, Error> {
        message(arch::message_call(Syscall::TryCall as u64, self.0.0, info.0, 0, words))
    }

    /// Sends and waits until it is received.
    #[inline]
    pub fn send(self, info: MessageInfo, words: [u64; 6]) -> Result<(), Error> {
        message(arch::message_call(Syscall::Send as u64, self.0.0, info.0, 0, words)).map(drop)
    }

    /// [`send`](Self::send), or `WouldBlock` if nobody is receiving.
    #[inline]
    pub fn try_send(self, info: MessageInfo, words: [u64; 6]) -> Result<(), Error> {
        message(arch::message_call(Syscall::TrySend as u64, self.0.0, info.0, 0, words)).map(drop)
    }

    /// Waits for a message or for the bound notification (right RECEIVE). `reply` will hold the caller.
    #[inline]
    pub fn receive(self, reply: Reply) -> Result<Message, Error> {
        message(arch::message_call(Syscall::Receive as u64, self.0.0, 0, reply.0.0, [0; 6]))
    }

    /// [`receive`](Self::receive), or `WouldBlock` if nothing is there.
    #[inline]
    pub fn try_receive(self, reply: Reply) -> Result<Message, Error> {
        message(arch::message_call(Syscall::TryReceive as u64, self.0.0, 0, reply.0.0, [0; 6]))
    }

    /// Answers the caller that `reply` holds, then receives with the same Reply object.
    #[inline(always)]
    pub fn reply_receive(self, reply: Reply, info: MessageInfo, words: [u64; 6]) -> Result<Message, Error> {
        message(arch::message_call(Syscall::ReplyReceive as u64, self.0.0, info.0, reply.0.0, words))
    }

    /// [`reply_receive`](Self::reply_receive) with at most four words each way.
    #[inline(always)]
    pub fn reply_receive_short(self, reply: Reply, info: MessageInfo, words: [u64; 4]) -> Result<Message, Error> {
        message(arch::message_call_short(Syscall::ReplyReceive as u64, self.0.0, info.0, reply.0.0, words))
    }

    /// [`reply_receive`](Self::reply_receive) of messages without words: the badge and the information of the next. What
    /// [`call_empty`](Self::call_empty) says of registers is true of the answer, too.
    #[inline(always)]
    pub fn reply_receive_empty(self, reply: Reply, info: MessageInfo) -> Result<(u64, MessageInfo), Error> {
        let (status, badge, info) = arch::message_call_empty(Syscall::ReplyReceive as u64, self.0.0, info.0, reply.0.0);
        Error::from_status(status).map(|()| (badge, MessageInfo(info)))
    }

    /// Answers, then gives `WouldBlock` if nothing is there to receive.
    #[inline]
    pub fn try_reply_receive(self, reply: Reply, info: MessageInfo, words: [u64; 6]) -> Result<Message, Error> {
        message(arch::message_call(Syscall::TryReplyReceive as u64, self.0.0, info.0, reply.0.0, words))
    }

    /// Everybody who waits or comes later gets `PeerGone`, until it is opened (right MANAGE).
    pub fn close(self) -> Result<(), Error> {
        object(Syscall::EndpointClose, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }

    /// Opens it again.
    pub fn open(self) -> Result<(), Error> {
        object(Syscall::EndpointOpen, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }
}

impl Reply {
    /// Answers the caller; never waits.
    #[inline]
    pub fn reply(self, info: MessageInfo, words: [u64; 6]) -> Result<(), Error> {
        message(arch::message_call(Syscall::Reply as u64, self.0.0, info.0, 0, words)).map(drop)
    }
}

impl Notification {
    /// Signals the bits of the capability's badge (right WRITE).
    #[inline(always)]
    pub fn signal(self) -> Result<(), Error> {
        Error::from_status(arch::plain_call(Syscall::Signal as u64, self.0.0).0)
    }

    /// Waits until a bit is set; returns all and clears them (right READ).
    #[inline(always)]
    pub fn wait(self) -> Result<u64, Error> {
        let (status, bits) = arch::plain_call(Syscall::Wait as u64, self.0.0);
        Error::from_status(status).map(|()| bits)
    }

    /// [`wait`](Self::wait), or `WouldBlock`.
    #[inline(always)]
    pub fn poll(self) -> Result<u64, Error> {
        let (status, bits) = arch::plain_call(Syscall::Poll as u64, self.0.0);
        Error::from_status(status).map(|()| bits)
    }

    /// Has `bits` signalled at `deadline_ns` of the monotonic clock; replaces the former deadline; 0 disarms.
    #[inline]
    pub fn set_timer(self, deadline_ns: u64, bits: u64) -> Result<(), Error> {
        object(Syscall::NotificationTimer, [self.0.0, deadline_ns, bits, 0, 0, 0]).map(drop)
    }
}

/// Goes to the end of the ready queue.
#[inline(always)]
pub fn yield_now() {
    arch::plain_call(Syscall::Yield as u64, 0);
}

impl Untyped {
    /// Makes `count` objects of type `ty` (`size`: see [`ObjectType::bytes`]) in consecutive empty slots from `first` of `table`.
    #[inline]
    pub fn retype(self, ty: ObjectType, size: u64, table: CapTable, first: u64, count: u64) -> Result<(), Error> {
        self.retype_at(ty, size, table, first, count, 0)
    }

    /// [`retype`](Self::retype) at a byte offset, for device memory.
    #[inline]
    pub fn retype_at(
        self,
        ty: ObjectType,
        size: u64,
        table: CapTable,
        first: u64,
        count: u64,
        offset: u64,
    ) -> Result<(), Error> {
        object(Syscall::Retype, [self.0.0, ty as u64 | count << 8, size, table.0.0, first, offset]).map(drop)
    }

    /// Physical address (of device memory, else 0), size and bytes used.
    pub fn info(self) -> Result<(u64, u64, u64), Error> {
        object(Syscall::UntypedInfo, [self.0.0, 0, 0, 0, 0, 0]).map(|[base, size, used]| (base, size, used))
    }
}

impl CapTable {
    /// What is in a slot: type, rights, badge.
    #[inline]
    pub fn identify(self, slot: u64) -> Result<(ObjectType, Rights, u64), Error> {
        let [ty, rights, badge] = object(Syscall::CapIdentify, [self.0.0, slot, 0, 0, 0, 0])?;
        Ok((ObjectType::from_raw(ty).unwrap_or(ObjectType::Null), Rights(rights as u8), badge))
    }

    /// Copies from `slot` of this table into `to_slot` of `to`, with at most `rights`.
    #[inline]
    pub fn copy(self, slot: u64, to: CapTable, to_slot: u64, rights: Rights) -> Result<(), Error> {
        object(Syscall::CapCopy, [to.0.0, to_slot, self.0.0, slot, rights.0.into(), 0]).map(drop)
    }

    /// [`copy`](Self::copy) of `count` capabilities, from consecutive slots into consecutive slots. What was copied before an error stays.
    pub fn copy_range(self, first: u64, to: CapTable, to_first: u64, count: u64, rights: Rights) -> Result<(), Error> {
        let mut done = 0;
        while done < count {
            let some = (count - done).min(MAX_RANGE);
            let arguments = [to.0.0, to_first + done, self.0.0, first + done, rights.0.into(), some];
            done += object(Syscall::CapCopy, arguments)?[0];
        }
        Ok(())
    }

    /// Maps `count` frames that lie in consecutive slots of this table, at most [`MAX_RANGE`], one after the other from `address` of `space`
    /// on. Returns how many it was: an error says why the first could not be mapped.
    #[inline]
    pub fn map_frames(
        self,
        first: u64,
        count: u64,
        space: AddressSpace,
        address: u64,
        rights: Rights,
        cache: CacheMode,
    ) -> Result<u64, MapError> {
        // None counts as one, and is the shortest to say.
        let how = cache as u64 | if count == 1 { 0 } else { count << 8 };
        let arguments = [first, space.0.0, address, rights.0.into(), how, self.0.0];
        let result = arch::object_call(Syscall::FrameMap as u64, arguments);
        match Error::from_status(result.status) {
            Ok(()) => Ok(if count == 1 { 1 } else { result.values[0] }),
            Err(Error::MissingTable) => Err(MapError::MissingTable(result.values[0])),
            Err(error) => Err(MapError::Kernel(error)),
        }
    }

    /// Maps a page table that lies in this table at its place for `address`, as a table of `level` (1 to 3).
    #[inline]
    pub fn map_table(self, slot: u64, space: AddressSpace, address: u64, level: u64) -> Result<(), Error> {
        object(Syscall::TableMap, [slot, space.0.0, address, level, self.0.0, 0]).map(drop)
    }

    /// As [`copy`](Self::copy), with a badge.
    #[inline]
    pub fn mint(self, slot: u64, to: CapTable, to_slot: u64, rights: Rights, badge: u64) -> Result<(), Error> {
        object(Syscall::CapMint, [to.0.0, to_slot, self.0.0, slot, rights.0.into(), badge]).map(drop)
    }

    /// Moves from `slot` of this table into `to_slot` of `to`.
    #[inline]
    pub fn move_to(self, slot: u64, to: CapTable, to_slot: u64) -> Result<(), Error> {
        object(Syscall::CapMove, [to.0.0, to_slot, self.0.0, slot, 0, 0]).map(drop)
    }

    /// Empties a slot.
    #[inline]
    pub fn delete(self, slot: u64) -> Result<(), Error> {
        object(Syscall::CapDelete, [self.0.0, slot, 0, 0, 0, 0]).map(drop)
    }

    /// Deletes everything derived from a slot's capability.
    #[inline]
    pub fn revoke(self, slot: u64) -> Result<(), Error> {
        object(Syscall::CapRevoke, [self.0.0, slot, 0, 0, 0, 0]).map(drop)
    }
}

/// State, priority and processor time of a thread, as the kernel tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// [`motte_abi::syscall::ThreadState`] as a number.
    pub state: u64,
    /// Priority.
    pub priority: u64,
    /// Its number in the trace.
    pub number: u64,
    /// Nanoseconds run.
    pub nanoseconds: u64,
}

impl Thread {
    /// Gives the thread its surroundings; a null slot leaves table or space as it is, or means none.
    #[inline]
    pub fn configure(
        self,
        table: CapSlot,
        space: CapSlot,
        fault_endpoint: CapSlot,
        message_buffer: CapSlot,
    ) -> Result<(), Error> {
        let arguments = [self.0.0, table.0, space.0, fault_endpoint.0, message_buffer.0, 0];
        object(Syscall::ThreadConfigure, arguments).map(drop)
    }

    /// Sets the priority and the highest it may give to others.
    #[inline]
    pub fn set_priority(self, priority: u8, highest: u8) -> Result<(), Error> {
        object(Syscall::ThreadSetPriority, [self.0.0, priority.into(), highest.into(), 0, 0, 0]).map(drop)
    }

    /// Sets the priority and the highest it may give to others, and gives it processor time.
    #[inline]
    pub fn schedule(self, priority: u8, highest: u8, context: SchedContext) -> Result<(), Error> {
        let arguments = [self.0.0, priority.into(), highest.into(), context.0.0, 0, 0];
        object(Syscall::ThreadSetPriority, arguments).map(drop)
    }

    /// Gives it processor time; null takes it away.
    #[inline]
    pub fn bind_sched_context(self, context: CapSlot) -> Result<(), Error> {
        object(Syscall::ThreadBindSched, [self.0.0, context.0, 0, 0, 0, 0]).map(drop)
    }

    /// Binds a notification that its receives wake for; null unbinds.
    pub fn bind_notification(self, notification: CapSlot) -> Result<(), Error> {
        object(Syscall::ThreadBindNotification, [self.0.0, notification.0, 0, 0, 0, 0]).map(drop)
    }

    /// Its registers. Uses the caller's message buffer.
    pub fn read_registers(self) -> Result<Registers, Error> {
        object(Syscall::ThreadReadRegisters, [self.0.0, 0, 0, 0, 0, 0])?;
        let mut words = [0; Registers::WORDS];
        thread::read_buffer_words(0, &mut words);
        Ok(Registers::from_words(&words))
    }

    /// Sets its registers. Uses the caller's message buffer.
    pub fn write_registers(self, registers: &Registers) -> Result<(), Error> {
        thread::write_buffer_words(0, &registers.to_words());
        object(Syscall::ThreadWriteRegisters, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }

    /// Sets its registers and lets it run. Uses the caller's message buffer.
    pub fn start(self, registers: &Registers) -> Result<(), Error> {
        thread::write_buffer_words(0, &registers.to_words());
        object(Syscall::ThreadWriteRegisters, [self.0.0, 1, 0, 0, 0, 0]).map(drop)
    }

    /// Lets it run.
    #[inline]
    pub fn resume(self) -> Result<(), Error> {
        object(Syscall::ThreadResume, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }

    /// Stops it.
    #[inline]
    pub fn suspend(self) -> Result<(), Error> {
        object(Syscall::ThreadSuspend, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }

    /// Sets the base of its thread-local storage.
    #[inline]
    pub fn set_tls(self, address: u64) -> Result<(), Error> {
        object(Syscall::ThreadSetTls, [self.0.0, address, 0, 0, 0, 0]).map(drop)
    }

    /// What it is doing.
    pub fn info(self) -> Result<ThreadInfo, Error> {
        object(Syscall::ThreadInfo, [self.0.0, 0, 0, 0, 0, 0]).map(|[state, priority, nanoseconds]| ThreadInfo {
            state,
            priority: priority & 0xff,
            number: priority >> 8,
            nanoseconds,
        })
    }

    /// The last request that it took (badge, and a description with `MessageInfo::CALL`) or the last call that it made, whichever is
    /// later.
    pub fn last_message(self) -> Result<(u64, MessageInfo), Error> {
        object(Syscall::ThreadLastMessage, [self.0.0, 0, 0, 0, 0, 0]).map(|[badge, info, _]| (badge, MessageInfo(info)))
    }
}

impl SchedControl {
    /// Sets budget and period of a scheduling context, in nanoseconds.
    #[inline]
    pub fn configure(self, context: SchedContext, budget_ns: u64, period_ns: u64, flags: u64) -> Result<(), Error> {
        object(Syscall::SchedConfigure, [self.0.0, context.0.0, budget_ns, period_ns, flags, 0]).map(drop)
    }

    /// [`configure`](Self::configure) for `count` scheduling contexts in consecutive slots of `table`, at most [`MAX_RANGE`].
    /// Returns how many were.
    pub fn configure_range(
        self,
        table: CapTable,
        first: u64,
        count: u64,
        budget_ns: u64,
        period_ns: u64,
    ) -> Result<u64, Error> {
        let arguments = [self.0.0, first, budget_ns, period_ns, count << 8, table.0.0];
        object(Syscall::SchedConfigure, arguments).map(|[configured, ..]| configured)
    }
}

impl SchedContext {
    /// Nanoseconds consumed ever, budget, period.
    pub fn info(self) -> Result<(u64, u64, u64), Error> {
        object(Syscall::SchedInfo, [self.0.0, 0, 0, 0, 0, 0]).map(|[used, budget, period]| (used, budget, period))
    }
}

/// How a mapping is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum CacheMode {
    /// As memory is.
    Normal = 0,
    /// Not at all.
    Uncached = 1,
}

/// Why a frame could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// A page table of this level is missing.
    MissingTable(u64),
    /// Anything else.
    Kernel(Error),
}

impl Frame {
    /// Maps it at `address` of `space`.
    #[inline]
    pub fn map(self, space: AddressSpace, address: u64, rights: Rights, cache: CacheMode) -> Result<(), MapError> {
        CapSlot::OWN_TABLE.map_frames(self.0.0, 1, space, address, rights, cache).map(drop)
    }

    /// Takes the mapping away.
    ///
    /// # Safety
    /// If it is mapped in this program: nothing may use that memory any more.
    #[inline]
    pub unsafe fn unmap(self) -> Result<(), Error> {
        object(Syscall::FrameUnmap, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }

    /// Whether the kernel's trace, a frame of which this is, is to hold every message, or only those that do not take the short path.
    pub fn trace_messages(self, all: bool) -> Result<(), Error> {
        object(Syscall::TraceMessages, [self.0.0, all.into(), 0, 0, 0, 0]).map(drop)
    }

    /// Physical address, size, and mapped address or 0 (right MANAGE).
    pub fn info(self) -> Result<(u64, u64, u64), Error> {
        object(Syscall::FrameInfo, [self.0.0, 0, 0, 0, 0, 0]).map(|[base, size, mapped]| (base, size, mapped))
    }
}

impl PageTable {
    /// Maps it at its place for `address`, as a table of `level` (1 to 3).
    #[inline]
    pub fn map(self, space: AddressSpace, address: u64, level: u64) -> Result<(), Error> {
        CapSlot::OWN_TABLE.map_table(self.0.0, space, address, level)
    }
}

impl IrqControl {
    /// Makes the interrupt of an I/O APIC line (`flags`: [`motte_abi::syscall::IRQ_LEVEL`], `IRQ_ACTIVE_LOW`).
    pub fn line(self, line: u64, flags: u64, table: CapTable, slot: u64) -> Result<(), Error> {
        let arguments = [self.0.0, motte_abi::syscall::IRQ_LINE, line, table.0.0, slot, flags];
        object(Syscall::IrqCreate, arguments).map(drop)
    }

    /// Makes a message-signalled interrupt.
    pub fn message(self, table: CapTable, slot: u64) -> Result<(), Error> {
        let arguments = [self.0.0, motte_abi::syscall::IRQ_MESSAGE, 0, table.0.0, slot, 0];
        object(Syscall::IrqCreate, arguments).map(drop)
    }
}

impl Irq {
    /// Has it signal a notification, and unmasks it; null unbinds.
    pub fn bind(self, notification: CapSlot) -> Result<(), Error> {
        object(Syscall::IrqBind, [self.0.0, notification.0, 0, 0, 0, 0]).map(drop)
    }

    /// Unmasks it after it was handled.
    pub fn acknowledge(self) -> Result<(), Error> {
        object(Syscall::IrqAcknowledge, [self.0.0, 0, 0, 0, 0, 0]).map(drop)
    }

    /// Address and data that the device must write.
    pub fn message(self) -> Result<(u64, u64), Error> {
        object(Syscall::IrqMessage, [self.0.0, 0, 0, 0, 0, 0]).map(|[address, data, _]| (address, data))
    }
}

impl IoPortControl {
    /// Makes the capability for `count` ports from `first`.
    pub fn create(self, first: u16, count: u64, table: CapTable, slot: u64) -> Result<(), Error> {
        object(Syscall::IoPortCreate, [self.0.0, first.into(), count, table.0.0, slot, 0]).map(drop)
    }
}

impl IoPort {
    /// Reads `width` bytes (1, 2 or 4) from `port`.
    pub fn read(self, port: u16, width: u64) -> Result<u32, Error> {
        object(Syscall::IoPortIn, [self.0.0, port.into(), width, 0, 0, 0]).map(|[value, ..]| value as u32)
    }

    /// Writes `width` bytes to `port`.
    pub fn write(self, port: u16, width: u64, value: u32) -> Result<(), Error> {
        object(Syscall::IoPortOut, [self.0.0, port.into(), width, value.into(), 0, 0]).map(drop)
    }

    /// Reads one byte.
    pub fn read_u8(self, port: u16) -> Result<u8, Error> {
        self.read(port, 1).map(|value| value as u8)
    }

    /// Writes one byte.
    pub fn write_u8(self, port: u16, value: u8) -> Result<(), Error> {
        self.write(port, 1, value.into())
    }
}

/// Writes to the kernel's debug console and log.
pub fn debug_write(text: &str) {
    for chunk in text.as_bytes().chunks(48) {
        let mut bytes = [0; 48];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        arch::debug_write(chunk.len() as u64, words);
    }
}

//! A message on its way from one thread to another: registers, then the buffers, then capabilities.

use crate::Kernel;
use crate::arch::{Arch, Context};
use crate::cap;
use crate::memory::{read_word, write_word};
use crate::object::thread::{Fault, Outgoing, Thread};
use motte_abi::fault::FAULT_LABEL;
use motte_abi::message::{MAX_CAPS, MAX_WORDS, MessageBuffer, REGISTER_WORDS};
use motte_abi::{Error, MessageInfo, Rights};

/// Byte offsets in the message buffer.
const CAPS: usize = core::mem::offset_of!(MessageBuffer, caps);
const RECEIVE_SLOTS: usize = core::mem::offset_of!(MessageBuffer, receive_slots);

/// A thread's message buffer, by physical address; its contents are the user's and may change at any time.
#[derive(Clone, Copy)]
pub(crate) struct Buffer(u64);

impl Buffer {
    /// The thread's, if it has one.
    pub(crate) fn of<A: Arch>(thread: &Thread<A>) -> Option<Self> {
        let physical = thread.buffer.get();
        (physical != 0).then_some(Self(physical))
    }

    /// Word `index`, below `MAX_WORDS`.
    pub(crate) fn word<A: Arch>(self, index: usize) -> u64 {
        debug_assert!(index < MAX_WORDS);
        read_word::<A>(self.0 + index as u64 * 8)
    }

    /// Copy this many words, of those that do not travel in registers, to another buffer.
    fn copy_words<A: Arch>(self, to: Self, words: usize) {
        let offset = REGISTER_WORDS as u64 * 8;
        A::copy_words(self.0 + offset, to.0 + offset, words);
    }

    /// Set word `index`, below `MAX_WORDS`.
    pub(crate) fn set_word<A: Arch>(self, index: usize, value: u64) {
        debug_assert!(index < MAX_WORDS);
        write_word::<A>(self.0 + index as u64 * 8, value);
    }
}

impl<A: Arch> Kernel<A> {
    /// Whether `sender` may send a message so described through a capability with (`grant`) or without the right to pass
    /// capabilities on.
    pub(crate) fn check_message(&self, sender: &Thread<A>, info: MessageInfo, grant: bool) -> Result<(), Error> {
        if !info.is_valid() || !info.is_short() && Buffer::of(sender).is_none() {
            return Err(Error::InvalidArgument);
        }
        if info.caps() > 0 && !grant {
            return Err(Error::MissingRight);
        }
        Ok(())
    }

    /// Moves the message that `sender`'s registers describe to `receiver`, and writes the receiver's results. What the receiver
    /// has no buffer for is cut off.
    pub(crate) fn transfer(&self, sender: &Thread<A>, receiver: &Thread<A>, badge: u64, flags: u64) {
        let context = receiver.context();
        let (words, info) = match sender.outgoing.get() {
            Outgoing::Fault if flags & MessageInfo::CALL != 0 => Self::fault_message(sender, sender.fault()),
            _ => {
                let info = MessageInfo(sender.context().argument(1));
                (sender.context().message_words(), self.transfer_buffer(sender, receiver, info))
            }
        };
        context.set_message_words(words);
        context.set_result(0, badge);
        context.set_result(1, info.0 | flags);
        context.set_status(0);
    }

    /// The part of a message beyond registers, whose description has just been checked. The description as the receiver sees it.
    #[inline(always)]
    pub(crate) fn transfer_rest(&self, sender: &Thread<A>, receiver: &Thread<A>, info: MessageInfo) -> MessageInfo {
        match (Buffer::of(sender), Buffer::of(receiver), info.length().checked_sub(REGISTER_WORDS)) {
            (Some(from), Some(to), Some(words)) if info.caps() == 0 => {
                from.copy_words::<A>(to, words);
                info
            }
            _ => self.transfer_buffer(sender, receiver, info),
        }
    }

    /// The same, where the description may be anything.
    fn transfer_buffer(&self, sender: &Thread<A>, receiver: &Thread<A>, info: MessageInfo) -> MessageInfo {
        // What was checked when the message was sent is checked again here: a debugger may have written the registers of a
        // thread that waits.
        let caps = if sender.grant.get() { info.caps().min(MAX_CAPS) } else { 0 };
        let info = MessageInfo::new(info.label(), info.length().min(MAX_WORDS), caps);
        if info.is_short() {
            return info;
        }
        let (Some(from), Some(to)) = (Buffer::of(sender), Buffer::of(receiver)) else {
            return MessageInfo::new(info.label(), info.length().min(REGISTER_WORDS), 0);
        };
        if let Some(words) = info.length().checked_sub(REGISTER_WORDS) {
            from.copy_words::<A>(to, words);
        }
        for index in 0..caps {
            let offset = index as u64 * 8;
            let source = read_word::<A>(from.0 + CAPS as u64 + offset);
            let target = read_word::<A>(to.0 + RECEIVE_SLOTS as u64 + offset);
            let arrived = self.transfer_capability(sender, source, receiver, target);
            write_word::<A>(to.0 + CAPS as u64 + offset, if arrived { target } else { 0 });
        }
        info
    }

    /// Copies a capability along with a message. Whether it could be delivered.
    fn transfer_capability(&self, sender: &Thread<A>, source: u64, receiver: &Thread<A>, target: u64) -> bool {
        let (Some(source), Some(target)) = (self.slot_of(sender, source).ok(), self.slot_of(receiver, target).ok())
        else {
            return false;
        };
        cap::copy(self, source, target, Rights::ALL, None).is_ok()
    }

    /// The message that tells of a thread's fault.
    pub(crate) fn fault_message(thread: &Thread<A>, fault: Fault) -> ([u64; REGISTER_WORDS], MessageInfo) {
        let message = thread.context().fault_message(fault.address, fault.code);
        let label = FAULT_LABEL + fault.kind as u64;
        (message.to_words(), MessageInfo::new(label, REGISTER_WORDS, 0))
    }
}

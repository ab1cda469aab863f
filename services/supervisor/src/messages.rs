//! A thread's messages as the kernel's trace tells of them: one line for each.

use alloc::format;
use alloc::string::String;

use motte_abi::MessageInfo;
use motte_abi::trace::{TraceEvent, TraceKind};
use motte_interfaces::method_label;

/// A thread's last message, as the kernel remembers it: a request that it took, with its sender's badge, or a call that it made. `None`: it had
/// none.
pub fn last(badge: u64, info: MessageInfo) -> Option<String> {
    let (label, words) = (method_label(info.label()), info.length());
    match info {
        MessageInfo(0) => None,
        _ if info.is_call() => Some(format!("request of badge {badge:#x}, label {label}, {words} words")),
        _ => Some(format!("call, label {label}, {words} words")),
    }
}

/// Whether an event of the trace is a message that the thread sent or got.
pub fn is_of(event: &TraceEvent, thread: u64) -> bool {
    let is_message =
        matches!(TraceKind::from_raw(event.kind as u8), Some(TraceKind::Call | TraceKind::Reply | TraceKind::Send));
    is_message && (event.a == thread || event.b == thread)
}

/// An event of the trace, if it is a message that the thread sent or got. `name` names the other threads.
pub fn traced(event: &TraceEvent, thread: u64, name: impl Fn(u64) -> String) -> Option<String> {
    let (what, to, from) = match TraceKind::from_raw(event.kind as u8)? {
        TraceKind::Call => ("call", "to", "of"),
        TraceKind::Reply => ("answer", "to", "of"),
        TraceKind::Send => ("message", "to", "of"),
        _ => return None,
    };
    let (direction, other) = match (event.a, event.b) {
        (sender, receiver) if sender == thread => (to, receiver),
        (sender, receiver) if receiver == thread => (from, sender),
        _ => return None,
    };
    let info = MessageInfo(event.kind >> 8);
    let words = info.length();
    // The bits of the event's kind leave no room for the upper ones of the label.
    Some(format!("{what} {direction} {}, label {}, {words} words", name(other), info.label()))
}

#[cfg(test)]
mod tests {
    use motte_interfaces::PROMPT;

    use super::*;

    #[test]
    fn the_last_message_is_a_request_or_a_call() {
        let info = MessageInfo::new(5 | PROMPT, 2, 0);
        let request = MessageInfo(info.0 | MessageInfo::CALL);
        assert_eq!(last(0x10, request).unwrap(), "request of badge 0x10, label 5, 2 words");
        assert_eq!(last(0, info).unwrap(), "call, label 5, 2 words");
        assert_eq!(last(0, MessageInfo::default()), None);
    }

    #[test]
    fn messages_of_a_thread_are_told_with_the_other_side_and_others_are_left_out() {
        let event =
            |kind: TraceKind, a, b| TraceEvent { time: 0, kind: kind as u64 | MessageInfo::new(5, 2, 0).0 << 8, a, b };
        let told = |event| traced(&event, 7, |thread| format!("thread {thread}"));
        assert_eq!(told(event(TraceKind::Call, 7, 8)).unwrap(), "call to thread 8, label 5, 2 words");
        assert_eq!(told(event(TraceKind::Reply, 8, 7)).unwrap(), "answer of thread 8, label 5, 2 words");
        assert_eq!(told(event(TraceKind::Call, 8, 9)), None);
        assert_eq!(told(event(TraceKind::Signal, 7, 8)), None);
    }
}

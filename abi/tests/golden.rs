//! Every number of the ABI, compared with the list in `tests/abi.golden`, so that no change goes by unseen.
//!
//! After a change that is meant, `MOTTE_UPDATE_GOLDEN=1 cargo test -p motte-abi --test golden` writes the list anew; the version in
//! `motte_abi::ABI_VERSION` says what the change means to programs that are already built.

use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::path::Path;

use motte_abi::boot_info::{self, BootInfo, UntypedDescription, slot};
use motte_abi::clock::{self, ClockPage};
use motte_abi::fault::{FAULT_LABEL, FaultKind, RESUME_STOPPED, Registers};
use motte_abi::message::{MAX_CAPS, MAX_WORDS, REGISTER_WORDS};
use motte_abi::syscall::{IRQ_ACTIVE_LOW, IRQ_LEVEL, IRQ_LINE, IRQ_MESSAGE, SCHED_NOTIFY_EXHAUSTED, ThreadState};
use motte_abi::trace::{self, TraceEvent, TraceHeader, TraceKind};
use motte_abi::{
    ABI_VERSION, Error, LARGE_PAGE_SIZE, MessageBuffer, MessageInfo, ObjectType, PAGE_SIZE, Rights, Syscall, USER_END,
    boot_image, object,
};

/// Numbers beyond this are not tried.
const MOST_KINDS: u64 = 256;

/// The offsets of a structure's fields, and its size.
macro_rules! layout {
    ($list:ident, $type:ident: $($field:ident),* $(,)?) => {
        $($list.number(concat!(stringify!($type), ".", stringify!($field)), offset_of!($type, $field) as u64);)*
        $list.number(concat!("size of ", stringify!($type)), size_of::<$type>() as u64);
    };
}

#[derive(Default)]
struct List(String);

impl List {
    fn part(&mut self, title: &str) {
        let _ = writeln!(self.0, "\n# {title}");
    }

    fn number(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "{name} = {value:#x}");
    }
}

/// The list as it is now.
fn current() -> String {
    let mut list = List::default();
    let _ = writeln!(list.0, "version {}.{}", ABI_VERSION.0, ABI_VERSION.1);

    list.part("system calls");
    for call in Syscall::ALL {
        list.number(&format!("{call:?}"), *call as u64);
    }
    list.number("first object call", Syscall::FIRST_OBJECT_CALL);
    list.number("SCHED_NOTIFY_EXHAUSTED", SCHED_NOTIFY_EXHAUSTED);
    list.number("IRQ_LINE", IRQ_LINE);
    list.number("IRQ_MESSAGE", IRQ_MESSAGE);
    list.number("IRQ_LEVEL", IRQ_LEVEL);
    list.number("IRQ_ACTIVE_LOW", IRQ_ACTIVE_LOW);

    list.part("errors");
    for error in Error::ALL {
        list.number(&format!("{error:?}"), *error as u64);
    }

    list.part("rights");
    for (name, rights) in [
        ("READ, RECEIVE", Rights::READ),
        ("WRITE, SEND", Rights::WRITE),
        ("GRANT, EXECUTE", Rights::GRANT),
        ("MANAGE", Rights::MANAGE),
        ("ALL", Rights::ALL),
    ] {
        list.number(name, rights.0.into());
    }

    list.part("object types and their bytes");
    for object in (0..MOST_KINDS).filter_map(ObjectType::from_raw) {
        list.number(&format!("{object:?}"), object as u64);
        if let Some(bytes) = object.bytes(PAGE_SIZE as u64) {
            list.number(&format!("bytes of {object:?}, size argument 0x1000"), bytes);
        }
    }
    list.number("SLOT_BYTES", object::SLOT_BYTES);

    list.part("thread states");
    for state in [
        ThreadState::Stopped,
        ThreadState::Ready,
        ThreadState::Sending,
        ThreadState::Receiving,
        ThreadState::AwaitingReply,
        ThreadState::Waiting,
        ThreadState::Faulted,
    ] {
        list.number(&format!("{state:?}"), state as u64);
    }

    list.part("messages");
    list.number("REGISTER_WORDS", REGISTER_WORDS as u64);
    list.number("MAX_WORDS", MAX_WORDS as u64);
    list.number("MAX_CAPS", MAX_CAPS as u64);
    list.number("info of label 1", MessageInfo::new(1, 0, 0).0);
    list.number("info of length 1", MessageInfo::new(0, 1, 0).0);
    list.number("info of 1 capability", MessageInfo::new(0, 0, 1).0);
    list.number("NOTIFICATION", MessageInfo::NOTIFICATION);
    list.number("CALL", MessageInfo::CALL);
    layout!(list, MessageBuffer: words, caps, receive_slots, reserved);

    list.part("faults");
    list.number("FAULT_LABEL", FAULT_LABEL);
    list.number("RESUME_STOPPED", RESUME_STOPPED);
    for kind in (0..MOST_KINDS).filter_map(FaultKind::from_raw) {
        list.number(&format!("{kind:?}"), kind as u64);
    }
    layout!(list, Registers: rip, rsp, rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, fs_base);

    list.part("memory");
    list.number("PAGE_SIZE", PAGE_SIZE as u64);
    list.number("LARGE_PAGE_SIZE", LARGE_PAGE_SIZE as u64);
    list.number("USER_END", USER_END);

    list.part("slots of a new table");
    for (name, number) in [
        ("CAP_TABLE", slot::CAP_TABLE),
        ("ADDRESS_SPACE", slot::ADDRESS_SPACE),
        ("THREAD", slot::THREAD),
        ("SCHED_CONTEXT", slot::SCHED_CONTEXT),
        ("MESSAGE_BUFFER", slot::MESSAGE_BUFFER),
        ("UNTYPED", slot::UNTYPED),
        ("IRQ_CONTROL", slot::IRQ_CONTROL),
        ("IO_PORT_CONTROL", slot::IO_PORT_CONTROL),
        ("SCHED_CONTROL", slot::SCHED_CONTROL),
        ("CLOCK_FRAME", slot::CLOCK_FRAME),
        ("FIRST_FREE", slot::FIRST_FREE),
        ("INIT_SLOTS", boot_info::INIT_SLOTS),
    ] {
        list.number(name, number);
    }

    list.part("boot information");
    list.number("BOOT_INFO_MAGIC", boot_info::BOOT_INFO_MAGIC);
    list.number("MAX_UNTYPED", boot_info::MAX_UNTYPED as u64);
    layout!(list, UntypedDescription: slot, base, size, device);
    layout!(
        list, BootInfo: magic, abi_version, processors_online, processors_present, memory_total, memory_kernel,
        boot_image_address, boot_image_size, boot_image_slot, command_line_address, command_line_size, kernel_log_slot,
        kernel_log_frames, trace_slot, trace_frames_per_core, first_free_slot, first_free_address, kernel_started_ns,
        acpi_rsdp, untyped_count, untyped,
    );

    list.part("boot image");
    list.number("MAGIC", u64::from_le_bytes(boot_image::MAGIC));
    list.number("NAME_BYTES", boot_image::NAME_BYTES as u64);
    list.number("HEADER_BYTES", boot_image::HEADER_BYTES as u64);
    list.number("ENTRY_BYTES", boot_image::ENTRY_BYTES as u64);

    list.part("clock page");
    list.number("CLOCK_MAGIC", clock::CLOCK_MAGIC);
    list.number("CLOCK_ADDRESS", clock::CLOCK_ADDRESS);
    layout!(list, ClockPage: magic, multiplier, shift, frequency);

    list.part("trace and log");
    for kind in (0..=u8::MAX).filter_map(TraceKind::from_raw) {
        list.number(&format!("{kind:?}"), kind as u64);
    }
    list.number("TRACE_EVENTS", trace::TRACE_EVENTS as u64);
    list.number("TRACE_BYTES", trace::TRACE_BYTES as u64);
    list.number("KERNEL_LOG_BYTES", trace::KERNEL_LOG_BYTES as u64);
    list.number("KERNEL_LOG_RING", trace::KERNEL_LOG_RING as u64);
    layout!(list, TraceEvent: time, kind, a, b);
    layout!(list, TraceHeader: written, core, reserved);
    list.0
}

#[test]
fn the_abi_is_what_the_golden_file_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi.golden");
    let current = current();
    if std::env::var_os("MOTTE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &current).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    let golden: Vec<&str> = golden.lines().collect();
    let lines: Vec<&str> = current.lines().collect();
    let gone: Vec<&&str> = golden.iter().filter(|line| !lines.contains(line)).collect();
    let new: Vec<&&str> = lines.iter().filter(|line| !golden.contains(line)).collect();
    assert!(
        golden == lines,
        "the ABI changed; if that is meant, see the top of abi/tests/golden.rs\n  no longer: {gone:?}\n  now: {new:?}"
    );
}

#[test]
fn no_two_calls_or_errors_share_a_number() {
    for (index, call) in Syscall::ALL.iter().enumerate() {
        assert_eq!(Syscall::from_raw(*call as u64), Some(*call));
        assert!(Syscall::ALL[index + 1..].iter().all(|other| *other as u64 > *call as u64), "{call:?}");
    }
    for error in Error::ALL {
        assert_eq!(Error::from_status(*error as u64), Err(*error));
    }
}

//! The creation of init.

use super::invariants::check;
use super::world::{DEVICE, World};
use crate::arch::mock::{EXECUTE, Mock, WRITE};
use crate::mem::space::find_entry;
use motte_abi::boot_info::{BOOT_INFO_MAGIC, slot as fixed};
use motte_abi::clock::CLOCK_ADDRESS;
use motte_abi::{ObjectType, Syscall::*};

/// What is mapped at an address of init: physical address and flags.
fn mapped(w: &World, address: u64) -> Option<(u64, u64)> {
    let place = find_entry::<Mock>(w.current().space_root.get(), address, 1).ok()?;
    let entry = w.arena.word(place);
    (entry != 0).then_some((entry & !0xfff, entry & 0xfff & (WRITE | EXECUTE)))
}

/// A word in init's memory.
fn word(w: &World, address: u64) -> u64 {
    let (physical, _) = mapped(w, address).expect("a mapped page");
    w.arena.word(physical + address % 4096)
}

#[test]
fn init_is_loaded_and_ready() {
    let w = World::new();
    check(&w);
    let r = w.registers(w.current());
    assert_eq!(r.rip, 0x40_0010);
    assert_eq!(mapped(&w, 0x40_0000).unwrap().1, EXECUTE);
    assert_eq!(word(&w, 0x40_0000) & 0xff, 0xc3);
    assert_eq!(mapped(&w, 0x40_2000).unwrap().1, WRITE);
    assert_eq!((word(&w, 0x40_2000), word(&w, 0x40_3000)), (0x77, 0));
    assert_eq!(mapped(&w, 0x40_1000), None);
    assert_eq!(mapped(&w, r.rsp - 8).unwrap().1, WRITE);
    assert_eq!(mapped(&w, r.rsp - (64 << 10) - 8), None, "a guard below the stack");
    assert_eq!(mapped(&w, r.rsi).unwrap(), (w.current().buffer.get(), WRITE));
    assert_eq!(mapped(&w, CLOCK_ADDRESS).unwrap().1, 0);
}

#[test]
fn boot_information_describes_the_machine() {
    let w = World::new();
    let info = w.registers(w.current()).rdi;
    assert_eq!(mapped(&w, info).unwrap().1, 0);
    let field = |index: u64| word(&w, info + index * 8);
    assert_eq!(field(0), BOOT_INFO_MAGIC);
    let (image, image_slot) = (field(6), field(8));
    assert_eq!(word(&w, image), u64::from_le_bytes(*b"motteIMG"));
    assert_eq!(w.ok(CapIdentify, &[0, image_slot])[0], ObjectType::Frame as u64);
    assert_eq!(word(&w, field(9)) & 0xff_ffff_ffff, u64::from_le_bytes(*b"quiet\0\0\0"));
    assert_eq!(field(19), 2, "one range of RAM and one of device memory");
    assert_eq!((field(25), field(27)), (DEVICE, 1));
    assert_eq!(w.ok(CapIdentify, &[0, field(15)])[0], 0, "the first free slot");
    assert_eq!(mapped(&w, field(16)), None);
    for (slot, kind) in [
        (fixed::CAP_TABLE, ObjectType::CapTable),
        (fixed::ADDRESS_SPACE, ObjectType::AddressSpace),
        (fixed::THREAD, ObjectType::Thread),
        (fixed::SCHED_CONTEXT, ObjectType::SchedContext),
        (fixed::MESSAGE_BUFFER, ObjectType::Frame),
        (fixed::IRQ_CONTROL, ObjectType::IrqControl),
        (fixed::IO_PORT_CONTROL, ObjectType::IoPortControl),
        (fixed::SCHED_CONTROL, ObjectType::SchedControl),
        (fixed::CLOCK_FRAME, ObjectType::Frame),
    ] {
        assert_eq!(w.ok(CapIdentify, &[0, slot])[0], kind as u64);
    }
}

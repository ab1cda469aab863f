//! Finding a device's registers.

use motte_virtio::{Place, StructureError, Structures, find};
use proptest::prelude::*;

/// Bytes that a driver uses of the device's own configuration.
const BYTES: u64 = 24;

fn qemu() -> [u8; 256] {
    let mut space = [0; 256];
    let mut capability = |at: usize, next: u8, kind: u8, offset: u32, length: u32| {
        space[at..at + 5].copy_from_slice(&[9, next, 16, kind, 4]);
        space[at + 8..at + 12].copy_from_slice(&offset.to_le_bytes());
        space[at + 12..at + 16].copy_from_slice(&length.to_le_bytes());
    };
    capability(0x40, 0x54, 1, 0, 0x1000);
    capability(0x54, 0x68, 3, 0x1000, 0x1000);
    capability(0x68, 0x7c, 4, 0x2000, 0x1000);
    capability(0x7c, 0x84, 2, 0x3000, 0x1000);
    space[0x84] = 0;
    space[0x8c] = 4; // the multiplier
    space[0x06] = 0x10;
    space[0x34] = 0x40;
    space[0x7c + 16..0x7c + 20].copy_from_slice(&4u32.to_le_bytes());
    space
}

fn read(space: &[u8; 256]) -> impl Fn(u64, u64) -> Result<u64, &'static str> {
    |offset, width| {
        assert!(offset + width <= 256 && offset.is_multiple_of(width));
        let mut word = [0; 8];
        word[..width as usize].copy_from_slice(&space[offset as usize..][..width as usize]);
        Ok(u64::from_le_bytes(word))
    }
}

#[test]
fn the_structures_of_a_modern_device_are_found() {
    let place = |offset| Place { bar: 4, offset, length: 0x1000 };
    let expected = Structures { common: place(0), notify: place(0x3000), notify_multiplier: 4, device: place(0x2000) };
    assert_eq!(find(BYTES, read(&qemu())), Ok(expected));
}

#[test]
fn a_legacy_device_is_told_from_a_malformed_one() {
    let mut space = qemu();
    space[0x41] = 0;
    assert!(matches!(find(BYTES, read(&space)), Err(StructureError::Missing(_))));
    let mut space = qemu();
    space[0x44] = 6;
    assert!(matches!(find(BYTES, read(&space)), Err(StructureError::Malformed(_))));
    assert_eq!(find(BYTES, |_, _| Err("no")), Err(StructureError::Unreadable("no")));
    let mut space = qemu();
    space[0x41] = 0x40; // a list that loops
    assert!(matches!(find(BYTES, read(&space)), Err(StructureError::Missing(_))));
}

proptest! {
    #[test]
    fn whatever_configuration_space_holds_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 256)) {
        let mut space: [u8; 256] = bytes.try_into().unwrap();
        space[6] |= 0x10;
        let _ = find(BYTES, read(&space));
    }
}

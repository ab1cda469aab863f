//! The service against a bus in memory that behaves as the specification says, and notes what was written to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use motte_interfaces::error::IoError;
use motte_interfaces::lifecycle::Lifecycle;
use motte_interfaces::pci::Pci;
use motte_interfaces::{Cap, Sender, badge};
use motte_pci::{Claims, Config, InterruptMessage, PciServer, Platform, scan, selector};
use proptest::prelude::*;

/// A function: its registers, and the masks of its address registers' writable bits.
#[derive(Clone)]
struct MockFunction {
    registers: [u8; 256],
    masks: [u32; 6],
}

impl MockFunction {
    fn new(vendor: u16, device: u16) -> Self {
        let mut function = Self { registers: [0; 256], masks: [0; 6] };
        function.set(0, u32::from(vendor) | u32::from(device) << 16);
        function
    }

    fn get(&self, offset: u8) -> u32 {
        let at = usize::from(offset & !3);
        u32::from_le_bytes(self.registers[at..at + 4].try_into().unwrap())
    }

    fn set(&mut self, offset: u8, value: u32) {
        let at = usize::from(offset & !3);
        self.registers[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

#[derive(Clone, Default)]
struct MockBus {
    functions: Rc<RefCell<BTreeMap<u16, MockFunction>>>,
    writes: Rc<RefCell<Vec<(u16, u8, u32)>>>,
}

impl Config for MockBus {
    fn read(&mut self, address: u16, offset: u8) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.functions.borrow().get(&address).map_or(u32::MAX, |function| function.get(offset))
    }

    fn write(&mut self, address: u16, offset: u8, width: u8, value: u32) {
        assert!(offset.is_multiple_of(width));
        self.writes.borrow_mut().push((address, offset, value));
        let mut functions = self.functions.borrow_mut();
        let Some(function) = functions.get_mut(&address) else { return };
        if (0x10..0x28).contains(&offset) && function.registers[0x0e] & 0x7f == 0 {
            assert_eq!(function.registers[4] & 3, 0, "an address register is written while the device listens");
            let mask = function.masks[usize::from(offset - 0x10) / 4];
            let fixed = function.get(offset) & 0xf & !mask;
            function.set(offset, value & mask | fixed);
            return;
        }
        let bytes = value.to_le_bytes();
        function.registers[usize::from(offset)..][..usize::from(width)].copy_from_slice(&bytes[..usize::from(width)]);
    }
}

#[derive(Clone, Default)]
struct MockMachine {
    frames: Rc<RefCell<Vec<u64>>>,
    interrupts: Rc<RefCell<u64>>,
    memory: Rc<RefCell<BTreeMap<u64, u32>>>,
    warnings: Rc<RefCell<Vec<String>>>,
}

impl Platform for MockMachine {
    fn frame(&mut self, physical: u64) -> Result<Cap, IoError> {
        self.frames.borrow_mut().push(physical);
        Ok(Cap(physical >> 12))
    }

    fn interrupt(&mut self) -> Result<(Cap, InterruptMessage), IoError> {
        *self.interrupts.borrow_mut() += 1;
        let number = *self.interrupts.borrow();
        Ok((Cap(900 + number), InterruptMessage { address: 0xfee0_0000, data: 0x40 + number as u32 }))
    }

    fn write(&mut self, physical: u64, value: u32) -> Result<(), IoError> {
        self.memory.borrow_mut().insert(physical, value);
        Ok(())
    }

    fn warn(&mut self, _: u16, what: &str) {
        self.warnings.borrow_mut().push(what.into());
    }
}

const DISK: u16 = 2 << 3;
const DRIVER: Sender = Sender { badge: 8 };
const OTHER: Sender = Sender { badge: 9 };

/// A host bridge, a disk with MSI-X in range 1 and registers in range 4 (64 bits wide), and a network card without MSI-X.
fn machine() -> (MockBus, MockMachine) {
    let bus = MockBus::default();
    let mut disk = MockFunction::new(0x1af4, 0x1042);
    disk.set(0x08, 0x0100_0001);
    disk.set(0x04, 0x0010_0003); // capabilities; ports and memory on
    disk.masks = [!0x7f & !3, !0xfff, 0, 0, !0x3fff, u32::MAX];
    for (bar, value) in [(0, 0xc001), (1, 0xfebd_5000), (4, 0xfe00_000c)] {
        disk.set(0x10 + bar * 4, value);
    }
    disk.registers[0x34] = 0x84;
    disk.set(0x84, 0x0001_4011 | 0x0001_0000); // MSI-X, next 0x40, two entries
    disk.set(0x88, 0x1); // table at the beginning of range 1
    disk.set(0x40, 0x0514_0009); // virtio's window, 20 bytes
    let mut network = MockFunction::new(0x8086, 0x100e);
    network.masks[0] = !0x1_ffff;
    let mut functions = bus.functions.borrow_mut();
    functions.insert(0, MockFunction::new(0x8086, 0x29c0));
    functions.insert(DISK, disk);
    functions.insert(3 << 3, network);
    drop(functions);
    (bus, MockMachine::default())
}

fn server(bus: &MockBus, machine: &MockMachine) -> PciServer<MockBus, MockMachine> {
    let claims = Claims::parse("8=1af4:1042;9=8086:100e", |bad| panic!("{bad}"));
    PciServer::new(bus.clone(), machine.clone(), claims, 0xf000_0000..0xfe00_0000)
}

#[test]
fn a_device_is_shown_to_its_driver_only() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    let disk = pci.device(&DRIVER, 0).unwrap();
    assert_eq!((disk.address, disk.vendor, disk.device, disk.class), (u64::from(DISK), 0x1af4, 0x1042, 0x01_0000));
    assert_eq!(pci.device(&DRIVER, 1), Err(IoError::NotFound));
    assert_eq!(pci.device(&Sender { badge: 0 }, 0), Err(IoError::NotFound));
    assert_eq!(pci.bar(&OTHER, DISK.into(), 4), Err(IoError::PermissionDenied));
    assert_eq!(pci.bar_page(&OTHER, DISK.into(), 4, 0), Err(IoError::PermissionDenied));
    assert_eq!(pci.config_read(&OTHER, DISK.into(), 0, 4), Err(IoError::PermissionDenied));
    assert_eq!(pci.interrupt(&OTHER, DISK.into(), 0), Err(IoError::PermissionDenied));
    assert_eq!(pci.enable(&OTHER, DISK.into()), Err(IoError::PermissionDenied));
    assert_eq!(pci.disable(&OTHER, DISK.into()), Err(IoError::PermissionDenied));
    assert_eq!(pci.bar(&DRIVER, 0x7777, 0), Err(IoError::NotFound));
    let drivers: Vec<_> = (0..3).map(|index| pci.entry(&OTHER, index).unwrap().driver).collect();
    assert_eq!(drivers, [0, 8, 9]);
    assert_eq!(pci.entry(&OTHER, 3), Err(IoError::NotFound));
}

#[test]
fn nothing_is_written_until_a_driver_asks() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    pci.entry(&DRIVER, 0).unwrap();
    pci.device(&DRIVER, 0).unwrap();
    pci.config_read(&DRIVER, DISK.into(), 0x40, 4).unwrap();
    assert!(bus.writes.borrow().is_empty());
}

#[test]
fn ranges_are_measured_and_left_as_they_were() {
    let (bus, machine) = machine();
    let before = bus.functions.borrow()[&DISK].registers;
    let mut pci = server(&bus, &machine);
    let bars: Vec<_> = (0..6).map(|bar| pci.bar(&DRIVER, DISK.into(), bar).unwrap()).collect();
    let shown: Vec<_> = bars.iter().map(|bar| (bar.base, bar.size, bar.ports)).collect();
    let none = (0, 0, false);
    assert_eq!(
        shown,
        [(0xc000, 0x80, true), (0xfebd_5000, 0x1000, false), none, none, (0xfe00_0000, 0x4000, false), none]
    );
    assert_eq!(bus.functions.borrow()[&DISK].registers, before);
    assert_eq!(pci.bar(&DRIVER, DISK.into(), 6), Err(IoError::InvalidInput));
    let others = bus.writes.borrow().iter().any(|write| write.0 != DISK);
    assert!(!others, "only the driver's own device is touched");
}

#[test]
fn pages_are_handed_out_but_for_the_interrupt_table() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 4, 3), Ok(Cap(0xfe003)));
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 4, 3), Ok(Cap(0xfe003)));
    assert_eq!(*machine.frames.borrow(), [0xfe00_3000], "the same page is the same frame");
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 4, 4), Err(IoError::InvalidInput));
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 0, 0), Err(IoError::InvalidInput));
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 2, 0), Err(IoError::InvalidInput));
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 1, 0), Err(IoError::PermissionDenied));
}

#[test]
fn a_page_with_two_devices_is_nobodys() {
    let (bus, machine) = machine();
    bus.functions.borrow_mut().get_mut(&(3 << 3)).unwrap().set(0x10, 0xfe00_0000);
    let mut pci = server(&bus, &machine);
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 4, 0), Err(IoError::Unsupported));
    assert_eq!(machine.warnings.borrow().len(), 1);
}

#[test]
fn interrupts_are_written_to_the_table_and_survive_the_driver() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    assert_eq!(pci.interrupt(&DRIVER, DISK.into(), 1), Ok(Cap(901)));
    let table = |offset: u64| machine.memory.borrow()[&(0xfebd_5010 + offset)];
    assert_eq!([table(0), table(4), table(8), table(12)], [0xfee0_0000, 0, 0x41, 0]);
    assert_eq!(pci.interrupt(&DRIVER, DISK.into(), 1), Ok(Cap(901)));
    assert_eq!(pci.interrupt(&DRIVER, DISK.into(), 0), Ok(Cap(902)));
    assert_eq!(pci.interrupt(&DRIVER, DISK.into(), 2), Err(IoError::InvalidInput));
    assert_eq!(pci.interrupt(&OTHER, 3 << 3, 0), Err(IoError::Unsupported));
    assert_eq!(machine.warnings.borrow().len(), 1);
}

#[test]
fn enabling_and_disabling_act_on_bus_master_and_interrupts() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    let state = || {
        let functions = bus.functions.borrow();
        (functions[&DISK].get(4) as u16, functions[&DISK].get(0x84) >> 16)
    };
    pci.enable(&DRIVER, DISK.into()).unwrap();
    assert_eq!(state(), (0x407, 0x8001));
    pci.disable(&Sender { badge: badge::LIFECYCLE | 3 }, DISK.into()).unwrap();
    assert_eq!(state(), (0x403, 0x0001));
    pci.enable(&DRIVER, DISK.into()).unwrap();
    pci.disable(&DRIVER, DISK.into()).unwrap();
    assert_eq!(state(), (0x403, 0x0001));
}

#[test]
fn the_devices_of_a_driver_that_is_gone_are_silenced() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    pci.enable(&DRIVER, DISK.into()).unwrap();
    let silent = || bus.functions.borrow()[&DISK].get(4) & 4 == 0 && bus.functions.borrow()[&DISK].get(0x84) >> 31 == 0;
    let registry = Sender { badge: badge::LIFECYCLE };
    assert_eq!(pci.client_gone(&DRIVER, 8), Err(IoError::PermissionDenied));
    assert_eq!(pci.client_gone(&registry, 0), Err(IoError::PermissionDenied));
    assert_eq!(pci.client_gone(&registry, 9), Ok(()));
    assert!(!silent());
    assert_eq!(pci.client_gone(&registry, 8), Ok(()));
    assert!(silent());
}

#[test]
fn what_the_service_keeps_to_itself_cannot_be_written() {
    let (bus, machine) = machine();
    let mut pci = server(&bus, &machine);
    for (offset, width) in [
        (0x04, 2),
        (0x04, 4),
        (0x10, 4),
        (0x24, 4),
        (0x30, 4),
        (0x3c, 4),
        (0x84, 4),
        (0x86, 2),
        (0x88, 1),
        (0x8c, 4),
        (0x40, 4),
        (0x50, 4),
    ] {
        let answer = pci.config_write(&DRIVER, DISK.into(), offset, width, 0);
        assert_eq!(answer, Err(IoError::PermissionDenied), "{offset:#x}");
    }
    for (offset, width) in [(0x06, 2), (0x0c, 1), (0x0d, 1), (0x3c, 1), (0x54, 4), (0x90, 4), (0xff, 1)] {
        pci.config_write(&DRIVER, DISK.into(), offset, width, 0x12).unwrap();
    }
    for (offset, width) in [(0x100, 1), (1, 2), (0x42, 4), (0x40, 3), (0x40, 0), (u64::MAX, 1), (0, 8)] {
        assert_eq!(pci.config_read(&DRIVER, DISK.into(), offset, width), Err(IoError::InvalidInput));
        assert_eq!(pci.config_write(&DRIVER, DISK.into(), offset, width, 0), Err(IoError::InvalidInput));
    }
    assert_eq!(pci.config_read(&DRIVER, DISK.into(), 2, 2), Ok(0x1042));
    assert_eq!(pci.config_read(&DRIVER, DISK.into(), 3, 1), Ok(0x10));
}

#[test]
fn a_range_without_a_place_gets_one_that_collides_with_nothing() {
    let (bus, machine) = machine();
    {
        let mut functions = bus.functions.borrow_mut();
        let disk = functions.get_mut(&DISK).unwrap();
        disk.set(0x20, 0xc);
        disk.registers[4] = 0;
        // Its neighbour sits at the window's upper end.
        functions.get_mut(&(3 << 3)).unwrap().set(0x10, 0xfdfe_0000);
    }
    let mut pci = server(&bus, &machine);
    let bar = pci.bar(&DRIVER, DISK.into(), 4).unwrap();
    assert_eq!((bar.base, bar.size), (0xfdfd_c000, 0x4000));
    assert_eq!(bus.functions.borrow()[&DISK].get(0x20), 0xfdfd_c00c);
    assert_eq!(pci.bar_page(&DRIVER, DISK.into(), 4, 0), Ok(Cap(0xfdfdc)));
    assert_eq!(bus.functions.borrow()[&DISK].get(4) & 2, 2, "it listens now");
}

#[test]
fn functions_and_bridges_are_followed_once() {
    let (bus, _) = machine();
    let mut bridge = MockFunction::new(0x1b36, 0x000c);
    bridge.registers[0x0e] = 0x81;
    bridge.registers[0x19] = 5;
    let mut unset = MockFunction::new(0x1b36, 0x000c);
    unset.registers[0x0e] = 1;
    let mut back = bridge.clone();
    back.registers[0x0e] = 1;
    {
        let mut functions = bus.functions.borrow_mut();
        functions.insert(4 << 3, bridge);
        functions.insert(4 << 3 | 6, unset);
        functions.insert(5 << 8, MockFunction::new(1, 2));
        functions.insert(5 << 8 | 1, MockFunction::new(1, 3)); // no second function: the first does not say so
        functions.insert(5 << 8 | 1 << 3, back);
    }
    let found: Vec<_> = scan(&mut bus.clone()).iter().map(|function| function.address).collect();
    assert_eq!(found, [0, DISK, 3 << 3, 4 << 3, 4 << 3 | 6, 5 << 8, 5 << 8 | 1 << 3]);
}

#[test]
fn an_empty_bus_is_empty() {
    assert!(scan(&mut MockBus::default()).is_empty());
    assert_eq!(selector(0x0110, 0x3e), 0x8001_103c);
}

proptest! {
    #[test]
    fn whatever_a_device_shows_is_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 256),
        masks in any::<[u32; 6]>(),
        bar in 0u64..8,
        page in any::<u64>(),
        entry in 0u64..2048,
    ) {
        let (bus, machine) = machine();
        {
            let mut functions = bus.functions.borrow_mut();
            let disk = functions.get_mut(&DISK).unwrap();
            disk.registers.copy_from_slice(&bytes);
            disk.set(0, 0x1042_1af4);
            disk.masks = masks;
        }
        let mut pci = server(&bus, &machine);
        let _ = pci.device(&DRIVER, 0);
        let _ = pci.bar(&DRIVER, DISK.into(), bar);
        let _ = pci.bar_page(&DRIVER, DISK.into(), bar, page);
        let _ = pci.bar_page(&DRIVER, DISK.into(), bar, 0);
        let _ = pci.interrupt(&DRIVER, DISK.into(), entry);
        let _ = pci.enable(&DRIVER, DISK.into());
        let _ = pci.disable(&DRIVER, DISK.into());
    }
}

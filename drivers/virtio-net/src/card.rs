//! The card: a virtio device with a queue for each direction (virtio 5.1).

use motte_interfaces::netdev::{Direction, NetdevInfo};
use motte_virtio::{Device, Doorbell, EVENT_INDEX, Memory, Registers, StartError};

use crate::packets::{PAGES, Packets};

// Network configuration (virtio 5.1.4).
const MAC: usize = 0;
const STATUS: usize = 6;
/// Bytes of the network configuration, up to the status.
pub const CONFIGURATION_BYTES: u64 = 8;

const STATUS_LINK_UP: u16 = 1;

/// The device fills in checksums.
const F_CSUM: u64 = 1 << 0;
/// The device may hand over packets whose checksum it has checked, or that have none because they come from this machine.
const F_GUEST_CSUM: u64 = 1 << 1;
/// The device has an address.
const F_MAC: u64 = 1 << 5;
/// The device knows whether its link is up.
const F_STATUS: u64 = 1 << 16;
const WANTED: u64 = F_CSUM | F_GUEST_CSUM | F_MAC | F_STATUS;

/// Ethernet's. A device that offers another size (F_MTU) is used with this one, which every device must take.
pub const MTU: u16 = 1500;

/// The address of a card that has none: administered locally (IEEE 802).
const OWN_MAC: u64 = 0x0200_0000_0001;

/// The entry of the MSI-X table that both queues are signalled by.
pub const QUEUE_VECTOR: u16 = 0;
/// The entry of the MSI-X table that tells of changes of the link.
pub const CONFIGURATION_VECTOR: u16 = 1;

/// One direction's queue.
#[derive(Debug)]
struct Side<M> {
    packets: Packets<M>,
    doorbell: Doorbell,
}

/// A card. Its queues are there while it runs.
#[derive(Debug)]
pub struct Card<M> {
    device: Device<M>,
    /// The queues' memory while there are none: to receive, to transmit.
    memory: [Option<M>; 2],
    physical: [[u64; PAGES]; 2],
    sides: Option<[Side<M>; 2]>,
    features: u64,
    mac: u64,
    depth: u16,
}

impl<M: Memory> Card<M> {
    /// The card behind `registers`, with memory for its queues at `physical`. Not started yet.
    pub fn new(registers: Registers<M>, memory: [M; 2], physical: [[u64; PAGES]; 2]) -> Self {
        let device = Device::new(registers);
        Self { device, memory: memory.map(Some), physical, sides: None, features: 0, mac: OWN_MAC, depth: 0 }
    }

    /// Stops the device: afterwards it uses no memory of this driver or its clients, and nothing is in flight. `pause` lets a
    /// little time pass.
    pub fn reset(&mut self, pause: impl FnMut()) -> Result<(), StartError> {
        self.give_up();
        self.device.reset(pause)
    }

    /// Does without the queues, whatever the device does with them: nothing else uses their memory.
    pub fn give_up(&mut self) {
        if let Some(sides) = self.sides.take() {
            self.memory = sides.map(|side| Some(side.packets.into_memory()));
        }
    }

    /// Resets the device and starts it, as often as need be.
    pub fn start(&mut self, pause: impl FnMut()) -> Result<(), StartError> {
        self.reset(pause)?;
        self.features = self.device.negotiate(WANTED)?;
        self.device.set_configuration_vector(CONFIGURATION_VECTOR)?;
        let receive = self.set_up(Direction::Receive)?;
        let transmit = match self.set_up(Direction::Transmit) {
            Ok(side) => side,
            Err(error) => {
                self.memory[Direction::Receive as usize] = Some(receive.packets.into_memory());
                return Err(error);
            }
        };
        self.depth = receive.packets.capacity().min(transmit.packets.capacity());
        self.sides = Some([receive, transmit]);
        if self.features & F_MAC != 0 {
            self.mac = self.device.read_configuration(|device| {
                (0..6).fold(0, |mac, index| mac << 8 | u64::from(device.read_u8(MAC + index)))
            });
        }
        self.device.run();
        Ok(())
    }

    fn set_up(&mut self, direction: Direction) -> Result<Side<M>, StartError> {
        let number = direction as usize;
        let queue = number as u16;
        let size = Packets::<M>::size_for(self.device.queue_size(queue)).ok_or(StartError::Queue)?;
        let physical = self.physical[number];
        let memory = self.memory[number].take().ok_or(StartError::Queue)?;
        let (events, device_writes) = (self.features & EVENT_INDEX != 0, direction == Direction::Receive);
        let packets = Packets::new(memory, physical, size, events, device_writes);
        match self.device.set_up_queue(queue, size, Packets::<M>::addresses(physical), QUEUE_VECTOR) {
            Ok(doorbell) => Ok(Side { packets, doorbell }),
            Err(error) => {
                self.memory[number] = Some(packets.into_memory());
                Err(error)
            }
        }
    }

    /// What is known of it.
    pub fn info(&self) -> NetdevInfo {
        NetdevInfo {
            mac: self.mac,
            mtu: MTU,
            link_up: self.link_up(),
            depth: self.depth,
            transmit_checksums: self.fills_checksums(),
            receive_checksums: self.checks_checksums(),
        }
    }

    /// Whether it fills in checksums.
    pub fn fills_checksums(&self) -> bool {
        self.features & F_CSUM != 0
    }

    /// Whether it says anything of checksums.
    pub fn checks_checksums(&self) -> bool {
        self.features & F_GUEST_CSUM != 0
    }

    /// Whether its link is up, as far as it knows.
    pub fn link_up(&self) -> bool {
        self.features & F_STATUS == 0
            || self.device.read_configuration(|device| device.read_u16(STATUS)) & STATUS_LINK_UP != 0
    }

    /// A direction's queue, while the device runs.
    pub fn packets(&mut self, direction: Direction) -> Option<&mut Packets<M>> {
        self.sides.as_mut().map(|sides| &mut sides[direction as usize].packets)
    }

    /// Shows the device what was submitted, and notifies it where it must be.
    pub fn publish(&mut self) {
        for side in self.sides.iter_mut().flatten() {
            if side.packets.publish() {
                self.device.notify(side.doorbell);
            }
        }
    }

    /// Whether the device says of itself that only a reset helps.
    pub fn needs_reset(&self) -> bool {
        self.device.needs_reset()
    }
}

//! The kernel, as the stack needs it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Deref;

use motte::abi::{Error, ObjectType, Rights};
use motte::interfaces::error::IoError;
use motte::interfaces::net_rules::Rules;
use motte::interfaces::{Cap, badge};
use motte::kernel::{CacheMode, CapSlot, Frame, Notification};
use motte::memory::Mapping;
use motte::pages::SharedWords;
use motte::time::monotonic_ns;
use motte::{slots, start};
use motte_net::session::Machine;
use motte_netdev::{Adapter, Attachment, Buffer, Driver, Memory, PacketMemory};
use motte_ring::AtomicU64;

/// A page that a client lends.
pub struct LentWords {
    words: Option<SharedWords>,
    cap: Cap,
}

impl Deref for LentWords {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        self.words.as_deref().unwrap_or_default()
    }
}

impl Drop for LentWords {
    fn drop(&mut self) {
        // Unmapped first.
        self.words = None;
        slots::delete(CapSlot(self.cap.0));
    }
}

/// Pages that a client lends.
pub struct LentBytes(Option<Mapping>);

impl motte_ring::Buffer for LentBytes {
    fn read(&self, at: usize, into: &mut [u8]) {
        if let Some(mapping) = &self.0 {
            mapping.read(at, into);
        }
    }

    fn write(&self, at: usize, from: &[u8]) {
        if let Some(mapping) = &self.0 {
            mapping.write(at, from);
        }
    }
}

impl Drop for LentBytes {
    fn drop(&mut self) {
        let Some(mapping) = self.0.take() else { return };
        let frames = mapping.frames().to_vec();
        drop(mapping);
        frames.into_iter().for_each(|frame| slots::delete(frame.0));
    }
}

/// Clients' memory and notifications, and what they may do: `NET_BADGE=RULE,…` in the environment for a component, `NET_PROGRAMS` for
/// programs. Who is not named there may do nothing.
pub struct Clients {
    doorbell: Cap,
    random: u64,
    components: BTreeMap<u64, Rules>,
    programs: Rules,
}

/// Prefix of the environment's names that say what a component may do.
const RULES: &str = "NET_";

impl Clients {
    /// Clients signal `news`.
    pub fn new(news: Notification) -> Result<Self, Error> {
        let doorbell = slots::allocate()?;
        news.0.copy(doorbell, Rights::WRITE)?;
        let generation = start::header().generation;
        let (mut components, mut programs) = (BTreeMap::new(), Rules::default());
        for (name, value) in motte::env::vars() {
            let Some(whose) = name.strip_prefix(RULES) else { continue };
            // The manifest's compiler has refused what makes no sense.
            let (rules, _) = Rules::parse(&value);
            match whose.parse() {
                Ok(client) => drop(components.insert(client, rules)),
                Err(_) if whose == "PROGRAMS" => programs = rules,
                Err(_) => {}
            }
        }
        let random = monotonic_ns() ^ generation.rotate_left(48) | 1;
        Ok(Self { doorbell: Cap(doorbell.0), random, components, programs })
    }

    /// A number that differs from start to start.
    pub fn seed(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_add(monotonic_ns())
    }
}

impl Machine for Clients {
    type Words = LentWords;
    type Bytes = LentBytes;

    fn is_alive(&self, words: &LentWords) -> bool {
        // A capability goes with the memory that it is to.
        CapSlot(words.cap.0).identify().is_ok_and(|(kind, ..)| kind != ObjectType::Null)
    }

    fn map_words(&mut self, page: Cap) -> Result<LentWords, IoError> {
        match SharedWords::of(Frame::at(page.0)) {
            Ok(words) => Ok(LentWords { words: Some(words), cap: page }),
            Err(_) => {
                self.release(page);
                Err(IoError::InvalidInput)
            }
        }
    }

    fn map_bytes(&mut self, pages: Vec<Cap>) -> Result<LentBytes, IoError> {
        let frames = pages.iter().map(|page| Frame::at(page.0)).collect();
        match Mapping::of(frames, Rights::READ | Rights::WRITE, CacheMode::Normal) {
            Ok(mapping) => Ok(LentBytes(Some(mapping))),
            Err(_) => {
                pages.into_iter().for_each(|page| self.release(page));
                Err(IoError::InvalidInput)
            }
        }
    }

    fn release(&mut self, cap: Cap) {
        slots::delete(CapSlot(cap.0));
    }

    fn signal(&self, notification: Cap) {
        let _ = Notification::at(notification.0).signal();
    }

    fn doorbell(&self) -> Cap {
        self.doorbell
    }

    fn rules(&mut self, client: u64) -> Rules {
        if client >= badge::FIRST_PROGRAM {
            return self.programs.clone();
        }
        self.components.get(&client).cloned().unwrap_or_default()
    }

    fn random(&mut self) -> u64 {
        self.seed()
    }
}

/// The driver, where the manifest has one.
pub enum MaybeDriver {
    /// It has.
    Driver(Adapter),
    /// It has none.
    None,
}

impl Driver for MaybeDriver {
    type Words = SharedWords;

    fn attached(&mut self) -> Option<Attachment<SharedWords>> {
        match self {
            Self::Driver(adapter) => adapter.attached(),
            Self::None => None,
        }
    }

    fn link_up(&self) -> bool {
        match self {
            Self::Driver(adapter) => adapter.link_up(),
            Self::None => false,
        }
    }

    fn ring(&mut self) {
        if let Self::Driver(adapter) = self {
            adapter.ring();
        }
    }

    fn renew(&mut self) {
        if let Self::Driver(adapter) = self {
            adapter.renew();
        }
    }
}

/// Packet memory, where there is a driver.
pub enum Packets {
    /// There is.
    Memory(PacketMemory),
    /// There is none, nor a buffer.
    None,
}

impl Memory for Packets {
    fn with<R>(&self, buffer: &mut Buffer, work: impl FnOnce(&mut [u8]) -> R) -> R {
        match self {
            Self::Memory(memory) => memory.with(buffer, work),
            Self::None => work(&mut []),
        }
    }
}

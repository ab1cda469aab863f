//! The driver of this machine. A thread of its own waits for it, so that the stack never does: it attaches, hears of the link, and attaches anew
//! when the driver was restarted.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use motte::abi::{Error, Rights};
use motte::interfaces::Cap;
use motte::interfaces::error::IoError;
use motte::interfaces::netdev::{Direction, NetdevClient};
use motte::kernel::{CapSlot, Notification};
use motte::memory::Mapping;
use motte::pages::SharedWords;
use motte::service::Connection;
use motte::sync::Mutex;
use motte::{slots, thread};

use crate::packets::PacketMemory;
use crate::port::{Attachment, Driver, Rings};

/// How long to wait after a failure before the driver is tried again.
const PAUSE: Duration = Duration::from_millis(50);

struct Fresh {
    attachment: Attachment<SharedWords>,
    doorbell: CapSlot,
}

struct Shared {
    service: NetdevClient<Connection>,
    memory: &'static Mapping,
    /// The stack's event, for this thread and for the driver.
    wake: Notification,
    fresh: Mutex<Option<Fresh>>,
    link_up: AtomicBool,
}

/// The way to the driver.
#[derive(Debug)]
pub struct Adapter {
    shared: Arc<Shared>,
    doorbell: Option<CapSlot>,
}

impl Adapter {
    /// The driver behind `service`, which is lent `memory`. `wake` is signalled by the driver when there is something in the rings, and when
    /// there is an attachment, or news of the link: the stack's event.
    pub fn start(service: Connection, memory: &PacketMemory, wake: Notification) -> Result<Self, Error> {
        let to_driver = slots::allocate()?;
        wake.0.copy(to_driver, Rights::WRITE)?;
        let shared = Arc::new(Shared {
            service: NetdevClient::new(service.patient()),
            memory: memory.mapping(),
            wake: Notification(to_driver),
            fresh: Mutex::new(None),
            link_up: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        thread::try_spawn(move || theirs.run()).map_err(|_| Error::OutOfMemory)?;
        Ok(Self { shared, doorbell: None })
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("link_up", &self.link_up).finish_non_exhaustive()
    }
}

impl Shared {
    /// The thread.
    fn run(&self) {
        let mut reported = None;
        loop {
            match self.attach() {
                Ok(fresh) => {
                    reported = None;
                    self.link_up.store(fresh.attachment.info.link_up, Ordering::Relaxed);
                    // One that the stack never saw is of a driver that is gone.
                    if let Some(unseen) = self.fresh.lock().replace(fresh) {
                        slots::delete(unseen.doorbell);
                    }
                    self.tell();
                    self.watch();
                }
                Err(IoError::NotFound) => {
                    log::info!("the machine has no network card that can be driven");
                    return;
                }
                Err(error) => {
                    if reported.replace(error) != Some(error) {
                        log::warn!("the network driver cannot be attached to: {error}");
                    }
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn tell(&self) {
        let _ = self.wake.signal();
    }

    /// Lends everything to the driver that runs now. Waits for one, if it is being restarted.
    fn attach(&self) -> Result<Fresh, IoError> {
        let info = self.service.info()?;
        for (index, frame) in self.memory.frames().iter().enumerate() {
            self.service.attach_memory(index as u64, Cap(frame.0.0))?;
        }
        let (receive, doorbell) = self.attach_rings(Direction::Receive)?;
        // The same capability again.
        slots::delete(doorbell);
        let (transmit, doorbell) = self.attach_rings(Direction::Transmit)?;
        Ok(Fresh { attachment: Attachment { info, receive, transmit }, doorbell })
    }

    fn attach_rings(&self, direction: Direction) -> Result<(Rings<SharedWords>, CapSlot), IoError> {
        let page = || SharedWords::new().map_err(|_| IoError::OutOfMemory);
        let (requests, completions) = (page()?, page()?);
        let [first, second] = [&requests, &completions].map(|page| Cap(page.frame().0.0));
        let doorbell = self.service.attach_rings(direction, first, second, Cap(self.wake.0.0))?;
        let rings = Rings::new(requests, completions).map_err(|_| IoError::InvalidData)?;
        Ok((rings, CapSlot(doorbell.0)))
    }

    /// Follows the link until the driver is gone, or has detached.
    fn watch(&self) {
        while let Ok(up) = self.service.watch(self.link_up.load(Ordering::Relaxed)) {
            self.link_up.store(up, Ordering::Relaxed);
            self.tell();
        }
    }
}

impl Driver for Adapter {
    type Words = SharedWords;

    fn attached(&mut self) -> Option<Attachment<SharedWords>> {
        let fresh = self.shared.fresh.lock().take()?;
        if let Some(former) = self.doorbell.replace(fresh.doorbell) {
            slots::delete(former);
        }
        Some(fresh.attachment)
    }

    fn link_up(&self) -> bool {
        self.shared.link_up.load(Ordering::Relaxed)
    }

    fn ring(&mut self) {
        // A driver's end takes its notification, and so this capability, with it.
        if let Some(doorbell) = self.doorbell {
            let _ = Notification(doorbell).signal();
        }
    }

    fn renew(&mut self) {
        log::error!("the network driver spoilt its rings; it is given new ones");
        // That ends the thread's watch.
        let _ = self.shared.service.detach();
    }
}

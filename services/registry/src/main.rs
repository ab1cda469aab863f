//! The program `registry`.
#![no_std]
#![no_main]

extern crate alloc;

mod reports;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte::abi::Rights;
use motte::interfaces::registry::{Registry, RegistryError, ServiceSet, dispatch_registry};
use motte::interfaces::{Cap, Outcome, Reader, ReplyToken, Responder, Sender, Writer, badge};
use motte::kept::{self, Snapshots};
use motte::kernel::CapSlot;
use motte::memory::Mapping;
use motte::server::{Handler, Replies, Server};
use motte::{abi, slots, start};
use motte_registry::Directory;

motte::entry!(main);

struct Service {
    directory: Directory,
    replies: Replies,
    /// Slot of the registry's own endpoint, from which programs' capabilities are made.
    own: u64,
    reports: reports::Reports,
    kept: Option<Snapshots<Mapping>>,
}

impl Service {
    /// Notes for a successor what programs may use.
    fn keep(&mut self) {
        let grants = self.directory.grants();
        if !self.kept.as_mut().is_none_or(|kept| kept.save(&grants)) {
            motte::log::warn!("there is no room to note what programs may use");
        }
    }

    /// A capability to send to a client, badged with its own badge. It leaves this table with the answer.
    fn mint(&self, endpoint: u64, badge: u64) -> Result<Cap, RegistryError> {
        let slot = slots::allocate().map_err(|_| RegistryError::OutOfMemory)?;
        if CapSlot(endpoint).mint(slot, Rights::SEND | Rights::GRANT, badge).is_err() {
            slots::free(slot);
            return Err(RegistryError::OutOfMemory);
        }
        self.replies.delete_after_reply(Cap(slot.0));
        Ok(Cap(slot.0))
    }
}

impl Registry for Service {
    fn lookup(&mut self, sender: &Sender, name: &str) -> Result<Cap, RegistryError> {
        let endpoint = self.directory.lookup(sender.badge, name)?;
        self.mint(endpoint, sender.badge)
    }

    fn services(&mut self, _: &Sender, names: Vec<String>) -> Result<ServiceSet, RegistryError> {
        self.directory.services(&names)
    }

    fn grant(&mut self, sender: &Sender, client: u64, services: ServiceSet) -> Result<Cap, RegistryError> {
        self.directory.grant(sender.badge, client, services)?;
        self.keep();
        self.mint(self.own, client)
    }

    fn client_gone(&mut self, sender: &Sender, client: u64, responder: Responder<(), RegistryError>) {
        let told = self.directory.client_gone(sender.badge, client);
        if client >= badge::FIRST_PROGRAM {
            self.keep();
        }
        match told {
            Ok(services) if services.is_empty() => responder.answer(&mut self.replies, Ok(())),
            Ok(services) => self.reports.tell(client, services, responder),
            Err(error) => responder.answer(&mut self.replies, Err(error)),
        }
    }
}

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        dispatch_registry(self, sender, label, request, reply, defer)
    }
}

fn main() -> Result<(), String> {
    // The log service is found through the registry: here everything goes to the kernel's log.
    motte::use_kernel_log();
    run().map_err(|error| error.to_string())
}

fn run() -> Result<(), abi::Error> {
    let mut server = Server::for_service("registry")?;
    let services = start::capabilities("service:").map(|(name, slot)| (name, slot.0));
    let environment = start::info().into_iter().flat_map(|info| info.environment());
    let mut directory = Directory::new(services, environment.filter_map(|pair| pair.split_once('=')));
    let kept = kept::map()?;
    let is_successor = kept.as_ref().is_some_and(|kept| kept.from.is_some());
    let kept = kept.map(|kept| Snapshots::new(kept.memory));
    if is_successor {
        let grants = kept.as_ref().and_then(Snapshots::load).unwrap_or_default();
        let count = directory.take_over(&grants);
        motte::log::info!("{count} programs keep what they may use");
    }
    let reports = reports::Reports::new(server.tasks(), server.replies())?;
    let own = start::capability("service:registry").map_or(0, |slot| slot.0);
    let mut service = Service { directory, replies: server.replies(), own, reports, kept };
    Err(server.run(&mut service))
}

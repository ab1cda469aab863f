//! Loading programs and taking them apart: the machine's side of the process server.
//!
//! Every capability by which a program is held lies in a slot that outlives this server ([`KeptSlots`]), and the snapshot in kept memory says
//! which is which. A new server takes the programs over from there, and ends those of which something is not as it should be.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use motte::abi::syscall::ThreadState;
use motte::abi::{Error, ObjectType, Rights};
use motte::boot_files::boot_image;
use motte::deadline::{Deadline, end_call};
use motte::interfaces::badge::FIRST_PROGRAM;
use motte::interfaces::error::IoError;
use motte::interfaces::registry::{RegistryClient, ServiceSet};
use motte::interfaces::stream::StreamClient;
use motte::interfaces::strings::{Pieces, Strings, put_number, put_word};
use motte::interfaces::{Cap, badge};
use motte::kept::Snapshots;
use motte::kernel::{CapSlot, Endpoint, Frame, Notification, SchedControl, Untyped};
use motte::last_words::{self, LastWords};
use motte::memory::Mapping;
use motte::service::Connection;
use motte::start_info::Header;
use motte::{log, slots};
use motte_loader::system::FAULT_BADGE;
use motte_loader::{Grant, LoadError, Loaded, Places, Program, Source, Stack, View, prepare};
use motte_process::pool::{BlockId, Pool};
use motte_process::request::Request;
use motte_process::{Ending, Machine, Started, is_own_mistake, memory_change};

use crate::images::{Held, Images};
use crate::memory::KeptSlots;

/// The memory limit of a program that asks for none, where there is plenty.
const DEFAULT_LIMIT: u64 = 32 << 20;
/// The least memory that a program can be given.
const LEAST_LIMIT: u64 = 256 << 10;
/// Stack of a program's first thread.
const STACK: u64 = 256 << 10;
/// Slots of a program's capability table.
const SLOTS: u64 = 256;
/// Priority of programs: below every service.
const PRIORITY: u64 = 90;
/// Round-robin slice of programs.
const SLICE_NS: u64 = 10_000_000;
/// Scheduling contexts for a program's further threads.
const FURTHER_CONTEXTS: u32 = 3;
/// Slots that this server keeps for a program, in a row: its places, the memory for its stack, its streams.
const SLOTS_KEPT: usize = STREAMS as usize + 3;
/// The slot for the memory of the stack among them.
const STACK_MEMORY: u64 = Places::COUNT;
/// The first of the slots for the streams among them.
const STREAMS: u64 = STACK_MEMORY + 1;
/// The slot for the first thread among them.
const THREAD: u64 = 2;
/// What every program may use whose parent does not say otherwise.
const SERVICES: &[&str] = &["fs", "console", "pipe", "process", "log", "clock", "supervisor", "pci", "net"];

/// What is kept of a program that runs.
struct Running {
    places: Places,
    /// Message buffer and last words, mapped; not of a program that a predecessor started.
    view: Option<View>,
    stack: Option<Stack>,
    block: BlockId,
    untyped: Untyped,
    services: ServiceSet,
    /// Held so that its shared pages stay.
    image: Rc<Held>,
    deadline: Deadline,
}

impl Running {
    fn streams(&self) -> [Cap; 3] {
        [0, 1, 2].map(|stream| Cap(self.places.table.0.0 + STREAMS + stream))
    }
}

/// The slots for the streams of the program whose first thread is in this one.
pub fn streams_of(thread: u64) -> Range<u64> {
    let first = thread - THREAD;
    first + STREAMS..first + SLOTS_KEPT as u64
}

/// All programs that run, and what they are made of.
pub struct Programs {
    endpoint: Endpoint,
    time_control: SchedControl,
    clock: Frame,
    registry: RegistryClient<Connection>,
    kept: KeptSlots,
    snapshots: Snapshots<Mapping>,
    pool: Pool<Untyped>,
    running: BTreeMap<u32, Running>,
    default_services: Option<ServiceSet>,
    images: Images,
}

impl Programs {
    /// The machine of the server on `endpoint`, with no programs yet.
    pub fn new(endpoint: Endpoint, snapshots: Snapshots<Mapping>) -> Result<Self, Error> {
        let capability = |name| motte::start::capability(name).ok_or(Error::InvalidCapability);
        Ok(Self {
            endpoint,
            time_control: SchedControl(capability("time-control")?),
            clock: Frame(capability("clock")?),
            registry: RegistryClient::new(Connection::from(capability("registry")?)),
            kept: KeptSlots::new(),
            snapshots,
            pool: Pool::default(),
            running: BTreeMap::new(),
            default_services: None,
            images: Images::default(),
        })
    }

    /// What a predecessor noted last.
    pub fn noted(&self) -> Option<Vec<u8>> {
        self.snapshots.load()
    }

    /// Begins with all memory free; what a predecessor had is gone.
    pub fn begin(&mut self) {
        self.kept = KeptSlots::new();
        self.kept.sweep(close);
        self.pool = Pool::default();
        for range in KeptSlots::ranges() {
            let _ = range.0.revoke();
            let (_, size, _) = range.info().unwrap_or((0, 0, 0));
            self.pool.add(&mut self.kept, range, size);
        }
    }

    /// The slots that are kept of a program.
    pub fn places(&self, id: u32) -> Option<&Places> {
        self.running.get(&id).map(|running| &running.places)
    }

    /// Looks at what the programs wait for, and ends calls that are never answered; unless `may_be_late` says that they still may be.
    pub fn end_overdue_calls(&mut self, may_be_late: impl FnOnce() -> bool) {
        let mut overdue = Vec::new();
        for (id, running) in &mut self.running {
            if running.deadline.look(running.places.thread) {
                running.deadline = Deadline::default();
                overdue.push((id, running.places.thread));
            }
        }
        if overdue.is_empty() || may_be_late() {
            return;
        }
        for (id, thread) in overdue {
            log::warn!("program {id} waited in vain for an answer: its call ends");
            end_call(thread);
        }
    }

    /// The last words of a program that runs, if it left any.
    pub fn last_words(&self, id: u32) -> Option<LastWords> {
        let running = self.running.get(&id)?;
        match &running.view {
            Some(view) => last_words::read(|offset, bytes| view.read_message_buffer(offset, bytes)),
            None => running.places.last_words(),
        }
    }

    /// Maps more of a program's stack if that is what it needs to go on from a page fault at `address`. Whether it was.
    pub fn grow_stack(&mut self, id: u32, address: u64) -> bool {
        let Some(running) = self.running.get_mut(&id) else { return false };
        let Some(stack) = &mut running.stack else { return false };
        stack.grow(&running.places, address).unwrap_or(false)
    }

    /// Bytes of its stack.
    pub const fn stack(&self) -> u64 {
        STACK
    }

    /// The symbol table of a program, from the boot image.
    pub fn symbols(name: &str) -> Option<&'static [u8]> {
        let image = boot_image()?;
        Some(image.file(&alloc::format!("symbols/{name}"))?.data)
    }

    /// The line table of a program, from the boot image.
    pub fn lines(name: &str) -> Option<&'static [u8]> {
        let image = boot_image()?;
        Some(image.file(&alloc::format!("lines/{name}"))?.data)
    }

    /// The limit for a program that asks for `wanted`.
    fn limit(&self, wanted: u64) -> u64 {
        match wanted {
            0 => DEFAULT_LIMIT.min((self.pool.free_bytes() / 8).max(LEAST_LIMIT)),
            wanted => wanted.max(LEAST_LIMIT),
        }
    }

    /// What a program may use whose parent asks for `wanted`, or does not say: what the parent may use itself, if it is a program.
    fn services(&mut self, parent: u64, wanted: Option<Strings<'_>>) -> Result<ServiceSet, IoError> {
        let named = |names: Vec<String>| self.registry.services(&names).map_err(|_| IoError::PermissionDenied);
        let parent = u32::try_from(parent.wrapping_sub(FIRST_PROGRAM)).ok();
        let allowed = parent.and_then(|id| self.running.get(&id)).map(|running| running.services);
        match (wanted, allowed) {
            // A program passes on what it has, and no more.
            (Some(wanted), allowed) => {
                let wanted = named(wanted.iter().map(ToString::to_string).collect())?;
                Ok(wanted.intersection(allowed.unwrap_or(ServiceSet::ALL)))
            }
            (None, Some(allowed)) => Ok(allowed),
            (None, None) => match self.default_services {
                Some(services) => Ok(services),
                None => {
                    // A system may do without some.
                    let known = SERVICES.iter().filter_map(|name| named(alloc::vec![name.to_string()]).ok());
                    let services = known.fold(ServiceSet::default(), ServiceSet::union);
                    Ok(*self.default_services.insert(services))
                }
            },
        }
    }

    fn load(&mut self, id: u32, parent: u64, request: &Request<'_>, streams: [Cap; 3]) -> Result<Started, IoError> {
        let image = self.images.get(request.path, &mut self.pool, &mut self.kept)?;
        let client = FIRST_PROGRAM + u64::from(id);
        let services = self.services(parent, request.services)?;
        let registry = self.registry.grant(client, services).map_err(|_| IoError::PermissionDenied)?;
        let limit = self.limit(request.memory_limit);
        let taken = self.images.take(limit, &mut self.pool, &mut self.kept);
        self.note_memory();
        let Some((block, untyped, size)) = taken else {
            slots::delete(CapSlot(registry.0));
            return Err(IoError::OutOfMemory);
        };
        let result = self.start_in(untyped, id, request, streams, registry, &image);
        slots::delete(CapSlot(registry.0));
        match result {
            Ok((places, Loaded { view, stack })) => {
                let view = Some(view);
                self.running.insert(
                    id,
                    Running { places, view, stack, block, untyped, services, image, deadline: Deadline::default() },
                );
                Ok(Started { memory_limit: size, started_ns: motte::time::monotonic_ns() })
            }
            Err(error) => {
                let _ = untyped.0.revoke();
                self.pool.give_back(block);
                Err(error)
            }
        }
    }

    /// Notes how the memory is cut, if that has changed: before anything is made of the pieces that somebody is told of.
    fn note_memory(&mut self) {
        if self.pool.take_changed() {
            let mut memory = Vec::new();
            self.put(&mut memory);
            // If there is no room, the next change is noted together with everything.
            self.snapshots.add(&memory_change(&memory));
        }
    }

    fn start_in(
        &self,
        untyped: Untyped,
        id: u32,
        request: &Request<'_>,
        streams: [Cap; 3],
        registry: Cap,
        image: &Held,
    ) -> Result<(Places, Loaded), IoError> {
        let image = image.image.as_ref().ok_or(IoError::NotExecutable)?;
        let first = self.kept.allocate(SLOTS_KEPT).ok_or(IoError::OutOfMemory)?;
        if !KeptSlots::are_empty(first.0 + STREAMS..first.0 + SLOTS_KEPT as u64) {
            // Its successor closes them.
            panic!("streams of a program that ended were not closed");
        }
        let places = Places::at(first.0);
        let send = Rights::SEND | Rights::GRANT;
        let [input, output, error] = streams;
        let grants = [("registry", registry), ("stdin", input), ("stdout", output), ("stderr", error)]
            .map(|(name, cap)| Grant::new(name, Source::Copy(CapSlot(cap.0), send)));
        let name = request.called.rsplit('/').next().unwrap_or_default();
        let program = Program {
            image,
            untyped,
            places,
            keep_table: false,
            stack_memory: Some(CapSlot(first.0 + STACK_MEMORY)),
            header: Header {
                badge: FIRST_PROGRAM + u64::from(id),
                generation: 1,
                slots: SLOTS,
                stack: STACK,
                priority: PRIORITY,
                ..Header::default()
            },
            name,
            directory: request.directory,
            arguments: request.arguments,
            environment: request.environment,
            grants: &grants,
            time_control: self.time_control,
            budget: (SLICE_NS, SLICE_NS),
            further_contexts: FURTHER_CONTEXTS,
            fault_endpoint: (self.endpoint, FAULT_BADGE | u64::from(id)),
            clock: self.clock,
        };
        match prepare(&program) {
            Ok(loaded) => {
                streams.into_iter().zip(first.0 + STREAMS..).for_each(|(stream, to)| keep_stream(stream, to));
                Ok((places, loaded))
            }
            Err(LoadError::Kernel(what, error)) if is_own_mistake(error) => {
                // Its successor begins with what there really is, and whoever asked asks it again.
                panic!("{what} of {}: {error}: what is known of slots or memory is wrong", request.path);
            }
            Err(error) => {
                log::warn!("{}: {error}", request.path);
                // Revoking the block empties the slots; they are given back here.
                let _ = untyped.0.revoke();
                self.kept.free(first, SLOTS_KEPT);
                Err(IoError::OutOfMemory)
            }
        }
    }

    /// Takes over a program that a predecessor described, if all of it is there.
    fn claim(&mut self, pieces: &mut Pieces<'_>) -> Result<Running, &'static str> {
        const CUT: &str = "its description is cut";
        let (block, image) = (pieces.number().ok_or(CUT)?, pieces.number().ok_or(CUT)?);
        let mut word = || pieces.word().ok_or(CUT);
        let (first, services) = (word()?, ServiceSet::from_words([word()?, word()?]));
        let (block, untyped) = self.pool.whole(block).ok_or("its memory is not known")?;
        let (image, image_untyped) = self.pool.whole(image).ok_or("the memory of its image is not known")?;
        let is_taken = |other: &Running| [block, image].contains(&other.block) || other.image.block == block;
        if image == block || self.running.values().any(is_taken) {
            return Err("its memory is another's too");
        }
        let places = [
            ObjectType::CapTable,
            ObjectType::AddressSpace,
            ObjectType::Thread,
            ObjectType::SchedContext,
            ObjectType::Frame,
            ObjectType::CapTable,
        ];
        for (ty, slot) in places.into_iter().zip(first..) {
            if !self.kept.claim(slot, ty) {
                return Err("something that it consists of is missing");
            }
        }
        for slot in first + STACK_MEMORY..first + SLOTS_KEPT as u64 {
            self.kept.claim_any(slot);
        }
        let places = Places::at(first);
        let stack = Stack::of_running(&places, Untyped::at(first + STACK_MEMORY), STACK);
        [block, image].into_iter().for_each(|block| self.pool.claim(block));
        let image = self.images.adopt(image, image_untyped);
        let (view, stack, deadline) = (None, Some(stack), Deadline::default());
        Ok(Running { places, view, stack, block, untyped, services, image, deadline })
    }
}

/// Closes an object that a capability stands for, and gives the capability up.
fn close(stream: Cap) {
    let _ = StreamClient::new(Connection::from(stream)).close(0);
    slots::delete(CapSlot(stream.0));
}

/// Moves a stream to where it outlives this server.
fn keep_stream(stream: Cap, to: u64) {
    if CapSlot::OWN_TABLE.move_to(stream.0, CapSlot::OWN_TABLE, to).is_ok() {
        slots::free(CapSlot(stream.0));
    }
}

impl Machine for Programs {
    fn start(&mut self, id: u32, parent: u64, request: &Request<'_>, streams: [Cap; 3]) -> Result<Started, IoError> {
        let parent = badge::client(parent);
        let loaded = self.load(id, parent, request, streams);
        if loaded.is_err() {
            // The client closes the objects; only the capabilities that came with the request go.
            self.drop_streams(streams);
        }
        loaded
    }

    fn go(&mut self, id: u32) {
        let Some(running) = self.running.get(&id) else { return };
        // A program that runs already is not disturbed: resuming would end its wait.
        if running.places.thread.info().is_ok_and(|info| info.state == ThreadState::Stopped as u64)
            && let Err(error) = running.places.thread.resume()
        {
            log::error!("program {id} cannot run: {error}");
        }
    }

    fn end(&mut self, id: u32, how: Ending) {
        let Some(running) = self.running.remove(&id) else { return };
        if how == Ending::Stop {
            let _ = running.places.thread.suspend();
        }
        running.streams().into_iter().for_each(close);
        let client = FIRST_PROGRAM + u64::from(id);
        // Services forget what it had open and the pages it lent before those go.
        if !running.services.is_empty() {
            let _ = self.registry.client_gone(client);
        }
        if let Err(error) = running.untyped.0.revoke() {
            // Its successor finds out what is left of the program.
            panic!("the memory of program {id} could not be taken back: {error}");
        }
        if let Some(view) = running.view {
            view.revoked();
        }
        self.kept.free(running.places.table.0, SLOTS_KEPT);
        self.pool.give_back(running.block);
    }

    fn drop_streams(&mut self, streams: [Cap; 3]) {
        streams.iter().for_each(|stream| slots::delete(CapSlot(stream.0)));
    }

    fn usage(&self, id: u32) -> (u64, u64) {
        let Some(running) = self.running.get(&id) else { return (0, 0) };
        let (_, size, _) = running.untyped.info().unwrap_or((0, 0, 0));
        let (left, used) = running.places.own_memory().unwrap_or((0, 0));
        let ran = running.places.context.info().map_or(0, |(ran, ..)| ran);
        (size.saturating_sub(left) + used, ran)
    }

    fn is_waiting(&self, id: u32) -> bool {
        let state = self.running.get(&id).and_then(|running| running.places.thread.info().ok());
        state.is_some_and(|info| info.state != ThreadState::Ready as u64)
    }

    fn keep(&mut self, notification: Cap) -> Option<Cap> {
        let slot = self.kept.allocate(1)?;
        match CapSlot::OWN_TABLE.move_to(notification.0, CapSlot::OWN_TABLE, slot.0) {
            Ok(()) => {
                slots::free(CapSlot(notification.0));
                Some(Cap(slot.0))
            }
            Err(_) => {
                self.kept.free(slot, 1);
                slots::delete(CapSlot(notification.0));
                None
            }
        }
    }

    fn signal(&mut self, notification: Cap) {
        let slot = CapSlot(notification.0);
        let _ = Notification(slot).signal();
        if slot.delete().is_ok() {
            self.kept.free(slot, 1);
        }
    }

    fn note(&mut self, state: &[u8]) -> bool {
        self.snapshots.save(state)
    }

    fn add(&mut self, change: &[u8]) -> bool {
        self.snapshots.add(change)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.pool.put(out, |untyped| untyped.0.0);
    }

    fn put_program(&self, id: u32, out: &mut Vec<u8>) {
        let Some(running) = self.running.get(&id) else { return };
        put_number(out, running.block.number() as usize);
        put_number(out, running.image.block.number() as usize);
        let [low, high] = running.services.words();
        [running.places.table.0.0, low, high].into_iter().for_each(|word| put_word(out, word));
    }

    fn take_over(&mut self, pieces: &mut Pieces<'_>) -> bool {
        let kept = &mut self.kept;
        let pool = Pool::read(pieces, |slot, bytes| {
            let untyped = Untyped::at(slot);
            let fits = untyped.info().is_ok_and(|(_, size, _)| size == bytes);
            (untyped, fits && kept.claim(slot, ObjectType::Untyped))
        });
        match pool {
            Some(pool) => {
                self.pool = pool;
                true
            }
            None => false,
        }
    }

    fn take_over_program(&mut self, id: u32, description: &[u8]) -> Result<(), &'static str> {
        let running = self.claim(&mut Pieces(description))?;
        self.running.insert(id, running);
        Ok(())
    }

    fn take_over_watch(&mut self, slot: u64) -> Option<Cap> {
        self.kept.claim(slot, ObjectType::Notification).then_some(Cap(slot))
    }

    fn settle(&mut self) {
        self.kept.sweep(close);
        self.pool.mend(&mut self.kept);
        // What nobody claimed: of a start or an end that a predecessor was about to carry out, or an image that nobody runs.
        for range in self.pool.free_ranges() {
            let _ = range.0.revoke();
        }
    }

    fn forget(&mut self, id: u32) {
        let _ = self.registry.client_gone(FIRST_PROGRAM + u64::from(id));
    }
}

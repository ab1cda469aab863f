//! Loading programs and taking them apart: the machine's side of the process server.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte::abi::boot_info::slot;
use motte::abi::{Error, ObjectType, PAGE_SIZE, Rights};
use motte::boot_files::boot_image;
use motte::interfaces::badge::FIRST_PROGRAM;
use motte::interfaces::error::IoError;
use motte::interfaces::registry::{RegistryClient, ServiceSet};
use motte::interfaces::stream::StreamClient;
use motte::interfaces::strings::Strings;
use motte::interfaces::{Cap, badge};
use motte::kernel::{CapSlot, Endpoint, Frame, Notification, SchedControl, Untyped};
use motte::last_words::{self, LastWords};
use motte::service::Connection;
use motte::start_info::Header;
use motte::{fs, io, log, slots};
use motte_loader::system::FAULT_BADGE;
use motte_loader::{Grant, Image, Loaded, Places, Program, Source, load};
use motte_process::pool::{BlockId, Cutter, Pool};
use motte_process::request::Request;
use motte_process::{Ending, Machine, Started};

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
/// Slots that this server keeps for a program: its places and the memory for its stack.
const SLOTS_KEPT: usize = Places::COUNT as usize + 1;
/// Bytes of cached program images, at the most.
const CACHE: usize = 8 << 20;
/// What every program may use whose parent does not say otherwise.
const SERVICES: &[&str] = &["fs", "console", "pipe", "process", "log", "clock", "supervisor", "pci"];

/// What is kept of a program that runs.
struct Running {
    places: Places,
    loaded: Loaded,
    block: BlockId,
    untyped: Untyped,
    streams: [Cap; 3],
    services: ServiceSet,
    /// Held so that its shared pages stay.
    _image: Rc<Image>,
}

/// An image in the cache, and the file that it was made from.
struct Cached {
    path: String,
    file: (u64, u64, i64, u64),
    image: Rc<Image>,
    used: u64,
}

/// Cuts untyped memory by retyping it.
struct Kernel;

impl Cutter for Kernel {
    type Handle = Untyped;

    fn cut(&mut self, whole: Untyped, bytes: u64) -> Option<Untyped> {
        let slot = slots::allocate().ok()?;
        match whole.retype(ObjectType::Untyped, bytes, CapSlot::OWN_TABLE, slot.0, 1) {
            Ok(()) => Some(Untyped(slot)),
            Err(_) => {
                slots::free(slot);
                None
            }
        }
    }

    fn join(&mut self, piece: Untyped) {
        slots::delete(piece.0);
    }
}

/// All programs that run, and what they are made of.
pub struct Programs {
    endpoint: Endpoint,
    time_control: SchedControl,
    clock: Frame,
    registry: RegistryClient<Connection>,
    pool: Pool<Untyped>,
    running: BTreeMap<u32, Running>,
    default_services: Option<ServiceSet>,
    cache: Vec<Cached>,
    uses: u64,
}

impl Programs {
    /// The machine of the server on `endpoint`.
    pub fn new(endpoint: Endpoint) -> Result<Self, Error> {
        let mut pool = Pool::default();
        for (_, slot) in motte::start::capabilities("memory:") {
            let (_, size, used) = Untyped(slot).info()?;
            pool.add(&mut Kernel, Untyped(slot), size.saturating_sub(used.next_multiple_of(PAGE_SIZE as u64)));
        }
        let capability = |name| motte::start::capability(name).ok_or(Error::InvalidCapability);
        Ok(Self {
            endpoint,
            time_control: SchedControl(capability("time-control")?),
            clock: Frame(capability("clock")?),
            registry: RegistryClient::new(Connection::from(capability("registry")?)),
            pool,
            running: BTreeMap::new(),
            default_services: None,
            cache: Vec::new(),
            uses: 0,
        })
    }

    /// The slots that are kept of a program.
    pub fn places(&self, id: u32) -> Option<&Places> {
        self.running.get(&id).map(|running| &running.places)
    }

    /// The last words of a program that runs, if it left any.
    pub fn last_words(&self, id: u32) -> Option<LastWords> {
        let view = &self.running.get(&id)?.loaded.view;
        last_words::read(|offset, bytes| view.read_message_buffer(offset, bytes))
    }

    /// Maps more of a program's stack if that is what it needs to go on from a page fault at `address`. Whether it was.
    pub fn grow_stack(&mut self, id: u32, address: u64) -> bool {
        let Some(running) = self.running.get_mut(&id) else { return false };
        let Some(stack) = &mut running.loaded.stack else { return false };
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

    /// The file of a program from the boot image, for a path in `/bin` where the disk has nothing.
    fn from_boot_image(path: &str) -> Option<&'static [u8]> {
        let image = boot_image()?;
        Some(image.file(path.strip_prefix('/')?).filter(|file| file.name.starts_with("bin/"))?.data)
    }

    /// The image of a program: cached, or read from its file.
    fn image(&mut self, path: &str) -> Result<Rc<Image>, IoError> {
        self.uses += 1;
        let file = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(IoError::IsADirectory),
            Ok(metadata) if metadata.mode() & 0o111 == 0 => return Err(IoError::PermissionDenied),
            Ok(metadata) => Some((metadata.dev(), metadata.ino(), metadata.mtime(), metadata.len())),
            Err(error) => {
                if Self::from_boot_image(path).is_none() {
                    return Err(io_error(&error));
                }
                None
            }
        };
        let identity = file.unwrap_or((0, 0, 0, 0));
        let uses = self.uses;
        let hit = |cached: &&mut Cached| cached.file == identity && (file.is_some() || cached.path == path);
        if let Some(cached) = self.cache.iter_mut().find(hit) {
            cached.used = uses;
            return Ok(cached.image.clone());
        }
        let made = match (file, Self::from_boot_image(path)) {
            (None, Some(bytes)) => Image::from_bytes(bytes),
            _ => Image::from_bytes(&fs::read(path).map_err(|error| io_error(&error))?),
        };
        let image = match made {
            Ok(Ok(image)) => Rc::new(image),
            Ok(Err(_)) => return Err(IoError::OutOfMemory),
            Err(error) => {
                log::warn!("{path}: {error}");
                return Err(IoError::NotExecutable);
            }
        };
        self.make_room(image.own_pages() * PAGE_SIZE);
        self.cache.push(Cached { path: path.to_string(), file: identity, image: image.clone(), used: uses });
        Ok(image)
    }

    /// Takes images out of the cache that nobody runs, the least recently used first, until another of `bytes` fits.
    fn make_room(&mut self, bytes: usize) {
        let size = |cache: &[Cached]| cache.iter().map(|cached| cached.image.own_pages() * PAGE_SIZE).sum::<usize>();
        while size(&self.cache) + bytes > CACHE {
            let idle = self.cache.iter().enumerate().filter(|(_, cached)| Rc::strong_count(&cached.image) == 1);
            let Some((index, _)) = idle.min_by_key(|(_, cached)| cached.used) else { return };
            if let Some(image) = Rc::into_inner(self.cache.swap_remove(index).image) {
                image.free();
            }
        }
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
                    let services = named(SERVICES.iter().map(ToString::to_string).collect())?;
                    Ok(*self.default_services.insert(services))
                }
            },
        }
    }

    fn load(&mut self, id: u32, parent: u64, request: &Request<'_>, streams: [Cap; 3]) -> Result<Started, IoError> {
        let image = self.image(request.path)?;
        let client = FIRST_PROGRAM + u64::from(id);
        let services = self.services(parent, request.services)?;
        let registry = self.registry.grant(client, services).map_err(|_| IoError::PermissionDenied)?;
        let limit = self.limit(request.memory_limit);
        let taken = self.pool.take(&mut Kernel, limit);
        let Some((block, untyped, size)) = taken else {
            slots::delete(CapSlot(registry.0));
            return Err(IoError::OutOfMemory);
        };
        let result = self.start_in(untyped, id, request, streams, registry, &image);
        slots::delete(CapSlot(registry.0));
        match result {
            Ok((places, loaded)) => {
                let running = Running { places, loaded, block, untyped, streams, services, _image: image };
                self.running.insert(id, running);
                Ok(Started { memory_limit: size, started_ns: motte::time::monotonic_ns() })
            }
            Err(error) => {
                let _ = untyped.0.revoke();
                self.pool.give_back(block);
                Err(error)
            }
        }
    }

    fn start_in(
        &self,
        untyped: Untyped,
        id: u32,
        request: &Request<'_>,
        streams: [Cap; 3],
        registry: Cap,
        image: &Image,
    ) -> Result<(Places, Loaded), IoError> {
        let first = slots::allocate_range(SLOTS_KEPT).map_err(|_| IoError::OutOfMemory)?;
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
            stack_memory: Some(CapSlot(first.0 + Places::COUNT)),
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
        load(&program).map(|loaded| (places, loaded)).map_err(|error| {
            log::warn!("{}: {error}", request.path);
            // Revoking the block empties the slots; they are given back here.
            let _ = untyped.0.revoke();
            slots::free_range(first, SLOTS_KEPT);
            IoError::OutOfMemory
        })
    }
}

/// Bytes of the untyped memory that the loader left to a program, and how many of them it has used.
///
/// An Untyped cannot be copied, so it is borrowed from the program's table for a moment. The program cannot run meanwhile: this server
/// is more urgent and does not wait.
fn own_memory(places: &Places) -> Option<(u64, u64)> {
    let borrowed = slots::allocate().ok()?;
    let moved = places.table.move_to(slot::UNTYPED, CapSlot::OWN_TABLE, borrowed.0);
    let info = moved.ok().and_then(|()| {
        let info = Untyped(borrowed).info();
        let _ = CapSlot::OWN_TABLE.move_to(borrowed.0, places.table, slot::UNTYPED);
        info.ok()
    });
    slots::free(borrowed);
    info.map(|(_, size, used)| (size, used))
}

/// Closes an object that a capability stands for, and gives the capability up.
fn close(stream: Cap) {
    let _ = StreamClient::new(Connection::from(stream)).close(0);
    slots::delete(CapSlot(stream.0));
}

fn io_error(error: &io::Error) -> IoError {
    match error.kind() {
        io::ErrorKind::NotFound => IoError::NotFound,
        io::ErrorKind::NotADirectory => IoError::NotADirectory,
        io::ErrorKind::PermissionDenied => IoError::PermissionDenied,
        io::ErrorKind::FilesystemLoop => IoError::FilesystemLoop,
        io::ErrorKind::OutOfMemory => IoError::OutOfMemory,
        _ => IoError::Device,
    }
}

impl Machine for Programs {
    fn start(&mut self, id: u32, parent: u64, request: &Request<'_>, streams: [Cap; 3]) -> Result<Started, IoError> {
        let parent = badge::client(parent);
        self.load(id, parent, request, streams).inspect_err(|_| {
            // The client closes the objects; only the capabilities that came with the request go.
            streams.iter().for_each(|stream| slots::delete(CapSlot(stream.0)));
        })
    }

    fn end(&mut self, id: u32, how: Ending) {
        let Some(running) = self.running.remove(&id) else { return };
        if how == Ending::Stop {
            let _ = running.places.thread.suspend();
        }
        running.streams.into_iter().for_each(close);
        let client = FIRST_PROGRAM + u64::from(id);
        // Services forget what it had open and the pages it lent before those go.
        if !running.services.is_empty() {
            let _ = self.registry.client_gone(client);
        }
        if let Err(error) = running.untyped.0.revoke() {
            log::error!("the memory of program {id} could not be taken back: {error}");
            return;
        }
        running.loaded.view.revoked();
        slots::free_range(running.places.table.0, SLOTS_KEPT);
        self.pool.give_back(running.block);
    }

    fn usage(&self, id: u32) -> (u64, u64) {
        let Some(running) = self.running.get(&id) else { return (0, 0) };
        let (_, size, _) = running.untyped.info().unwrap_or((0, 0, 0));
        let (left, used) = own_memory(&running.places).unwrap_or((0, 0));
        let ran = running.places.context.info().map_or(0, |(ran, ..)| ran);
        (size.saturating_sub(left) + used, ran)
    }

    fn is_waiting(&self, id: u32) -> bool {
        use motte::abi::syscall::ThreadState;
        let state = self.running.get(&id).and_then(|running| running.places.thread.info().ok());
        state.is_some_and(|info| info.state != ThreadState::Ready as u64)
    }

    fn signal(&mut self, notification: Cap) {
        let _ = Notification(CapSlot(notification.0)).signal();
        slots::delete(CapSlot(notification.0));
    }
}

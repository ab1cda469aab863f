//! The file system server as a component: finds the disk, mounts what there is, and serves.
//!
//! The system comes up whatever the disk looks like: without one that can be mounted the root is in memory, and log and mount table
//! say why.
#![no_std]
#![no_main]

extern crate alloc;

mod block;
mod client_pages;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;

use motte::abi::{Error, LARGE_PAGE_SIZE};
use motte::interfaces::block::BlockClient;
use motte::interfaces::clock::ClockClient;
use motte::interfaces::error::IoError;
use motte::interfaces::fs::{dispatch_files, number_files, open};
use motte::interfaces::stream::{STREAM_BASE, dispatch_stream, number_stream};
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::Frame;
use motte::log;
use motte::pages::Pages;
use motte::server::{Handler, Replies, Server, Tasks};
use motte::service;
use motte::time::monotonic_ns;
use motte::{kept, memory, start};
use motte_fs::clock::WallClock;
use motte_fs::device_fs::DeviceFs;
use motte_fs::disk::Geometry;
use motte_fs::ext4::{Ext4, MountProblem};
use motte_fs::filesystem::FileSystem;
use motte_fs::kept::{Kept, STATE_BYTES};
use motte_fs::memory::{Input, Region};
use motte_fs::memory_fs::MemoryFs;
use motte_fs::ring_disk::RingDisk;
use motte_fs::server::{FilesServer, Root, Roots};
use motte_fs::vfs::{OpenFlags, Vfs};

use block::BlockDriver;
use client_pages::{ClientPages, region};

motte::entry!(main);

/// What is kept from the page cache: for the heap, with names, nodes, the journal and `/tmp` in it.
const RESERVE: u64 = 16 << 20;
/// What the system's programs may take in `/bin`, where the disk has none.
const PROGRAMS: u64 = 6 << 20;
/// The most frames of 2 MiB that the page cache takes.
const MOST_CACHE_FRAMES: usize = 64;
/// How long changes wait in memory before they are written without anybody asking.
const WRITE_BACK: Duration = Duration::from_secs(5);

type Shared = Rc<RefCell<FilesServer<Replies, ClientPages>>>;

struct Service {
    server: Shared,
    tasks: Tasks,
    /// Whether a task waits to write back.
    due: Rc<Cell<bool>>,
}

impl Service {
    /// After a change: has it written back in a while. Nothing is set up when there is nothing to do, so that an idle system is idle.
    fn plan_write_back(&self) {
        self.due.set(true);
        let (server, tasks, due) = (self.server.clone(), self.tasks.clone(), self.due.clone());
        self.tasks.spawn(async move {
            tasks.sleep(WRITE_BACK).await;
            due.set(false);
            server.borrow_mut().write_back();
        });
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
        let mut server = self.server.borrow_mut();
        let number = if label >= STREAM_BASE { number_stream(label, request) } else { number_files(label, request) };
        server.begin_request(number.unwrap_or(0));
        let outcome = if label >= STREAM_BASE {
            dispatch_stream(&mut *server, sender, label, request, reply, defer)
        } else {
            dispatch_files(&mut *server, sender, label, request, reply, defer)
        };
        if !self.due.get() && server.take_changed() {
            self.plan_write_back();
        }
        outcome
    }

    fn stop(&mut self) {
        // What clients have open is kept for the next start.
        self.server.borrow_mut().write_back();
    }
}

/// The wall clock; it counts from 1970 when no clock service tells the time.
fn wall_clock() -> WallClock {
    let service = service::connect("clock").map(ClockClient::new);
    let offset = match service.as_ref().map(ClockClient::offset) {
        Ok(Ok(offset)) => offset,
        _ => {
            log::warn!("the time is not known: files get dates of 1970");
            0
        }
    };
    WallClock::new(move || offset.saturating_add(monotonic_ns()))
}

/// The page cache's memory, and where what outlives this server lies.
struct CacheMemory {
    frames: Vec<Frame>,
    region: Region,
    kept: Option<Kept>,
}

/// Kept memory, if the manifest gives it: the state and behind it the page cache. Otherwise as much of the component's own as can be spared.
fn cache_memory() -> Result<CacheMemory, Error> {
    match kept::map()? {
        Some(memory) if memory.memory.len() > STATE_BYTES => {
            let frames = memory.memory.frames()[STATE_BYTES / LARGE_PAGE_SIZE..].to_vec();
            let whole = region(memory.memory);
            let state = Kept::new(whole.part(0, STATE_BYTES));
            Ok(CacheMemory { frames, region: whole.part(STATE_BYTES, whole.len() - STATE_BYTES), kept: state })
        }
        _ => {
            let memory = block::cache_memory(RESERVE, MOST_CACHE_FRAMES)?;
            Ok(CacheMemory { frames: memory.frames().to_vec(), region: region(memory), kept: None })
        }
    }
}

/// What the mount of the disk brought.
struct Mounted {
    file_system: Ext4,
    /// For the mount table.
    remark: Option<String>,
    kept: Option<Kept>,
}

/// Mounts the disk, or says why there is none.
fn mount_disk(clock: &WallClock) -> Result<Mounted, String> {
    let missing = || MountProblem::Missing.to_string();
    let service = BlockClient::new(service::connect("block").map_err(|_| missing())?.patient());
    let info = block::disk_info(&service).map_err(|error| match error {
        IoError::NotFound => missing(),
        error => format!("the disk driver does not answer ({error})"),
    })?;
    let no_memory = |_| MountProblem::OutOfMemory.to_string();
    let CacheMemory { frames, region, kept } = cache_memory().map_err(no_memory)?;
    let driver = BlockDriver::new(service, &frames).map_err(no_memory)?;
    let geometry = Geometry { sectors: info.sectors, read_only: info.read_only };
    let disk = RingDisk::new(driver, geometry, info.write_cache)
        .map_err(|_| String::from("the disk driver does not take requests"))?;
    let disk = Box::new(disk);
    let mounted = match kept {
        Some(kept) => Ext4::mount_kept(disk, region, clock.clone(), kept, start::header().generation),
        None => Ext4::mount(disk, region, clock.clone(), false),
    };
    let (file_system, notice) = mounted.map_err(|problem| problem.to_string())?;
    let mode = if file_system.is_read_only() { "read-only" } else { "for reading and writing" };
    if file_system.is_resumed() {
        log::info!("the disk's file system goes on where the former server stopped");
    } else {
        log::info!("the disk's ext4 file system is mounted {mode}");
    }
    let remark = notice.map(|notice| notice.to_string());
    if let Some(remark) = &remark {
        log::warn!("{remark}");
    }
    Ok(Mounted { file_system, remark, kept })
}

/// Memory that heap and file systems in memory can still take.
fn memory_left() -> u64 {
    let usage = memory::usage();
    usage.budget.saturating_sub(usage.used)
}

/// Mounts everything. Returns the kept state too, if there is one.
fn mount_all(clock: &WallClock) -> (Vfs, Option<Kept>) {
    let mut root_limit = 0;
    let mut state = None;
    let mut vfs = match mount_disk(clock) {
        Ok(Mounted { file_system, remark, kept }) => {
            state = kept;
            let mut vfs = Vfs::new(Box::new(file_system), "disk", clock.clone());
            if let Some(remark) = remark {
                vfs.set_root_options(&remark);
            }
            vfs
        }
        Err(problem) => {
            log::error!("{problem}: files are kept in memory, and lost when the machine stops");
            root_limit = memory_left() / 4;
            let root = MemoryFs::new(root_limit, clock.clone());
            let mut vfs = Vfs::new(Box::new(root), "memory", clock.clone());
            vfs.set_root_options(&problem);
            vfs
        }
    };
    // Of what is left a third is for /tmp, and as much for file systems that are mounted later; the rest is for the server itself.
    let share = (memory_left() - root_limit) / 3;
    let temporary = MemoryFs::new(share, clock.clone());
    let mounted = vfs
        .mount_in_root(Box::new(temporary), "memory", "tmp", "")
        .and_then(|()| vfs.mount_in_root(Box::new(DeviceFs::new(clock)), "device", "dev", ""));
    if let Err(error) = mounted {
        log::error!("/tmp and /dev cannot be mounted: {error}");
    }
    vfs.set_memory_pool(root_limit + 2 * share);
    if vfs.status("/bin", true).is_err()
        && let Err(error) = provide_programs(&mut vfs, clock)
    {
        log::error!("the system's programs cannot be provided in /bin: {error}");
    }
    (vfs, state)
}

/// Provides the system's programs in `/bin`, out of the boot image, where the disk has no such directory: in memory, so that a disk
/// that was made for something else is left as it is.
fn provide_programs(vfs: &mut Vfs, clock: &WallClock) -> motte_fs::error::Result<()> {
    let Some(image) = motte::boot_files::boot_image() else { return Ok(()) };
    vfs.mount_in_root(Box::new(MemoryFs::new(PROGRAMS, clock.clone())), "boot", "bin", "")?;
    // Several names for one program share its place in the image: the first is the file, the others link to it.
    let mut first: BTreeMap<usize, String> = BTreeMap::new();
    for file in image.files().filter(|file| file.name.starts_with("bin/")) {
        let path = format!("/{}", file.name);
        if let Some(target) = first.get(&file.offset) {
            vfs.make_symlink(target, &path)?;
            continue;
        }
        let flags = OpenFlags(open::WRITE as u32 | open::CREATE as u32);
        let handle = vfs.open(0, &path, flags, 0o755)?;
        let written = vfs.write(0, handle, None, &mut Input::new(file.data));
        vfs.close(0, handle)?;
        written?;
        first.insert(file.offset, file.name.trim_start_matches("bin/").to_string());
    }
    Ok(())
}

/// The roots that the manifest gives to components, from the environment: `ROOT_BADGE=PATH`.
fn roots() -> Roots {
    let root = |(name, value): (String, String)| {
        let badge = name.strip_prefix("ROOT_")?.parse().ok()?;
        Some((badge, Root::parse(&value)))
    };
    motte::env::vars().filter_map(root).collect()
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("fs")?;
    let (mut vfs, state) = mount_all(&wall_clock());
    let pages = ClientPages(Pages::new(server.endpoint(), server.replies()));
    let generation = start::header().generation;
    let files = match state {
        Some(kept) => {
            match vfs.keep_in(kept) {
                Ok(0) => {}
                Ok(lost) => log::warn!("{lost} open files were closed by the restart"),
                Err(error) => log::error!("not everything that was open could be taken over: {error}"),
            }
            FilesServer::resume(server.replies(), pages, vfs, roots(), kept)
        }
        None => FilesServer::new(server.replies(), pages, vfs, roots(), generation),
    };
    let files = Rc::new(RefCell::new(files));
    let mut service = Service { server: files, tasks: server.tasks(), due: Rc::new(Cell::new(false)) };
    let waits = service.server.borrow_mut().take_changed();
    if waits {
        service.plan_write_back();
    }
    Err(server.run(&mut service))
}

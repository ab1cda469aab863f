//! Images of programs, cached. Each lies in a block of the programs' memory, so that those who run it go on when this server is
//! restarted; its successor knows of the block as long as somebody does.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte::abi::{Error, ObjectType, PAGE_SIZE};
use motte::boot_files::boot_image;
use motte::interfaces::error::IoError;
use motte::kernel::{CapSlot, Untyped};
use motte::{fs, io, log, slots};
use motte_loader::Image;
use motte_process::is_own_mistake;
use motte_process::pool::{BlockId, Pool};

use crate::memory::KeptSlots;

/// Bytes of images that are kept although nobody runs them, at the most.
const CACHE: u64 = 8 << 20;
/// The most objects that one call makes.
const MAX_RETYPE: usize = 256;

/// An image and the block that it lies in.
#[derive(Debug)]
pub struct Held {
    /// `None`: it was made by a predecessor; nobody else can be started from it.
    pub image: Option<Image>,
    pub block: BlockId,
    untyped: Untyped,
    bytes: u64,
    frames: (CapSlot, usize),
}

/// An image in the cache, and the file that it was made from.
struct Cached {
    path: String,
    file: (u64, u64, i64, u64),
    held: Rc<Held>,
    used: u64,
}

/// All images.
#[derive(Default)]
pub struct Images {
    cached: Vec<Cached>,
    uses: u64,
}

impl Images {
    /// The image of a program: cached, or read from its file.
    pub fn get(&mut self, path: &str, pool: &mut Pool<Untyped>, kept: &mut KeptSlots) -> Result<Rc<Held>, IoError> {
        self.uses += 1;
        let file = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(IoError::IsADirectory),
            Ok(metadata) if metadata.mode() & 0o111 == 0 => return Err(IoError::PermissionDenied),
            Ok(metadata) => Some((metadata.dev(), metadata.ino(), metadata.mtime(), metadata.len())),
            Err(error) => {
                if from_boot_image(path).is_none() {
                    return Err(io_error(&error));
                }
                None
            }
        };
        let identity = file.unwrap_or((0, 0, 0, 0));
        let hit = |cached: &&mut Cached| {
            cached.held.image.is_some() && cached.file == identity && (file.is_some() || cached.path == path)
        };
        let uses = self.uses;
        if let Some(cached) = self.cached.iter_mut().find(hit) {
            cached.used = uses;
            return Ok(cached.held.clone());
        }
        let held = match (file, from_boot_image(path)) {
            (None, Some(bytes)) => self.make(path, bytes, pool, kept)?,
            _ => self.make(path, &fs::read(path).map_err(|error| io_error(&error))?, pool, kept)?,
        };
        let held = Rc::new(held);
        self.cached.push(Cached { path: path.to_string(), file: identity, held: held.clone(), used: uses });
        Ok(held)
    }

    fn make(
        &mut self,
        path: &str,
        file: &[u8],
        pool: &mut Pool<Untyped>,
        kept: &mut KeptSlots,
    ) -> Result<Held, IoError> {
        let (mut taken, mut frames) = (None, (CapSlot::NULL, 0));
        let made = Image::from_bytes(file, |count| {
            let bytes = (count * PAGE_SIZE) as u64;
            self.make_room(bytes, pool);
            let (block, untyped, bytes) = self.take(bytes, pool, kept).ok_or(Error::OutOfMemory)?;
            taken = Some((block, untyped, bytes));
            frames = (slots::allocate_range(count)?, count);
            for done in (0..count).step_by(MAX_RETYPE) {
                let (first, some) = (frames.0.0 + done as u64, (count - done).min(MAX_RETYPE) as u64);
                untyped.retype(ObjectType::Frame, PAGE_SIZE as u64, CapSlot::OWN_TABLE, first, some)?;
            }
            Ok(frames.0)
        });
        match (made, taken) {
            (Ok(Ok(image)), Some((block, untyped, bytes))) => {
                Ok(Held { image: Some(image), block, untyped, bytes, frames })
            }
            (failed, taken) => {
                if let Some((block, untyped, bytes)) = taken {
                    free(&Held { image: None, block, untyped, bytes, frames }, pool);
                }
                Err(match failed {
                    Err(error) => {
                        log::warn!("{path}: {error}");
                        IoError::NotExecutable
                    }
                    // Its successor begins with what there really is.
                    Ok(Err(error)) if is_own_mistake(error) => panic!("no memory for {path}: {error}"),
                    _ => IoError::OutOfMemory,
                })
            }
        }
    }

    /// Takes a block of the pool; what is cached and not in use makes room for it.
    pub fn take(
        &mut self,
        bytes: u64,
        pool: &mut Pool<Untyped>,
        kept: &mut KeptSlots,
    ) -> Option<(BlockId, Untyped, u64)> {
        pool.take(kept, bytes).or_else(|| {
            self.drop_idle(pool, |_| true);
            pool.take(kept, bytes)
        })
    }

    /// Takes images out of the cache that nobody runs, the least recently used first, until another of `bytes` fits.
    fn make_room(&mut self, bytes: u64, pool: &mut Pool<Untyped>) {
        self.drop_idle(pool, |cached| cached.iter().map(|cached| cached.held.bytes).sum::<u64>() + bytes > CACHE);
    }

    fn drop_idle(&mut self, pool: &mut Pool<Untyped>, is_wanted: impl Fn(&[Cached]) -> bool) {
        while is_wanted(&self.cached) {
            let idle = self.cached.iter().enumerate().filter(|(_, cached)| Rc::strong_count(&cached.held) == 1);
            let Some((index, _)) = idle.min_by_key(|(_, cached)| cached.used) else { return };
            free(&self.cached.swap_remove(index).held, pool);
        }
    }

    /// The image in a block that a predecessor took, for one who runs it.
    pub fn adopt(&mut self, block: BlockId, untyped: Untyped) -> Rc<Held> {
        if let Some(cached) = self.cached.iter().find(|cached| cached.held.block == block) {
            return cached.held.clone();
        }
        let bytes = untyped.info().map_or(0, |(_, size, _)| size);
        let held = Rc::new(Held { image: None, block, untyped, bytes, frames: (CapSlot::NULL, 0) });
        self.cached.push(Cached { path: String::new(), file: (0, 0, 0, 0), held: held.clone(), used: 0 });
        held
    }
}

/// Takes an image's memory back. Nobody runs it any more.
fn free(held: &Held, pool: &mut Pool<Untyped>) {
    if let Err(error) = held.untyped.0.revoke() {
        log::error!("the memory of an image could not be taken back: {error}");
        return;
    }
    slots::free_range(held.frames.0, held.frames.1);
    pool.give_back(held.block);
}

/// The file of a program from the boot image, for a path in `/bin` where the disk has nothing.
fn from_boot_image(path: &str) -> Option<&'static [u8]> {
    let image = boot_image()?;
    Some(image.file(path.strip_prefix('/')?).filter(|file| file.name.starts_with("bin/"))?.data)
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

//! The boot image, for components that the manifest grants it (`boot-image`).

use alloc::vec::Vec;

use motte_abi::boot_image::BootImage;
use motte_abi::{PAGE_SIZE, Rights};

use crate::kernel::Frame;
use crate::sync::OnceLock;
use crate::{memory, start};

static IMAGE: OnceLock<Option<BootImage<'static>>> = OnceLock::new();

/// The boot image, mapped at the first use and for good. `None` for whoever was not granted it.
pub fn boot_image() -> Option<BootImage<'static>> {
    *IMAGE.get_or_init(map)
}

fn map() -> Option<BootImage<'static>> {
    let frames: Vec<Frame> = start::row("boot-image").map(Frame).collect();
    if frames.is_empty() {
        return None;
    }
    let mapped = memory::map_new(&frames, Rights::READ);
    let address = mapped.inspect_err(|error| log::warn!("the boot image cannot be mapped: {error}")).ok()?;
    // SAFETY: all of it was just mapped, read-only, and is never unmapped; nobody writes to the boot image.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, frames.len() * PAGE_SIZE) };
    BootImage::parse(bytes).ok()
}

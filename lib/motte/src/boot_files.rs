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
    let numbered = start::capabilities("boot-image:");
    let mut frames: Vec<(u64, Frame)> =
        numbered.filter_map(|(number, slot)| Some((number.parse().ok()?, Frame(slot)))).collect();
    if frames.is_empty() {
        return None;
    }
    frames.sort_unstable_by_key(|(number, _)| *number);
    let frames: Vec<Frame> = frames.into_iter().map(|(_, frame)| frame).collect();
    let mapped = memory::map_new(&frames, Rights::READ);
    let address = mapped.inspect_err(|error| log::warn!("the boot image cannot be mapped: {error}")).ok()?;
    // SAFETY: all of it was just mapped, read-only, and is never unmapped; nobody writes to the boot image.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, frames.len() * PAGE_SIZE) };
    BootImage::parse(bytes).ok()
}

//! The boot image, as the supervisor sees it.

use alloc::format;
use alloc::string::{String, ToString};

use motte::abi::boot_image::BootImage;
use motte::abi::lines::Lines;
use motte::abi::symbols::Symbols;
use motte::abi::{Error, PAGE_SIZE, Rights};
use motte::kernel::{CacheMode, Frame, own};
use motte::{env, memory};
use motte_loader::{Image, system};
use motte_manifest::Manifest;

/// The boot image, mapped for good.
#[derive(Clone, Copy)]
pub struct BootFiles {
    image: BootImage<'static>,
}

/// The numbers in a variable of the environment.
pub fn numbers(name: &str) -> [u64; 2] {
    let text = env::var(name).unwrap_or_default();
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}

impl BootFiles {
    /// Maps the boot image's frames.
    pub fn map() -> Result<Self, String> {
        let [bytes, _] = numbers(system::ENV_BOOT_IMAGE);
        for page in 0..bytes.div_ceil(PAGE_SIZE as u64) {
            let frame = Frame(system::boot_image(page));
            let address = system::BOOT_IMAGE_ADDRESS + page * PAGE_SIZE as u64;
            let mapped = memory::map_at(frame, own::ADDRESS_SPACE, address, Rights::READ, CacheMode::Normal);
            mapped.map_err(|error: Error| format!("the boot image cannot be mapped: {error}"))?;
        }
        // SAFETY: all of it was just mapped, read-only, and is never unmapped.
        let bytes = unsafe { core::slice::from_raw_parts(system::BOOT_IMAGE_ADDRESS as *const u8, bytes as usize) };
        let image = BootImage::parse(bytes).map_err(|error| format!("the boot image is damaged: {error:?}"))?;
        Ok(Self { image })
    }

    /// The manifest.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let file = self.image.file("manifest").ok_or("the boot image holds no manifest")?;
        Manifest::decode(file.data).map_err(|error| format!("the manifest cannot be read: {error:?}"))
    }

    /// A component's program.
    pub fn program(&self, name: &str) -> Result<Image, String> {
        let file = [format!("programs/{name}"), format!("bin/{name}")];
        let file = file.iter().find_map(|name| self.image.file(name));
        let file = file.ok_or_else(|| format!("the boot image holds no program `{name}`"))?;
        let first = system::boot_image((file.offset / PAGE_SIZE) as u64);
        Image::from_frames(file.data, first).map_err(|error| format!("`{name}` cannot be run: {error}"))
    }

    /// A program's symbols.
    pub fn symbols(&self, program: &str) -> Option<Symbols<'static>> {
        Symbols::parse(self.image.file(&format!("symbols/{program}"))?.data)
    }

    /// The lines of the source that a program's code comes from.
    pub fn lines(&self, program: &str) -> Option<Lines<'static>> {
        Lines::parse(self.image.file(&format!("lines/{program}"))?.data)
    }

    /// Shell commands that the system was booted to run.
    pub fn command(&self) -> Option<String> {
        let file = self.image.file("command")?;
        core::str::from_utf8(file.data).ok().map(ToString::to_string)
    }

    /// Where the machine's web server is found from outside.
    pub fn web_address(&self) -> Option<&'static str> {
        core::str::from_utf8(self.image.file("web-address")?.data).ok()
    }

    /// Slot of the first frame of the boot image, and how many there are.
    pub fn frames(&self) -> (u64, u64) {
        let [bytes, _] = numbers(system::ENV_BOOT_IMAGE);
        (system::BOOT_IMAGE, bytes.div_ceil(PAGE_SIZE as u64))
    }
}

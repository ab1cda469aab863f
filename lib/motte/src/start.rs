//! What this program started with, as everything in the runtime asks for it.

use motte_abi::boot_info::BootInfo;

use crate::kernel::{CapSlot, SchedContext};
use crate::start_info::{Header, StartInfo};
use crate::sync::OnceLock;

static START: OnceLock<StartInfo<'static>> = OnceLock::new();
static BOOT: OnceLock<&'static BootInfo> = OnceLock::new();

/// Once, at the beginning.
pub(crate) fn set(info: StartInfo<'static>) {
    let _ = START.set(info);
}

/// Once, at the beginning of init.
pub(crate) fn set_boot_info(info: &'static BootInfo) {
    let _ = BOOT.set(info);
}

/// The start information; `None` in init and in tests on the host.
pub fn info() -> Option<&'static StartInfo<'static>> {
    START.get()
}

/// What the kernel told init; `None` in everything else.
pub fn boot_info() -> Option<&'static BootInfo> {
    BOOT.get().copied()
}

/// The numbers of the start information.
pub fn header() -> Header {
    info().map_or(Header { priority: 255, ..Header::default() }, |info| info.header)
}

/// The component's or program's name.
pub fn name() -> &'static str {
    info().map_or("init", |info| info.name())
}

/// The capability of that name, such as `registry`, `endpoint:console`, `irq:4`, `port:0x3f8`.
pub fn capability(name: &str) -> Option<CapSlot> {
    info()?.capability(name).map(|slots| CapSlot(slots.start))
}

/// The capabilities of that name, which lie in a row, such as `kept` or `boot-image`.
pub fn row(name: &str) -> impl Iterator<Item = CapSlot> {
    info().and_then(|info| info.capability(name)).unwrap_or_default().map(CapSlot)
}

/// The scheduling context for the further thread of that number, from 0 on; `None` if there are not so many.
pub fn further_context(number: u64) -> Option<SchedContext> {
    let header = header();
    (number < header.contexts).then(|| SchedContext::at(header.first_context + number))
}

/// All capabilities whose name begins with `prefix`: the rest of the name and the slot.
pub fn capabilities(prefix: &'static str) -> impl Iterator<Item = (&'static str, CapSlot)> {
    info()
        .into_iter()
        .flat_map(|info| info.capabilities())
        .filter_map(move |(name, slots)| Some((name.strip_prefix(prefix)?, CapSlot(slots.start))))
}

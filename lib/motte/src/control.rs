//! What the supervisor wants of a component that runs: to hear that it still takes requests, or that it ends in good order.
//!
//! A component that the manifest gives a `heartbeat` or a `stop-timeout` starts with the capability `control`, a notification, which its first
//! server binds to its thread in place of one of its own. The supervisor signals [`PING`] or [`STOP`] there. A server that takes requests takes
//! these as well: it answers the first on the notification `pulse`, and after the second has its
//! [`Handler`](crate::server::Handler) save what must not be lost, and ends. One that hangs in a request or in a task does neither.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::Notification;
use crate::start;

/// Bit of the control notification: a sign of life is asked for.
pub const PING: u64 = 1 << 61;
/// Bit of the control notification: the component is to end.
pub const STOP: u64 = 1 << 60;

/// The control notification, once: for the first server of the component.
pub(crate) fn take() -> Option<Notification> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let control = start::capability("control")?;
    (!TAKEN.swap(true, Ordering::Relaxed)).then_some(Notification(control))
}

/// Shows the supervisor that this component does not hang. Servers do so when they are asked; a component that serves nobody calls this from
/// time to time.
pub fn beat() {
    if let Some(pulse) = start::capability("pulse") {
        let _ = Notification(pulse).signal();
    }
}

//! Heartbeats: a server tells the supervisor, again and again, that it still takes requests.
//!
//! A component that the manifest gives a `heartbeat` starts with the capability `heartbeat:DEADLINE` (in nanoseconds), a notification that the
//! supervisor looks at. A task of the component's first server signals it [`BEATS`] times within the deadline. The task runs between requests,
//! woken by the server's timer: a server that waits for requests beats, and one that hangs in a request, or in another task, does not.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use crate::kernel::Notification;
use crate::start;
use crate::tasks::Tasks;

/// Beats within a deadline.
pub const BEATS: u32 = 4;

/// Has `tasks` beat, if this component is to and no other server of it does.
pub(crate) fn begin(tasks: &Tasks) {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let Some((deadline, slot)) = start::capabilities("heartbeat:").next() else { return };
    let Ok(deadline) = deadline.parse().map(Duration::from_nanos) else { return };
    if BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    let (pulse, interval, timer) = (Notification(slot), deadline / BEATS, tasks.clone());
    tasks.spawn(async move {
        loop {
            let _ = pulse.signal();
            timer.sleep(interval).await;
        }
    });
}

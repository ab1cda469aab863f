//! Programs.

use motte::process::Command;

use crate::failure::Failure;
use crate::meter::Named;

/// A program that does nothing; its image is in the process server's cache.
const NOTHING: &str = "/bin/bench-noop";

/// Starts a program as the shell does, with this one's streams, environment and directory, and waits for its end.
pub fn spawn_wait(meter: &mut Named<'_>) -> Result<(), Failure> {
    // The first brings the image into the cache.
    Command::new(NOTHING).status()?;
    meter.measure(
        50,
        || Command::new(NOTHING).status(),
        |status| if status?.success() { Ok(()) } else { Err(Failure::Wrong("the program failed")) },
    )
}

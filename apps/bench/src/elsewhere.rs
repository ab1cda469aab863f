//! What a program may not do is measured by a component that may: `system/bench.toml` has one for each such operation. It runs this same
//! program, prints its results at the console, and ends.

use motte::system;
use motte::thread;
use motte::time::Duration;

use crate::failure::Failure;

/// How often is looked whether the component has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The system that runs has no such component.
pub const NO_COMPONENT: Failure =
    Failure::Unavailable("this system has no component with the authority for it; boot system/bench.toml");

/// Starts the component and waits for its end.
pub fn measure(component: &str) -> Result<(), Failure> {
    let state = || {
        let all = system::components()?;
        Ok::<_, Failure>(all.into_iter().find(|info| info.name == component).map(|info| info.state))
    };
    if state()?.is_none() {
        return Err(NO_COMPONENT);
    }
    system::start(component)?;
    loop {
        thread::sleep(LOOK);
        match state()?.as_deref() {
            Some("running") => {}
            Some("ended") => return Ok(()),
            _ => return Err(Failure::Wrong("the component that measures it failed; `faults` says why")),
        }
    }
}

//! Tasks without a server: a program that waits for many things at once in one thread.
//!
//! ```ignore
//! let executor = Executor::new()?;
//! motte::net::wake_tasks(&executor.tasks())?;
//! executor.run(async move { … })
//! ```

use alloc::rc::Rc;
use core::cell::Cell;
use core::future::Future;

use motte_abi::Error;

use crate::tasks::Tasks;

/// The tasks of the thread that made it.
#[derive(Debug)]
pub struct Executor {
    tasks: Tasks,
}

impl Executor {
    /// An executor without tasks. One a thread, and none in a thread that has a [`crate::server::Server`], which is one itself.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { tasks: Tasks::new()? })
    }

    /// Its tasks, for starting more, for events and for time.
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Runs `future` and all tasks until `future` ends.
    pub fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(Cell::new(None));
        let place = result.clone();
        self.tasks.spawn(async move { place.set(Some(future.await)) });
        loop {
            self.tasks.run();
            match result.take() {
                Some(value) => return value,
                None => self.tasks.wait(),
            }
        }
    }
}

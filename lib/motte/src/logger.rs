//! The `log` crate's facade: to the log service where the component may use it, else to the kernel's debug console.

use alloc::format;
use core::fmt::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};
use motte_interfaces::log::LogClient;

use crate::last_words::DebugConsole;
use crate::service::{self, Connection};
use crate::start;
use crate::sync::Mutex;

struct Logger {
    service: Mutex<State>,
}

enum State {
    /// Nothing was logged yet.
    Unknown,
    /// There is no log service for this component.
    Absent,
    /// There is.
    Connected(LogClient<Connection>),
}

static LOGGER: Logger = Logger { service: Mutex::new(State::Unknown) };

/// Once, at the beginning.
pub(crate) fn initialize() {
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Info);
}

/// Has everything go to the kernel's log, for components that must never wait for a service.
pub fn use_kernel_log() {
    *LOGGER.service.lock() = State::Absent;
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = format!("{}", record.args());
        // A second thread that logs meanwhile, or the connection itself, does not wait.
        let sent = self.service.try_lock().is_some_and(|mut state| {
            if matches!(*state, State::Unknown) {
                *state = State::Absent;
                // The log service does not call itself.
                let is_log_service = start::capability("endpoint:log").is_some();
                if !is_log_service && let Ok(connection) = service::connect("log") {
                    let client = LogClient::new(connection);
                    let _ = client.introduce(start::name());
                    *state = State::Connected(client);
                }
            }
            match &*state {
                State::Connected(client) => client.write(record.level() as u64, &text).is_ok(),
                _ => false,
            }
        });
        // Errors and warnings also stand in the kernel's log, where they are found when the log service is not.
        if !sent || record.level() <= Level::Warn {
            let _ = DebugConsole.write_str(&format!("{}: {text}\n", start::name()));
        }
    }

    fn flush(&self) {}
}

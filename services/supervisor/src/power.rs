//! The machine's end.

use core::fmt::Write;
use core::time::Duration;

use motte::last_words::DebugConsole;
use motte::thread;
use motte_loader::system;

use crate::components::{Supervisor, say};

/// How long the file system may take to write everything back.
const PATIENCE: Duration = Duration::from_secs(30);

/// What comes after the orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The machine ends, with this status where somebody outside asks for one.
    PowerOff(u8),
    /// It starts anew.
    Reset,
}

impl Supervisor {
    /// Has everything written back, then ends the machine. Returns at once.
    pub fn finish(&self, finish: Finish) {
        let (tasks, written) = {
            let mut state = self.0.borrow_mut();
            if state.ending {
                return;
            }
            state.ending = true;
            state.write_records();
            (state.tasks.clone(), state.worker.shut_down())
        };
        tasks.clone().spawn(async move {
            if tasks.timeout(PATIENCE, written).await.is_none() {
                say("the file system did not finish writing back in time");
            }
            match finish {
                Finish::PowerOff(status) => power_off(status),
                Finish::Reset => reset(),
            }
        });
    }
}

/// Ends the machine: QEMU by its exit port, another by ACPI.
fn power_off(status: u8) -> ! {
    let _ = writeln!(DebugConsole, "motte: exit status {status}");
    // isa-debug-exit: QEMU ends with (value << 1) | 1. The lowest values are the kernel's.
    let _ = system::EXIT_PORT.write(0xf4, 4, 0x10);
    // The q35's power management port: SLP_EN, type S5 (ACPI specification 4.8.3.2.1).
    let _ = system::POWER_PORT.write(0x604, 2, 0x2000);
    say("the machine does not switch itself off; it is safe to do so now");
    wait_for_ever()
}

/// Starts the machine anew through the keyboard controller, which pulses the reset line.
fn reset() -> ! {
    let _ = system::RESET_PORT.write_u8(0x64, 0xfe);
    say("the machine does not restart itself; it is safe to do so now");
    wait_for_ever()
}

fn wait_for_ever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

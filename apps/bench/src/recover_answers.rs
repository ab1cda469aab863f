//! From a component's end to the first answer of its successor: it is killed, taken apart, recorded, started anew after the wait that its
//! manifest says, and answers a client that asks as if nothing had happened. Where instructions are counted, those that were executed; else
//! the nanoseconds of the machine's clock.

use motte::fs::{self, File};
use motte::interfaces::clock::ClockClient;
use motte::interfaces::pci::PciClient;
use motte::io::{Read, Seek, SeekFrom, Write};
use motte::time::{Duration, monotonic_ns};
use motte::{process, service, system, terminal, thread};

use crate::failure::Failure;
use crate::files::need_disk;
use crate::machine::{counts_instructions, mark};
use crate::meter::Named;
use crate::recover_files::{MIB, PIECE, Removed, SOURCE, TARGET, WRONG_BYTES, fill};

/// Kills of each component.
const KILLS: usize = 15;
/// What lies between them: a component that failed again sooner would be given fresh memory.
const PAUSE: Duration = Duration::from_millis(400);
/// The same for those that are not restarted by command in between: the supervisor, which no command restarts, and the process server, for
/// which the shell that waits for this program's end repeats its request so many times only. The next failure is a first one again.
const LONG_PAUSE: Duration = Duration::from_secs(11);
const FEW_KILLS: usize = 4;
/// What is read of a file.
const PAGE: usize = 4096;

const NO_ANSWER: Failure = Failure::Wrong("the service does not answer as it should");

/// Kills a component again and again, and asks.
fn first_answers<const BEGIN: u32, const END: u32>(
    meter: &mut Named<'_>,
    component: &str,
    mut ask: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    need_disk()?;
    let few = ["supervisor", "process"].contains(&component);
    let (kills, pause) = if few { (FEW_KILLS, LONG_PAUSE) } else { (KILLS, PAUSE) };
    let mut once = || {
        if !few {
            // What it failed before is forgotten, so that each kill counts as the first.
            system::restart(component)?;
        }
        ask()?;
        thread::sleep(pause);
        let before = generation(component)?;
        mark::<BEGIN>();
        let begin = monotonic_ns();
        let killed = system::kill(component);
        ask()?;
        let taken = monotonic_ns() - begin;
        mark::<END>();
        if component != "supervisor" {
            // That cannot say that it was killed.
            killed?;
        }
        match generation(component)? {
            after if after > before => Ok((0, u32::try_from(taken).unwrap_or(u32::MAX))),
            _ => Err(Failure::Wrong("the component was not killed")),
        }
    };
    if meter.traces() || !counts_instructions() {
        return meter.measure_spans(kills, once);
    }
    // The counter leaps where the system waits; what was executed is counted between the marks.
    for _ in 0..kills {
        once()?;
    }
    meter.report_marks(BEGIN, END, 1, kills);
    Ok(())
}

fn generation(component: &str) -> Result<u64, Failure> {
    let found = system::components()?.into_iter().find(|info| info.name == component);
    found.map(|info| info.generation).ok_or(Failure::Wrong("there is no such component"))
}

/// The file server: a file that is open is read at its beginning, which is in the page cache.
pub fn files(meter: &mut Named<'_>) -> Result<(), Failure> {
    need_disk()?;
    let _removed = Removed;
    let mut buffer = alloc::vec![0; PAGE];
    fill(&mut buffer, 1);
    fs::write(TARGET, &buffer)?;
    fs::sync()?;
    let mut got = alloc::vec![0; PAGE];
    let mut file = File::open(TARGET)?;
    first_answers::<0x1a, 0x1b>(meter, "fs", || {
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut got)?;
        if got == buffer { Ok(()) } else { Err(WRONG_BYTES) }
    })
}

/// The disk's driver: a page is read that is not in the page cache.
pub fn driver(meter: &mut Named<'_>) -> Result<(), Failure> {
    /// The beginning of a file of this size is not in the page cache when its end was written.
    const FILE_MIB: usize = 64;
    need_disk()?;
    let _removed = Removed;
    let mut buffer = alloc::vec![0; PIECE];
    let mut file = File::create(SOURCE)?;
    let pieces = FILE_MIB * MIB / PIECE;
    for piece in 0..pieces {
        fill(&mut buffer, piece);
        file.write_all(&buffer)?;
    }
    file.sync_all()?;
    let mut file = File::open(SOURCE)?;
    let mut got = alloc::vec![0; PAGE];
    let mut piece = 0;
    first_answers::<0x1c, 0x1d>(meter, "virtio-blk", || {
        piece += 1;
        file.seek(SeekFrom::Start((piece * PIECE) as u64))?;
        file.read_exact(&mut got)?;
        fill(&mut buffer[..PAGE], piece);
        if got == buffer[..PAGE] { Ok(()) } else { Err(WRONG_BYTES) }
    })
}

/// The registry: a service is looked up.
pub fn registry(meter: &mut Named<'_>) -> Result<(), Failure> {
    first_answers::<0x1e, 0x1f>(meter, "registry", || service::connect("clock").map(drop).map_err(|_| NO_ANSWER))
}

/// The supervisor: the components are listed.
pub fn supervisor(meter: &mut Named<'_>) -> Result<(), Failure> {
    first_answers::<0x20, 0x21>(meter, "supervisor", || system::components().map(drop).map_err(Failure::from))
}

/// The process server: the programs are listed.
pub fn process(meter: &mut Named<'_>) -> Result<(), Failure> {
    first_answers::<0x22, 0x23>(meter, "process", || process::list().map(drop).map_err(Failure::from))
}

/// The log: its newest line is asked for.
pub fn log(meter: &mut Named<'_>) -> Result<(), Failure> {
    first_answers::<0x24, 0x25>(meter, "log", || system::log_read(u64::MAX).map(drop).map_err(Failure::from))
}

/// The console: its size is asked for.
pub fn console(meter: &mut Named<'_>) -> Result<(), Failure> {
    first_answers::<0x26, 0x27>(meter, "console", || terminal::size().map(drop).ok_or(NO_ANSWER))
}

/// Pipes: one is made.
pub fn pipe(meter: &mut Named<'_>) -> Result<(), Failure> {
    first_answers::<0x28, 0x29>(meter, "pipe", || process::pipe().map(drop).map_err(Failure::from))
}

/// The clock: what has to be added to the time since the start.
pub fn clock(meter: &mut Named<'_>) -> Result<(), Failure> {
    let clock = ClockClient::new(service::connect("clock").map_err(|_| NO_ANSWER)?);
    first_answers::<0x2a, 0x2b>(meter, "clock", || clock.offset().map(drop).map_err(|_| NO_ANSWER))
}

/// The PCI bus: what device is there is asked.
pub fn pci(meter: &mut Named<'_>) -> Result<(), Failure> {
    let pci = PciClient::new(service::connect("pci").map_err(|_| NO_ANSWER)?);
    first_answers::<0x2c, 0x2d>(meter, "pci", || pci.entry(0).map(drop).map_err(|_| NO_ANSWER))
}

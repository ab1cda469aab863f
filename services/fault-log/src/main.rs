//! Writes fault records to the disk, so that they are there after a restart of the machine.
//!
//! The supervisor must not wait for the file system; this component does. It asks the supervisor for the next record, which answers when
//! there is one.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use motte::fs::{self, File};
use motte::io::{self, ErrorKind, Write};
use motte::{control, system, thread};
use motte_fault_log::{Journal, Store};

motte::entry!(main);

/// How often a record is tried to be written: the file system itself may be what failed.
const ATTEMPTS: u32 = 10;
/// The wait before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(300);

/// The file system.
struct Files;

/// What is not there is no error.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

impl Store for Files {
    type Error = io::Error;

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(entries) = if_there(fs::read_dir(folder))? else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn read(&self, path: &str) -> io::Result<Option<String>> {
        let bytes = if_there(fs::read(path))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        if fs::metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }
}

fn main() {
    let mut journal = Journal::new(Files);
    let mut next = 1;
    loop {
        match system::next_fault(next) {
            Ok(record) => {
                keep(&mut journal, record.number, &record.text);
                next = record.number + 1;
                control::beat();
            }
            // The supervisor is being restarted.
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn keep(journal: &mut Journal<Files>, number: u64, text: &str) {
    for _ in 1..ATTEMPTS {
        if journal.keep(number, text).is_ok() {
            return;
        }
        thread::sleep(PAUSE);
    }
    if let Err(error) = journal.keep(number, text) {
        motte::log::warn!("fault record {number} could not be written to the disk: {error}");
    }
}

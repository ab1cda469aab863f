//! Files, as a program reads and writes them: through the file system's page cache, and to the disk.

use alloc::vec::Vec;
use core::cell::RefCell;

use motte::fs::{self, File};
use motte::io::{self, Read, Write};

use crate::failure::Failure;
use crate::machine::mark;
use crate::meter::Named;

/// What the disk is mounted on.
const MOUNTED: &str = "/";
const SMALL: &str = "/root/bench-4k";
const LARGE: [&str; 2] = ["/root/bench-64m-a", "/root/bench-64m-b"];
const MIB: usize = 1 << 20;
/// Size of a large file in MiB: more than twice what the page cache can hold.
const LARGE_MIB: usize = 64;
/// What is read or written at once.
const PIECE: usize = 128 << 10;
/// How often the large files are written and read.
const ROUNDS: usize = 2;

const WRONG_BYTES: Failure = Failure::Wrong("other bytes came than were written");

/// What is measured lies on a disk.
pub fn need_disk() -> Result<(), Failure> {
    match fs::statfs(MOUNTED)?.kind.as_str() {
        "ext4" => Ok(()),
        _ => Err(Failure::Unavailable("there is no disk with ext4")),
    }
}

/// Opens a file of 4 KiB, reads it, closes it. It lies on the disk's file system and in the page cache.
pub fn open_read_close(meter: &mut Named<'_>) -> Result<(), Failure> {
    need_disk()?;
    let contents: Vec<u8> = (0..4096).map(|index| (index / 16) as u8).collect();
    fs::write(SMALL, &contents)?;
    // What is counted and what checks it take turns.
    let buffer = RefCell::new(alloc::vec![0; 4096]);
    let result = meter.measure(
        200,
        || File::open(SMALL)?.read(&mut buffer.borrow_mut()),
        |count| {
            let mut buffer = buffer.borrow_mut();
            let right = count? == buffer.len() && *buffer == contents;
            buffer.fill(0);
            if right { Ok(()) } else { Err(WRONG_BYTES) }
        },
    );
    fs::remove_file(SMALL)?;
    result
}

/// The first bytes of a piece of a large file: which file and which piece.
fn head(file: usize, piece: usize) -> [u8; 8] {
    ((file + 1) << 32 | piece).to_le_bytes()
}

/// Writes a large file from its beginning and waits until it is on the disk.
fn write_large(file: usize, buffer: &mut [u8], mut at_mib: impl FnMut(usize)) -> io::Result<()> {
    let mut output = File::create(LARGE[file])?;
    for piece in 0..LARGE_MIB * MIB / PIECE {
        if piece % (MIB / PIECE) == 0 {
            at_mib(piece / (MIB / PIECE));
        }
        buffer[..8].copy_from_slice(&head(file, piece));
        output.write_all(buffer)?;
    }
    output.sync_all()
}

/// Reads a large file from its beginning to its end.
fn read_large(file: usize, buffer: &mut [u8], mut at_mib: impl FnMut(usize)) -> Result<(), Failure> {
    let mut input = File::open(LARGE[file])?;
    for piece in 0..LARGE_MIB * MIB / PIECE {
        if piece % (MIB / PIECE) == 0 {
            at_mib(piece / (MIB / PIECE));
        }
        input.read_exact(buffer)?;
        if buffer[..8] != head(file, piece) {
            return Err(WRONG_BYTES);
        }
    }
    Ok(())
}

/// Of a large file, one MiB in the middle is marked when operations are traced.
fn trace_middle(mib: usize) {
    match mib {
        32 => mark::<1>(),
        33 => mark::<2>(),
        _ => {}
    }
}

/// Removes the large files also when something failed.
struct Removed;

impl Drop for Removed {
    fn drop(&mut self) {
        for path in LARGE {
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes files of 64 MiB, each until it is on the disk.
pub fn write(meter: &mut Named<'_>) -> Result<(), Failure> {
    need_disk()?;
    let mut buffer = alloc::vec![0x5a; PIECE];
    let _removed = Removed;
    if meter.traces() {
        return Ok(write_large(0, &mut buffer, trace_middle)?);
    }
    for _ in 0..ROUNDS {
        for (file, path) in LARGE.iter().enumerate() {
            let _ = fs::remove_file(path);
            fs::sync()?;
            mark::<0x12>();
            write_large(file, &mut buffer, |_| {})?;
            mark::<0x13>();
        }
    }
    meter.report_marks(0x12, 0x13, LARGE_MIB, 2 * ROUNDS);
    Ok(())
}

/// Reads files of 64 MiB, of which nothing is in the page cache: since each was last touched, the other went through it.
pub fn read(meter: &mut Named<'_>) -> Result<(), Failure> {
    need_disk()?;
    let mut buffer = alloc::vec![0x5a; PIECE];
    let _removed = Removed;
    for file in 0..2 {
        write_large(file, &mut buffer, |_| {})?;
    }
    if meter.traces() {
        return read_large(0, &mut buffer, trace_middle);
    }
    for _ in 0..ROUNDS {
        for file in 0..2 {
            mark::<0x10>();
            read_large(file, &mut buffer, |_| {})?;
            mark::<0x11>();
        }
    }
    meter.report_marks(0x10, 0x11, LARGE_MIB, 2 * ROUNDS);
    Ok(())
}

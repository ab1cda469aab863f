//! What it costs those who use files when what serves them is killed: a copy that goes on.

use motte::fs::{self, File};
use motte::io::{Read, Write};
use motte::system;

use crate::failure::Failure;
use crate::files::need_disk;
use crate::machine::mark;
use crate::meter::Named;

pub const SOURCE: &str = "/root/bench-copy-a";
pub const TARGET: &str = "/root/bench-copy-b";
pub const MIB: usize = 1 << 20;
/// Size of the file in MiB; it is copied twice, 256 MiB in all.
const FILE_MIB: usize = 128;
const COPIES: usize = 2;
/// A component is killed in the middle of every so many MiB: eight times in all.
const BETWEEN_KILLS: usize = 32;
/// What is read and written at once.
pub const PIECE: usize = 128 << 10;

pub const WRONG_BYTES: Failure = Failure::Wrong("the copy differs");

/// Fills a piece of the file with bytes that no other piece has.
pub fn fill(buffer: &mut [u8], piece: usize) {
    for (index, word) in buffer.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *word = ((piece as u64) << 32 | index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    }
}

/// Removes the files also when something failed.
pub struct Removed;

impl Drop for Removed {
    fn drop(&mut self) {
        for path in [SOURCE, TARGET] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Copies the file, and ends with a copy on the disk. `at_mib` is told how far it is.
fn copy(buffer: &mut [u8], mut at_mib: impl FnMut(usize) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut source = File::open(SOURCE)?;
    let mut target = File::create(TARGET)?;
    for piece in 0..FILE_MIB * MIB / PIECE {
        if piece % (MIB / PIECE) == 0 {
            at_mib(piece / (MIB / PIECE))?;
        }
        source.read_exact(buffer)?;
        target.write_all(buffer)?;
    }
    Ok(target.sync_all()?)
}

/// Whether the copy is right, byte for byte.
fn check(buffer: &mut [u8]) -> Result<(), Failure> {
    let mut expected = alloc::vec![0; PIECE];
    let mut target = File::open(TARGET)?;
    for piece in 0..FILE_MIB * MIB / PIECE {
        target.read_exact(buffer)?;
        fill(&mut expected, piece);
        if *buffer != expected {
            return Err(WRONG_BYTES);
        }
    }
    if target.read(buffer)? == 0 { Ok(()) } else { Err(WRONG_BYTES) }
}

fn copies<const BEGIN: u32, const END: u32>(meter: &mut Named<'_>, victim: Option<&str>) -> Result<(), Failure> {
    need_disk()?;
    let mut buffer = alloc::vec![0; PIECE];
    let _removed = Removed;
    let mut source = File::create(SOURCE)?;
    for piece in 0..FILE_MIB * MIB / PIECE {
        fill(&mut buffer, piece);
        source.write_all(&buffer)?;
    }
    source.sync_all()?;
    drop(source);
    for _ in 0..COPIES {
        let _ = fs::remove_file(TARGET);
        fs::sync()?;
        mark::<BEGIN>();
        copy(&mut buffer, |mib| match victim {
            Some(victim) if mib % BETWEEN_KILLS == BETWEEN_KILLS / 2 => Ok(system::kill(victim)?),
            _ => Ok(()),
        })?;
        mark::<END>();
        check(&mut buffer)?;
    }
    meter.report_marks(BEGIN, END, FILE_MIB, COPIES);
    Ok(())
}

/// Copies, undisturbed.
pub fn copy_alone(meter: &mut Named<'_>) -> Result<(), Failure> {
    copies::<0x14, 0x15>(meter, None)
}

/// Copies while the disk's driver is killed again and again.
pub fn copy_driver(meter: &mut Named<'_>) -> Result<(), Failure> {
    copies::<0x16, 0x17>(meter, Some("virtio-blk"))
}

/// Copies while the file server is killed again and again.
pub fn copy_files(meter: &mut Named<'_>) -> Result<(), Failure> {
    copies::<0x18, 0x19>(meter, Some("fs"))
}

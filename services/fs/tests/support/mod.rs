//! What the tests share: a disk in memory that records its writes, and the tools of e2fsprogs.
#![allow(dead_code, missing_docs)]

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
};

use motte_fs::{
    clock::WallClock,
    disk::{Direction, Disk, DiskError, Geometry, MAX_TRANSFER, SECTOR_SIZE, TRANSFER_BOUNDARY, Ticket, Transfer},
    ext4::{Ext4, MountNotice, MountProblem},
    filesystem::{FileSystem, ReadAhead},
    memory::{Input, Output, Region},
    vfs::{OpenFlags, Vfs},
};

/// What reached the disk.
#[derive(Clone)]
pub enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

#[derive(Default)]
pub struct State {
    pub data: Vec<u8>,
    pub log: Vec<Event>,
    pub recording: bool,
    pub read_only: bool,
    pub fail_reads_of: Option<u64>,
    pub fail_writes: bool,
    pub reads: usize,
    pub read_sizes: Vec<usize>,
    pub write_sizes: Vec<usize>,
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(pub Arc<Mutex<State>>);

impl MemoryDisk {
    pub fn new(data: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { data, ..State::default() })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn image(&self) -> Vec<u8> {
        self.state().data.clone()
    }
}

impl Disk for MemoryDisk {
    fn geometry(&self) -> Geometry {
        let state = self.state();
        Geometry { sectors: (state.data.len() / SECTOR_SIZE) as u64, read_only: state.read_only }
    }

    fn submit(
        &mut self,
        mut memory: Region,
        direction: Direction,
        transfers: &[Transfer],
    ) -> Result<Ticket, DiskError> {
        let mut state = self.state();
        for transfer in transfers {
            assert!(transfer.length > 0 && transfer.length.is_multiple_of(SECTOR_SIZE));
            assert!(transfer.offset.is_multiple_of(4096) && transfer.length <= MAX_TRANSFER);
            let last = transfer.offset + transfer.length - 1;
            assert_eq!(transfer.offset / TRANSFER_BOUNDARY, last / TRANSFER_BOUNDARY);
            let start = transfer.sector as usize * SECTOR_SIZE;
            let range = start..start + transfer.length;
            match direction {
                Direction::Read => {
                    state.reads += 1;
                    state.read_sizes.push(transfer.length);
                    if let Some(bad) = state.fail_reads_of
                        && (range.start as u64..range.end as u64).contains(&(bad * SECTOR_SIZE as u64))
                    {
                        return Err(DiskError);
                    }
                    memory.write(transfer.offset, &state.data[range]);
                }
                Direction::Write => {
                    assert!(!state.read_only, "a read-only disk was written");
                    if state.fail_writes {
                        return Err(DiskError);
                    }
                    let mut bytes = vec![0; transfer.length];
                    memory.read(transfer.offset, &mut bytes);
                    state.data[range].copy_from_slice(&bytes);
                    state.write_sizes.push(transfer.length);
                    if state.recording {
                        state.log.push(Event::Write(transfer.sector, bytes));
                    }
                }
            }
        }
        Ok(Ticket(0))
    }

    fn wait(&mut self, _ticket: Ticket) -> Result<(), DiskError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let mut state = self.state();
        if state.recording {
            state.log.push(Event::Flush);
        }
        Ok(())
    }
}

pub fn clock() -> WallClock {
    WallClock::new(|| 1_790_000_000_000_000_000)
}

pub fn region(bytes: usize) -> Region {
    Region::new(Box::leak(vec![0xa5; bytes].into_boxed_slice()))
}

/// Whether e2fsprogs is here; says so when not.
pub fn have_tools() -> bool {
    let found = Command::new("mkfs.ext4").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: mkfs.ext4 is not installed (package e2fsprogs)");
    }
    found
}

/// An image made by mkfs.ext4.
pub fn make_image(mib: u64, options: &[&str], from: Option<&Path>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(mib << 20).unwrap();
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-U", "6a1b0f6e-3f0e-4d8e-9a50-3c9be6a7f4aa"]).args(options);
    if let Some(from) = from {
        command.arg("-d").arg(from);
    }
    let output = command.arg(&path).output().unwrap();
    assert!(output.status.success(), "mkfs.ext4: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&path).unwrap()
}

/// What e2fsck says of an image: its exit status and output.
pub fn fsck(image: &[u8], option: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    std::fs::write(&path, image).unwrap();
    let output = Command::new("e2fsck").args(["-f", option]).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// Fails unless e2fsck finds nothing.
pub fn assert_clean(image: &[u8], context: &str) {
    let (status, text) = fsck(image, "-n");
    if status != 0 {
        std::fs::write(std::env::temp_dir().join("motte-fs-broken.img"), image).unwrap();
    }
    assert_eq!(status, 0, "{context}: {text}");
}

/// Extracts an image's files to the host.
pub fn extract(image: &[u8], target: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    std::fs::write(&path, image).unwrap();
    let command = format!("rdump / {}", target.display());
    let output = Command::new("debugfs").args(["-R", &command]).arg(&path).output().unwrap();
    assert!(output.status.success());
}

pub fn mount(disk: &MemoryDisk) -> Result<(Ext4, Option<MountNotice>), MountProblem> {
    Ext4::mount(Box::new(disk.clone()), region(3 << 20), clock(), false)
}

pub fn mount_vfs(disk: &MemoryDisk) -> Vfs {
    let (file_system, _) = mount(disk).unwrap();
    Vfs::new(Box::new(file_system), "disk", clock())
}

pub fn write_file(vfs: &mut Vfs, path: &str, data: &[u8]) -> motte_fs::Result<()> {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let handle = vfs.open(1, path, flags, 0o644)?;
    let mut input = Input::new(data);
    let mut result = Ok(());
    while input.remaining() > 0 && result.is_ok() {
        result = vfs.write(1, handle, None, &mut input).map(|_| ());
    }
    vfs.close(1, handle)?;
    result
}

pub fn read_file(vfs: &mut Vfs, path: &str) -> motte_fs::Result<Vec<u8>> {
    let handle = vfs.open(1, path, OpenFlags::READ, 0)?;
    let mut data = Vec::new();
    let mut buffer = vec![0; 50_000];
    let result = loop {
        match vfs.read(1, handle, None, &mut Output::new(&mut buffer)) {
            Ok(0) => break Ok(()),
            Ok(got) => data.extend_from_slice(&buffer[..got]),
            Err(error) => break Err(error),
        }
    };
    vfs.close(1, handle)?;
    result.map(|()| data)
}

pub fn list(vfs: &mut Vfs, path: &str) -> motte_fs::Result<Vec<String>> {
    let handle = vfs.open(1, path, OpenFlags::READ | OpenFlags::DIRECTORY, 0)?;
    let mut names = Vec::new();
    let result = loop {
        match vfs.list(1, handle, None, 7) {
            Ok(batch) if batch.is_empty() => break Ok(()),
            Ok(batch) => names.extend(batch.into_iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned())),
            Err(error) => break Err(error),
        }
    };
    vfs.close(1, handle)?;
    names.sort();
    result.map(|()| names)
}

/// A small generator of pseudo-random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// Reads a whole file by node, as the file systems' own tests need.
pub fn read_node(file_system: &mut dyn FileSystem, node: u64) -> motte_fs::Result<Vec<u8>> {
    let size = file_system.attributes(node)?.size as usize;
    let mut data = vec![0; size];
    let got = file_system.read(node, 0, &mut Output::new(&mut data), &mut ReadAhead::default())?;
    data.truncate(got);
    Ok(data)
}

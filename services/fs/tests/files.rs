//! Files on ext4, compared with what the host's tools and the host's own file system say.

mod support;

use std::{collections::BTreeMap, path::Path};

use motte_fs::{
    Error,
    filesystem::Kind,
    memory::{Input, Output},
    vfs::{OpenFlags, Vfs},
};
use support::*;

fn host_tree(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    fn visit(root: &Path, folder: &Path, found: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("/{}", path.strip_prefix(root).unwrap().display());
            if name == "/lost+found" {
                continue;
            }
            let kind = path.symlink_metadata().unwrap();
            if kind.is_dir() {
                found.insert(name, None);
                visit(root, &path, found);
            } else if kind.is_file() {
                found.insert(name, Some(std::fs::read(&path).unwrap()));
            } else {
                let target = std::fs::read_link(&path).unwrap();
                found.insert(name, Some(target.to_string_lossy().into_owned().into_bytes()));
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}

fn vfs_tree(vfs: &mut Vfs) -> BTreeMap<String, Option<Vec<u8>>> {
    fn visit(vfs: &mut Vfs, folder: &str, found: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for name in list(vfs, if folder.is_empty() { "/" } else { folder }).unwrap() {
            let path = format!("{folder}/{name}");
            if path == "/lost+found" {
                continue;
            }
            match vfs.status(&path, false).unwrap().attributes.kind {
                Kind::Directory => {
                    found.insert(path.clone(), None);
                    visit(vfs, &path, found);
                }
                Kind::File => {
                    let data = read_file(vfs, &path).unwrap();
                    found.insert(path, Some(data));
                }
                _ => {
                    let target = vfs.read_symlink(&path).unwrap();
                    found.insert(path, Some(target.into_bytes()));
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(vfs, "", &mut found);
    found
}

fn assert_same(left: &BTreeMap<String, Option<Vec<u8>>>, right: &BTreeMap<String, Option<Vec<u8>>>) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (path, data) in left {
        let other = &right[path];
        let lengths = (data.as_ref().map(Vec::len), other.as_ref().map(Vec::len));
        if data != other {
            let at = data.iter().flatten().zip(other.iter().flatten()).position(|(a, b)| a != b);
            panic!("{path} differs: lengths {lengths:?}, first difference at {at:?}");
        }
    }
}

fn reads_what_the_host_wrote(options: &[&str]) {
    if !have_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(7);
    for directory in 0..4 {
        let path = folder.path().join(format!("folder{directory}"));
        std::fs::create_dir(&path).unwrap();
        for file in 0..60 {
            let length = random.below(1 << (file % 19)) as usize;
            std::fs::write(path.join(format!("file{file}")), random.bytes(length)).unwrap();
        }
        std::os::unix::fs::symlink("../folder0/file3", path.join("link")).unwrap();
    }
    std::fs::write(folder.path().join("big"), random.bytes(3_000_000)).unwrap();
    let disk = MemoryDisk::new(make_image(32, options, Some(folder.path())));
    let mut vfs = mount_vfs(&disk);
    assert_same(&host_tree(folder.path()), &vfs_tree(&mut vfs));
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after reading");
}

#[test]
fn files_written_by_the_host_read_the_same() {
    reads_what_the_host_wrote(&["-b", "4096"]);
}

#[test]
fn files_written_by_the_host_read_the_same_with_small_blocks() {
    reads_what_the_host_wrote(&["-b", "1024"]);
}

#[test]
fn files_written_by_the_host_read_the_same_without_extents_or_journal() {
    reads_what_the_host_wrote(&["-b", "4096", "-O", "^extent,^64bit,^has_journal"]);
}

/// Does the same random operations on the host's file system and on ours, and compares.
fn mirrors(options: &[&str], seed: u64, steps: usize) {
    if !have_tools() {
        return;
    }
    let host = tempfile::tempdir().unwrap();
    let root = host.path();
    let disk = MemoryDisk::new(make_image(48, options, None));
    let mut vfs = mount_vfs(&disk);
    let mut random = Random(seed);
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    for step in 0..steps {
        let folder = ["", "/a", "/b", "/a/c"][random.below(4) as usize];
        let path = format!("{folder}/f{}", random.below(12));
        let other = format!("{}/f{}", ["", "/a", "/b", "/a/c"][random.below(4) as usize], random.below(12));
        match random.below(16) {
            0 => {
                let directory = ["/a", "/b", "/a/c"][random.below(3) as usize];
                let ours = vfs.make_directory(directory, 0o755).is_ok();
                assert_eq!(ours, std::fs::create_dir(at(directory)).is_ok(), "mkdir {directory} at {step}");
            }
            1..=3 => {
                let length = random.below(200_000) as usize;
                let data = random.bytes(length);
                let ours = write_file(&mut vfs, &path, &data);
                assert_eq!(ours.is_ok(), std::fs::write(at(&path), &data).is_ok(), "write {path} at {step}: {ours:?}");
            }
            4..=6 => {
                let offset = random.below(300_000);
                let length = random.below(30_000) as usize;
                let data = random.bytes(length);
                let ours = vfs.open(1, &path, OpenFlags::WRITE, 0);
                let theirs = std::fs::OpenOptions::new().write(true).open(at(&path));
                assert_eq!(ours.is_ok(), theirs.is_ok(), "open {path} at {step}");
                if let (Ok(handle), Ok(file)) = (ours, theirs) {
                    use std::os::unix::fs::FileExt;
                    file.write_all_at(&data, offset).unwrap();
                    let put = vfs.write(1, handle, Some(offset), &mut Input::new(&data)).unwrap();
                    assert_eq!(put, length);
                    vfs.close(1, handle).unwrap();
                }
            }
            7 => {
                let size = random.below(250_000);
                let ours = vfs.truncate(&path, size);
                let theirs = std::fs::OpenOptions::new().write(true).open(at(&path)).and_then(|f| f.set_len(size));
                assert_eq!(ours.is_ok(), theirs.is_ok(), "truncate {path} to {size} at {step}: {ours:?}");
            }
            8 => {
                let ours = vfs.unlink(&path);
                assert_eq!(ours.is_ok(), std::fs::remove_file(at(&path)).is_ok(), "unlink {path} at {step}: {ours:?}");
            }
            9 | 10 => {
                let ours = vfs.rename(&path, &other);
                let theirs = std::fs::rename(at(&path), at(&other));
                assert_eq!(ours.is_ok(), theirs.is_ok(), "rename {path} {other} at {step}: {ours:?}");
            }
            11 => {
                let ours = vfs.link(&path, &other);
                let theirs = std::fs::hard_link(at(&path), at(&other));
                assert_eq!(ours.is_ok(), theirs.is_ok(), "link {path} {other} at {step}: {ours:?}");
            }
            12 => {
                let target = "x".repeat(1 + random.below(200) as usize);
                let ours = vfs.make_symlink(&target, &other);
                let theirs = std::os::unix::fs::symlink(&target, at(&other));
                assert_eq!(ours.is_ok(), theirs.is_ok(), "symlink {other} at {step}: {ours:?}");
            }
            13 => {
                let directory = ["/a", "/b", "/a/c"][random.below(3) as usize];
                let ours = vfs.remove_directory(directory).is_ok();
                assert_eq!(ours, std::fs::remove_dir(at(directory)).is_ok(), "rmdir {directory} at {step}");
            }
            14 => {
                let ours = read_file(&mut vfs, &path);
                let theirs = std::fs::read(at(&path));
                assert_eq!(ours.is_ok(), theirs.is_ok(), "read {path} at {step}: {ours:?}");
                assert!(ours.ok() == theirs.ok(), "the bytes of {path} differ at {step}");
            }
            _ => match random.below(3) {
                0 => vfs.sync().unwrap(),
                1 => {
                    if let Ok(handle) = vfs.open(1, &path, OpenFlags::READ, 0) {
                        vfs.sync_open(1, handle).unwrap();
                        vfs.close(1, handle).unwrap();
                    }
                }
                _ => {
                    vfs.shutdown().unwrap();
                    let context = format!("at step {step} of seed {seed}");
                    assert_clean(&disk.image(), &context);
                    vfs = mount_vfs(&disk);
                }
            },
        }
    }
    assert_same(&host_tree(root), &vfs_tree(&mut vfs));
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "at the end");
    let extracted = tempfile::tempdir().unwrap();
    extract(&disk.image(), extracted.path());
    assert_same(&host_tree(root), &host_tree(extracted.path()));
}

#[test]
fn random_operations_give_what_the_host_gives() {
    let seeds = std::env::var("MOTTE_FS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    for seed in 0..seeds {
        mirrors(&["-b", "4096"], seed, 300);
    }
}

#[test]
fn random_operations_give_what_the_host_gives_with_small_blocks() {
    mirrors(&["-b", "1024"], 100, 250);
}

#[test]
fn random_operations_give_what_the_host_gives_without_a_journal() {
    mirrors(&["-b", "4096", "-O", "^has_journal"], 200, 250);
}

#[test]
fn an_open_file_without_a_name_stays_readable() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], None));
    let mut vfs = mount_vfs(&disk);
    write_file(&mut vfs, "/file", b"still here").unwrap();
    let handle = vfs.open(1, "/file", OpenFlags::READ, 0).unwrap();
    vfs.unlink("/file").unwrap();
    assert_eq!(vfs.status("/file", true), Err(Error::NotFound));
    write_file(&mut vfs, "/file", b"another").unwrap();
    let mut buffer = [0; 20];
    assert_eq!(vfs.read(1, handle, None, &mut Output::new(&mut buffer)), Ok(10));
    assert_eq!(&buffer[..10], b"still here");
    assert_eq!(vfs.status_of_open(1, handle).unwrap().attributes.links, 0);
    vfs.client_gone(1);
    assert_eq!(vfs.open_files(), 0);
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after an unlinked open file");
}

#[test]
fn a_large_directory_lists_every_name_once() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(32, &["-b", "4096", "-N", "4096"], None));
    let mut vfs = mount_vfs(&disk);
    vfs.make_directory("/many", 0o755).unwrap();
    let mut expected = Vec::new();
    for index in 0..1500 {
        let name = format!("a file with a rather long name {index:05}");
        write_file(&mut vfs, &format!("/many/{name}"), name.as_bytes()).unwrap();
        expected.push(name);
    }
    assert_eq!(list(&mut vfs, "/many").unwrap(), expected);
    for name in expected.iter().step_by(2) {
        vfs.unlink(&format!("/many/{name}")).unwrap();
    }
    let left: Vec<String> = expected.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(list(&mut vfs, "/many").unwrap(), left);
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after many files");
    let mut vfs = mount_vfs(&disk);
    assert_eq!(list(&mut vfs, "/many").unwrap(), left);
    assert_eq!(read_file(&mut vfs, &format!("/many/{}", left[3])).unwrap(), left[3].as_bytes());
}

/// Makes names in every way there is, so many that an index of 1 KiB blocks gets a second level, and takes half of them back.
fn grows(options: &[&str], rounds: usize) {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(64, options, None));
    let mut vfs = mount_vfs(&disk);
    vfs.make_directory("/grown", 0o755).unwrap();
    vfs.make_directory("/other", 0o755).unwrap();
    write_file(&mut vfs, "/linked", b"linked").unwrap();
    let mut expected = Vec::new();
    for round in 0..rounds {
        let way = round % 7;
        let name = format!("{round:05}{}", "-".repeat(round * 37 % 250));
        let path = format!("/grown/{name}");
        let result = match way {
            0 => write_file(&mut vfs, &path, name.as_bytes()),
            1 => write_file(&mut vfs, "/grown/new", name.as_bytes()).and_then(|()| vfs.rename("/grown/new", &path)),
            2 => write_file(&mut vfs, "/other/new", name.as_bytes()).and_then(|()| vfs.rename("/other/new", &path)),
            3 => vfs.link("/linked", &path),
            4 => vfs.make_symlink("../linked", &path),
            5 => vfs.make_directory(&path, 0o755),
            _ => vfs.make_directory("/grown/directory", 0o755).and_then(|()| vfs.rename("/grown/directory", &path)),
        };
        assert_eq!(result, Ok(()), "name {round} of {options:?}, made in way {way}");
        expected.push(name);
    }
    assert_eq!(list(&mut vfs, "/grown").unwrap(), expected);
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after a directory grew");
    let mut vfs = mount_vfs(&disk);
    for (round, name) in expected.iter().enumerate().skip(1).step_by(2) {
        let path = format!("/grown/{name}");
        let result = if matches!(round % 7, 5 | 6) { vfs.remove_directory(&path) } else { vfs.unlink(&path) };
        assert_eq!(result, Ok(()), "removing {path}");
    }
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after half of its names were removed");
    let mut vfs = mount_vfs(&disk);
    let left: Vec<String> = expected.iter().step_by(2).cloned().collect();
    assert_eq!(list(&mut vfs, "/grown").unwrap(), left);
    for (index, name) in left.iter().enumerate() {
        let contents = match 2 * index % 7 {
            0..=2 => name,
            3 | 4 => "linked",
            _ => continue,
        };
        assert_eq!(read_file(&mut vfs, &format!("/grown/{name}")).unwrap(), contents.as_bytes());
    }
}

#[test]
fn a_directory_grows_however_a_name_is_made() {
    for block_size in ["1024", "2048", "4096"] {
        grows(&["-b", block_size, "-N", "4096"], 1500);
    }
}

#[test]
fn a_directory_without_an_index_grows_however_a_name_is_made() {
    for block_size in ["1024", "2048", "4096"] {
        grows(&["-b", block_size, "-N", "4096", "-O", "^dir_index"], 700);
    }
}

#[test]
fn a_full_disk_is_said_and_survived() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], None));
    let mut vfs = mount_vfs(&disk);
    let data = vec![0x5a; 1 << 20];
    let mut written = 0;
    let error = loop {
        match write_file(&mut vfs, &format!("/file{written}"), &data) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NoSpace);
    assert!(written >= 5, "only {written} MiB fitted");
    vfs.sync().unwrap();
    assert!(vfs.space("/").unwrap().space.blocks_free < 300);
    for index in 0..written {
        assert_eq!(read_file(&mut vfs, &format!("/file{index}")).unwrap(), data);
    }
    vfs.unlink("/file0").unwrap();
    write_file(&mut vfs, "/again", &data[..900_000]).unwrap();
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after a full disk");
    let mut vfs = mount_vfs(&disk);
    assert_eq!(read_file(&mut vfs, "/again").unwrap(), &data[..900_000]);
}

#[test]
fn sequential_reads_are_large_and_run_ahead() {
    if !have_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = Random(3).bytes(8 << 20);
    std::fs::write(folder.path().join("big"), &data).unwrap();
    let disk = MemoryDisk::new(make_image(32, &["-b", "4096"], Some(folder.path())));
    let mut vfs = mount_vfs(&disk);
    vfs.status("/big", true).unwrap();
    disk.state().read_sizes.clear();
    assert_eq!(read_file(&mut vfs, "/big").unwrap(), data);
    let sizes = disk.state().read_sizes.clone();
    assert!(sizes.len() < 60, "{} reads: {sizes:?}", sizes.len());
}

/// Writes pieces of `chunk` bytes until the disk is full.
fn fill(vfs: &mut Vfs, path: &str, chunk: usize) -> u64 {
    let handle = vfs.open(1, path, OpenFlags::WRITE | OpenFlags::CREATE, 0o644).unwrap();
    let data: Vec<u8> = (0..chunk).map(|index| index as u8).collect();
    let mut written = 0;
    let error = loop {
        match vfs.write(1, handle, None, &mut Input::new(&data[written as usize % chunk..])) {
            Ok(count) => written += count as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NoSpace);
    vfs.close(1, handle).unwrap();
    written
}

#[test]
fn a_disk_that_ran_full_is_clean_after_unmount() {
    if !have_tools() {
        return;
    }
    for (mib, block, chunk) in
        [(16, "1024", 300_000), (16, "1024", 1 << 20), (32, "2048", 10_000), (64, "4096", 1 << 20)]
    {
        let context = format!("{mib} MiB, blocks of {block}, {chunk} bytes at once");
        let disk = MemoryDisk::new(make_image(mib, &["-b", block], None));
        let mut vfs = mount_vfs(&disk);
        write_file(&mut vfs, "/small", &vec![3; 100_000]).unwrap();
        let written = fill(&mut vfs, "/full", chunk);
        fill(&mut vfs, "/more", chunk);
        vfs.unlink("/small").unwrap();
        vfs.sync().unwrap();
        assert_clean(&disk.image(), &format!("{context}, full"));
        let data = read_file(&mut vfs, "/full").unwrap();
        assert_eq!(data.len() as u64, written, "{context}");
        assert!(data.iter().enumerate().all(|(index, byte)| *byte == (index % chunk) as u8), "{context}");
        vfs.unlink("/full").unwrap();
        vfs.shutdown().unwrap();
        assert_clean(&disk.image(), &context);
    }
}

#[test]
fn a_write_larger_than_the_cache_is_shortened() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(32, &["-b", "4096"], None));
    let mut vfs = mount_vfs(&disk);
    let data = Random(9).bytes(8 << 20);
    let handle = vfs.open(1, "/big", OpenFlags::WRITE | OpenFlags::CREATE, 0o644).unwrap();
    let mut written = 0;
    while written < data.len() {
        written += vfs.write(1, handle, None, &mut Input::new(&data[written..])).unwrap();
    }
    vfs.close(1, handle).unwrap();
    assert_eq!(read_file(&mut vfs, "/big").unwrap(), data);
    vfs.shutdown().unwrap();
    assert_clean(&disk.image(), "after large writes");
}

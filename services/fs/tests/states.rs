//! Disks that are missing something: what is said, and that nothing panics.

mod support;

use motte_fs::{
    Error,
    ext4::{Ext4, MountNotice, MountProblem},
    filesystem::{FileSystem, Kind},
    vfs::Vfs,
};
use support::*;

fn problem(disk: &MemoryDisk) -> MountProblem {
    match mount(disk) {
        Ok(_) => panic!("it mounted"),
        Err(problem) => problem,
    }
}

#[test]
fn a_disk_without_ext4_is_told_from_a_broken_one() {
    assert_eq!(problem(&MemoryDisk::new(vec![])), MountProblem::NotExt4);
    assert_eq!(problem(&MemoryDisk::new(vec![0; 512])), MountProblem::NotExt4);
    assert_eq!(problem(&MemoryDisk::new(vec![0; 1 << 20])), MountProblem::NotExt4);
    let disk = MemoryDisk::new(vec![0; 1 << 20]);
    disk.state().fail_reads_of = Some(2);
    assert_eq!(problem(&disk), MountProblem::Unreadable);
    assert_eq!(MountProblem::NotExt4.to_string(), "the disk holds no ext4 file system");
}

#[test]
fn a_disk_that_is_too_small_for_its_file_system_is_refused() {
    if !have_tools() {
        return;
    }
    let mut image = make_image(16, &["-b", "4096"], None);
    image.truncate(8 << 20);
    assert_eq!(problem(&MemoryDisk::new(image)), MountProblem::Truncated);
}

#[test]
fn unsupported_features_are_said() {
    if !have_tools() {
        return;
    }
    let image = make_image(16, &["-b", "4096", "-O", "inline_data"], None);
    assert_eq!(problem(&MemoryDisk::new(image)), MountProblem::Unsupported);
}

#[test]
fn a_read_only_disk_is_mounted_read_only_and_never_written() {
    if !have_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "content").unwrap();
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], Some(folder.path())));
    disk.state().read_only = true;
    let (file_system, notice) = mount(&disk).unwrap();
    assert_eq!(notice, Some(MountNotice::DiskReadOnly));
    let mut vfs = Vfs::new(Box::new(file_system), "disk", clock());
    assert_eq!(read_file(&mut vfs, "/file").unwrap(), b"content");
    assert_eq!(write_file(&mut vfs, "/file", b"x"), Err(Error::ReadOnlyFilesystem));
    assert_eq!(write_file(&mut vfs, "/new", b"x"), Err(Error::ReadOnlyFilesystem));
    assert_eq!(vfs.make_directory("/d", 0o755), Err(Error::ReadOnlyFilesystem));
    assert_eq!(vfs.unlink("/file"), Err(Error::ReadOnlyFilesystem));
    assert_eq!(vfs.rename("/file", "/other"), Err(Error::ReadOnlyFilesystem));
    assert_eq!(vfs.mounts()[0].options, "ro");
    vfs.shutdown().unwrap();
}

#[test]
fn a_file_system_marked_as_damaged_is_mounted_read_only() {
    if !have_tools() {
        return;
    }
    let mut image = make_image(16, &["-b", "4096", "-O", "^metadata_csum"], None);
    image[1024 + 0x3a] |= 2;
    let (_, notice) = mount(&MemoryDisk::new(image)).unwrap();
    assert_eq!(notice, Some(MountNotice::HasErrors));
}

#[test]
fn a_damaged_group_descriptor_is_said() {
    if !have_tools() {
        return;
    }
    let mut image = make_image(16, &["-b", "4096"], None);
    image[4096 + 8] ^= 0xff;
    assert!(matches!(problem(&MemoryDisk::new(image)), MountProblem::Damaged(_)));
}

#[test]
fn an_unclean_file_system_is_recovered_and_said_so() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], None));
    let mut vfs = mount_vfs(&disk);
    write_file(&mut vfs, "/kept", b"synced").unwrap();
    vfs.sync().unwrap();
    drop(vfs);
    let (file_system, notice) = mount(&disk).unwrap();
    assert_eq!(notice, Some(MountNotice::Recovered));
    let mut vfs = Vfs::new(Box::new(file_system), "disk", clock());
    assert_eq!(read_file(&mut vfs, "/kept").unwrap(), b"synced");
    vfs.shutdown().unwrap();
    let (_, notice) = mount(&disk).unwrap();
    assert_eq!(notice, None);
}

#[test]
fn a_disk_that_stops_taking_writes_gives_errors_and_keeps_reading() {
    if !have_tools() {
        return;
    }
    let disk = MemoryDisk::new(make_image(16, &["-b", "4096"], None));
    let mut vfs = mount_vfs(&disk);
    write_file(&mut vfs, "/file", b"before").unwrap();
    vfs.sync().unwrap();
    disk.state().fail_writes = true;
    write_file(&mut vfs, "/other", b"lost").unwrap();
    assert_eq!(vfs.sync(), Err(Error::Io));
    assert_eq!(read_file(&mut vfs, "/file").unwrap(), b"before");
    assert!(vfs.sync().is_err());
    assert!(vfs.shutdown().is_err());
}

#[test]
fn a_bad_sector_spoils_only_the_reads_that_need_it() {
    if !have_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = Random(1).bytes(400_000);
    std::fs::write(folder.path().join("file"), &data).unwrap();
    let image = make_image(16, &["-b", "4096"], Some(folder.path()));
    let at = image.windows(64).position(|window| window == &data[200 * 1024..200 * 1024 + 64]).unwrap();
    let disk = MemoryDisk::new(image);
    let (mut file_system, _) = mount(&disk).unwrap();
    disk.state().fail_reads_of = Some(at as u64 / 512);
    let root = file_system.root();
    let node = file_system.lookup(root, b"file").unwrap().node;
    assert_eq!(read_node(&mut file_system, node), Err(Error::Io));
    let mut ahead = Default::default();
    let mut buffer = vec![0; 200 * 1024];
    let mut output = motte_fs::memory::Output::new(&mut buffer);
    assert_eq!(file_system.read(node, 0, &mut output, &mut ahead), Ok(200 * 1024));
    assert_eq!(buffer, data[..200 * 1024]);
}

/// Walks and reads everything, ignoring errors.
fn look_at_all(file_system: &mut Ext4) {
    let mut folders = vec![(file_system.root(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let mut position = 0;
        for _ in 0..64 {
            let Ok(entries) = file_system.list(folder, position, 32) else { break };
            let Some(last) = entries.last() else { break };
            position = last.next;
            for entry in &entries {
                seen += 1;
                if seen > 600 {
                    return;
                }
                let _ = file_system.lookup(folder, &entry.name);
                let Ok(attributes) = file_system.attributes(entry.node) else { continue };
                match attributes.kind {
                    Kind::Directory if depth < 8 => folders.push((entry.node, depth + 1)),
                    Kind::File if attributes.size < 1 << 22 => {
                        let _ = read_node(file_system, entry.node);
                    }
                    Kind::Symlink => {
                        let _ = file_system.read_symlink(entry.node);
                    }
                    _ => {}
                }
            }
        }
    }
}

fn change_things(file_system: &mut Ext4, random: &mut Random) {
    use motte_fs::memory::Input;
    let root = file_system.root();
    for index in 0..12 {
        let name = format!("made{index}");
        if let Ok(node) = file_system.create(root, name.as_bytes(), 0o644) {
            let data = random.bytes(9000);
            let _ = file_system.write(node, random.below(100_000), &mut Input::new(&data));
        }
        let _ = file_system.make_directory(root, format!("dir{index}").as_bytes(), 0o755);
        let Ok(entries) = file_system.list(root, 0, 64) else { continue };
        if entries.is_empty() {
            continue;
        }
        let entry = &entries[random.below(entries.len() as u64) as usize];
        let _ = match random.below(5) {
            0 => file_system.unlink(root, &entry.name),
            1 => file_system.remove_directory(root, &entry.name),
            2 => file_system.truncate(entry.node, random.below(50_000)),
            3 => file_system.rename(root, &entry.name, root, b"renamed"),
            _ => file_system.sync(),
        };
    }
    let _ = file_system.sync();
    let _ = file_system.unmount();
}

fn damage(options: &[&str], rounds: u64) {
    if !have_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for index in 0..150 {
        let directory = folder.path().join(format!("d{}", index % 3));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("file number {index}")), Random(index).bytes(index as usize * 300))
            .unwrap();
    }
    std::os::unix::fs::symlink("d0/file number 0", folder.path().join("link")).unwrap();
    let image = make_image(16, options, Some(folder.path()));
    // Where the metadata is: all pages that hold something, the file data among them.
    let pages: Vec<usize> =
        (0..image.len() / 1024).filter(|page| image[page * 1024..][..1024].iter().any(|byte| *byte != 0)).collect();
    let mut failures = Vec::new();
    for seed in 0..rounds {
        let mut random = Random(seed);
        let mut damaged = image.clone();
        for _ in 0..1 + random.below(40) {
            // Half of the damage in the first pages, where superblock, descriptors and tables are.
            let most = if random.below(2) == 0 { pages.len() / 8 } else { pages.len() };
            let at = pages[random.below(most as u64) as usize] * 1024 + random.below(1024) as usize;
            damaged[at] = match random.below(3) {
                0 => damaged[at] ^ (1 << random.below(8)),
                1 => random.next() as u8,
                _ => [0, 0xff, 0x7f, 0x80][random.below(4) as usize],
            };
        }
        let disk = MemoryDisk::new(damaged);
        let outcome = std::panic::catch_unwind(|| {
            if let Ok((mut file_system, _)) = mount(&disk) {
                look_at_all(&mut file_system);
                change_things(&mut file_system, &mut Random(seed));
            }
        });
        if outcome.is_err() {
            failures.push(seed);
        }
    }
    assert!(failures.is_empty(), "panics with seeds {failures:?}");
}

fn rounds(default: u64) -> u64 {
    std::env::var("MOTTE_FS_DAMAGE").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

#[test]
fn damage_gives_errors_and_no_panic() {
    damage(&["-b", "1024", "-O", "^metadata_csum"], rounds(150));
}

#[test]
fn damage_gives_errors_and_no_panic_with_large_blocks() {
    damage(&["-b", "4096", "-O", "^metadata_csum"], rounds(150));
}

#[test]
fn damage_gives_errors_and_no_panic_with_checksums() {
    damage(&["-b", "4096"], rounds(80));
}

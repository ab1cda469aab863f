//! Paths, mounts and handles.

mod support;

use motte_fs::{
    Error,
    filesystem::{AttributeChange, Kind},
    memory::{Input, Output},
    memory_fs::MemoryFs,
    vfs::{OpenFlags, Vfs, Whence},
};
use support::*;

fn tree() -> Vfs {
    let mut vfs = Vfs::new(Box::new(MemoryFs::new(1 << 20, clock())), "memory", clock());
    vfs.make_directory("/tmp", 0o777).unwrap();
    vfs.mount_memory("/tmp", "size=64k", 1 << 20).unwrap();
    vfs
}

/// The same tests on a memory file system and on ext4.
fn everywhere(test: fn(&mut Vfs)) {
    test(&mut tree());
    if !have_tools() {
        return;
    }
    for block_size in ["4096", "1024"] {
        let disk = MemoryDisk::new(make_image(16, &["-b", block_size], None));
        let mut vfs = mount_vfs(&disk);
        vfs.make_directory("/tmp", 0o777).unwrap();
        vfs.mount_memory("/tmp", "size=64k", 1 << 20).unwrap();
        test(&mut vfs);
        vfs.shutdown().unwrap();
        assert_clean(&disk.image(), "at the end");
    }
}

#[test]
fn paths_lead_where_posix_says() {
    everywhere(|vfs| {
        vfs.make_directory("/a", 0o755).unwrap();
        vfs.make_directory("/a/b", 0o755).unwrap();
        write_file(vfs, "/a/b/file", b"x").unwrap();
        vfs.make_symlink("b/file", "/a/link").unwrap();
        vfs.make_symlink("/a", "/absolute").unwrap();
        vfs.make_symlink("loop", "/loop").unwrap();
        vfs.make_symlink("../tmp/../a/b", "/a/up").unwrap();
        assert_eq!(vfs.canonicalize("/"), Ok("/".into()));
        assert_eq!(vfs.canonicalize("//a/./b/../link"), Ok("/a/b/file".into()));
        assert_eq!(vfs.canonicalize("/absolute/up/file"), Ok("/a/b/file".into()));
        assert_eq!(vfs.canonicalize("/../../tmp/.."), Ok("/".into()));
        assert_eq!(vfs.canonicalize("/missing"), Err(Error::NotFound));
        assert_eq!(vfs.canonicalize("/a/b/file/"), Err(Error::NotADirectory));
        assert_eq!(vfs.canonicalize("/a/link/"), Err(Error::NotADirectory));
        assert_eq!(vfs.canonicalize("/a/b/file/.."), Err(Error::NotADirectory));
        assert_eq!(vfs.status("/loop", true), Err(Error::Loop));
        assert_eq!(vfs.status("/loop", false).unwrap().attributes.kind, Kind::Symlink);
        assert_eq!(vfs.status("", true), Err(Error::NotFound));
        assert_eq!(vfs.status("relative", true), Err(Error::InvalidArgument));
        assert_eq!(vfs.status(&format!("/{}", "n".repeat(256)), true), Err(Error::NameTooLong));
        assert_eq!(vfs.status(&"/n".repeat(3000), true), Err(Error::NameTooLong));
        assert_eq!(vfs.read_symlink("/a/link"), Ok("b/file".into()));
        assert_eq!(vfs.read_symlink("/a/b"), Err(Error::InvalidArgument));
    });
}

#[test]
fn a_dangling_symlink_is_written_through() {
    everywhere(|vfs| {
        vfs.make_symlink("made", "/link").unwrap();
        write_file(vfs, "/link", b"through").unwrap();
        assert_eq!(read_file(vfs, "/made").unwrap(), b"through");
        let flags = OpenFlags::WRITE | OpenFlags::CREATE_NEW;
        assert_eq!(vfs.open(1, "/link", flags, 0), Err(Error::AlreadyExists));
        assert_eq!(vfs.open(1, "/link", OpenFlags::READ | OpenFlags::NO_FOLLOW, 0), Err(Error::Loop));
    });
}

#[test]
fn names_are_made_and_removed_as_posix_says() {
    everywhere(|vfs| {
        vfs.make_directory("/d", 0o750).unwrap();
        assert_eq!(vfs.make_directory("/d", 0o755), Err(Error::AlreadyExists));
        assert_eq!(vfs.make_directory("/", 0o755), Err(Error::AlreadyExists));
        assert_eq!(vfs.make_directory("/x/y", 0o755), Err(Error::NotFound));
        write_file(vfs, "/d/f", b"1").unwrap();
        assert_eq!(vfs.make_directory("/d/f/y", 0o755), Err(Error::NotADirectory));
        assert_eq!(vfs.remove_directory("/d"), Err(Error::DirectoryNotEmpty));
        assert_eq!(vfs.remove_directory("/d/f"), Err(Error::NotADirectory));
        assert_eq!(vfs.unlink("/d"), Err(Error::IsADirectory));
        assert_eq!(vfs.unlink("/d/g"), Err(Error::NotFound));
        vfs.link("/d/f", "/d/g").unwrap();
        assert_eq!(vfs.status("/d/g", true).unwrap().attributes.links, 2);
        assert_eq!(vfs.link("/d/f", "/d/g"), Err(Error::AlreadyExists));
        assert_eq!(vfs.link("/d", "/e"), Err(Error::PermissionDenied));
        assert_eq!(vfs.link("/d/f", "/tmp/f"), Err(Error::CrossesDevices));
        vfs.unlink("/d/f").unwrap();
        assert_eq!(read_file(vfs, "/d/g").unwrap(), b"1");
        assert_eq!(vfs.rename("/d/g", "/tmp/g"), Err(Error::CrossesDevices));
        assert_eq!(vfs.rename("/d", "/d/sub"), Err(Error::InvalidArgument));
        assert_eq!(vfs.rename("/d", "/d/../d/sub"), Err(Error::InvalidArgument));
        vfs.make_directory("/e", 0o755).unwrap();
        vfs.rename("/d", "/e").unwrap();
        assert_eq!(vfs.status("/d", true), Err(Error::NotFound));
        assert_eq!(vfs.status("/e", true).unwrap().attributes.mode(), 0o040750);
        vfs.make_directory("/e/sub", 0o755).unwrap();
        assert_eq!(vfs.rename("/e/g", "/e/sub"), Err(Error::IsADirectory));
        assert_eq!(vfs.rename("/e/sub", "/e/g"), Err(Error::NotADirectory));
        assert_eq!(vfs.rename("/e/g", "/e/new/"), Err(Error::NotADirectory));
        vfs.rename("/e/sub", "/sub/").unwrap();
        write_file(vfs, "/other", b"replaced").unwrap();
        vfs.rename("/e/g", "/other").unwrap();
        assert_eq!(read_file(vfs, "/other").unwrap(), b"1");
        vfs.rename("/other", "/other").unwrap();
        assert_eq!(list(vfs, "/e").unwrap(), Vec::<String>::new());
        vfs.remove_directory("/e/").unwrap();
        assert_eq!(vfs.remove_directory("/sub/."), Err(Error::InvalidArgument));
        assert_eq!(vfs.remove_directory("/"), Err(Error::Busy));
    });
}

#[test]
fn mounts_cover_and_uncover() {
    everywhere(|vfs| {
        write_file(vfs, "/tmp/inside", b"memory").unwrap();
        assert_ne!(vfs.status("/tmp", true).unwrap().device, vfs.status("/", true).unwrap().device);
        assert_eq!(vfs.canonicalize("/tmp/../tmp/inside"), Ok("/tmp/inside".into()));
        assert_eq!(vfs.remove_directory("/tmp"), Err(Error::Busy));
        assert_eq!(vfs.rename("/tmp", "/t"), Err(Error::Busy));
        let handle = vfs.open(5, "/tmp/inside", OpenFlags::READ, 0).unwrap();
        assert_eq!(vfs.unmount("/tmp"), Err(Error::Busy));
        vfs.close(5, handle).unwrap();
        assert_eq!(vfs.mounts().len(), 2);
        assert_eq!(vfs.mounts()[1].target, "/tmp");
        assert_eq!(vfs.mounts()[1].options, "rw,size=64k");
        assert_eq!(vfs.space("/tmp").unwrap().kind, "memory");
        vfs.unmount("/tmp").unwrap();
        assert_eq!(list(vfs, "/tmp").unwrap(), Vec::<String>::new());
        assert_eq!(vfs.unmount("/tmp"), Err(Error::InvalidArgument));
        assert_eq!(vfs.unmount("/"), Err(Error::Busy));
        vfs.mount_memory("/tmp", "", 1 << 20).unwrap();
        vfs.make_directory("/tmp/deep", 0o755).unwrap();
        vfs.mount_memory("/tmp/deep", "", 1 << 20).unwrap();
        assert_eq!(vfs.unmount("/tmp"), Err(Error::Busy));
        assert_eq!(vfs.mount_memory("/tmp", "size=lots", 1), Err(Error::InvalidArgument));
    });
}

#[test]
fn a_memory_file_system_keeps_its_limit() {
    let mut vfs = tree();
    assert_eq!(write_file(&mut vfs, "/tmp/big", &vec![1; 100_000]), Err(Error::NoSpace));
    vfs.unlink("/tmp/big").unwrap();
    write_file(&mut vfs, "/tmp/fits", &vec![1; 50_000]).unwrap();
    vfs.unlink("/tmp/fits").unwrap();
    assert_eq!(vfs.space("/tmp").unwrap().space.blocks_free, 16);
}

#[test]
fn handles_keep_positions_and_modes() {
    everywhere(|vfs| {
        let handle = vfs.open(1, "/f", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE, 0o600).unwrap();
        assert_eq!(vfs.write(1, handle, None, &mut Input::new(b"hello world")), Ok(11));
        assert_eq!(vfs.seek(1, handle, Whence::End, -5), Ok(6));
        let shared = vfs.duplicate(1, handle, 2).unwrap();
        let mut buffer = [0; 3];
        assert_eq!(vfs.read(2, shared, None, &mut Output::new(&mut buffer)), Ok(3));
        assert_eq!(&buffer, b"wor");
        assert_eq!(vfs.seek(1, handle, Whence::Current, 0), Ok(9));
        assert_eq!(vfs.seek(1, handle, Whence::Start, -1), Err(Error::InvalidArgument));
        assert_eq!(vfs.read(1, handle, Some(0), &mut Output::new(&mut buffer)), Ok(3));
        assert_eq!(&buffer, b"hel");
        let append = vfs.open(1, "/f", OpenFlags::APPEND, 0).unwrap();
        assert_eq!(vfs.write(1, append, None, &mut Input::new(b"!")), Ok(1));
        assert_eq!(vfs.read(1, append, None, &mut Output::new(&mut buffer)), Err(Error::BadHandle));
        vfs.set_length(1, handle, 5).unwrap();
        assert_eq!(vfs.write(1, append, None, &mut Input::new(b"?")), Ok(1));
        assert_eq!(read_file(vfs, "/f").unwrap(), b"hello?");
        vfs.client_gone(1);
        assert_eq!(vfs.status_of_open(2, shared).unwrap().attributes.size, 6);
        assert_eq!(vfs.close(2, shared), Ok(()));
        assert_eq!(vfs.close(2, shared), Err(Error::BadHandle));
        assert_eq!(vfs.open_files(), 0);
        assert_eq!(vfs.open(1, "/", OpenFlags::WRITE, 0), Err(Error::IsADirectory));
        assert_eq!(vfs.open(1, "/f", OpenFlags::READ | OpenFlags::TRUNCATE, 0), Err(Error::InvalidArgument));
        assert_eq!(vfs.open(1, "/f", OpenFlags::READ | OpenFlags::DIRECTORY, 0), Err(Error::NotADirectory));
    });
}

#[test]
fn attributes_change_and_stay() {
    everywhere(|vfs| {
        write_file(vfs, "/f", b"data").unwrap();
        let change = AttributeChange { permissions: Some(0o4711), accessed: Some(1000), modified: Some(2000) };
        vfs.set_attributes("/f", true, change).unwrap();
        vfs.sync().unwrap();
        let attributes = vfs.status("/f", true).unwrap().attributes;
        assert_eq!(attributes.mode(), 0o104711);
        assert_eq!((attributes.accessed, attributes.modified, attributes.changed), (1000, 2000, 1_790_000_000));
        assert_eq!((attributes.size, attributes.links), (4, 1));
    });
}

#[test]
fn extending_a_file_shows_zeros() {
    everywhere(|vfs| {
        write_file(vfs, "/f", &[7; 5000]).unwrap();
        vfs.sync().unwrap();
        vfs.truncate("/f", 4500).unwrap();
        vfs.truncate("/f", 9000).unwrap();
        let mut expected = vec![7; 4500];
        expected.resize(9000, 0);
        assert_eq!(read_file(vfs, "/f").unwrap(), expected);
        let handle = vfs.open(1, "/f", OpenFlags::WRITE, 0).unwrap();
        vfs.write(1, handle, Some(20_000), &mut Input::new(&[9; 10])).unwrap();
        vfs.close(1, handle).unwrap();
        expected.resize(20_000, 0);
        expected.extend([9; 10]);
        assert_eq!(read_file(vfs, "/f").unwrap(), expected);
        vfs.sync().unwrap();
        assert_eq!(read_file(vfs, "/f").unwrap(), expected);
    });
}

#[test]
fn a_removed_directory_takes_no_new_names() {
    everywhere(|vfs| {
        vfs.make_directory("/d", 0o755).unwrap();
        let handle = vfs.open(1, "/d", OpenFlags::READ | OpenFlags::DIRECTORY, 0).unwrap();
        vfs.remove_directory("/d").unwrap();
        assert_eq!(vfs.list(1, handle, None, 10), Ok(vec![]));
        vfs.close(1, handle).unwrap();
        vfs.make_directory("/d", 0o755).unwrap();
        write_file(vfs, "/d/f", b"new").unwrap();
    });
}

#[test]
fn every_error_has_a_code_and_a_sentence() {
    for (index, error) in Error::ALL.into_iter().enumerate() {
        assert_eq!(error.code() as usize, index + 1);
        assert_eq!(Error::from_code(error.code()), Some(error));
        assert!(error.to_string().len() > 10);
    }
    assert_eq!((Error::from_code(0), Error::from_code(200)), (None, None));
}

#[test]
fn a_path_that_was_known_leads_to_what_is_there_now() {
    everywhere(|vfs| {
        let kind = |vfs: &mut Vfs, path: &str| vfs.status(path, true).map(|status| status.attributes.kind);
        vfs.make_directory("/d", 0o755).unwrap();
        write_file(vfs, "/d/f", b"first").unwrap();
        vfs.make_symlink("d/f", "/link").unwrap();
        for path in ["/d/f", "/link", "//d/./f"] {
            assert_eq!(read_file(vfs, path).unwrap(), b"first");
        }
        vfs.unlink("/d/f").unwrap();
        for path in ["/d/f", "/link", "//d/./f"] {
            assert_eq!(read_file(vfs, path), Err(Error::NotFound));
        }
        write_file(vfs, "/d/f", b"second").unwrap();
        assert_eq!(read_file(vfs, "/link").unwrap(), b"second");
        write_file(vfs, "/other", b"third").unwrap();
        vfs.rename("/other", "/d/f").unwrap();
        assert_eq!(read_file(vfs, "/link").unwrap(), b"third");
        assert_eq!(read_file(vfs, "/other"), Err(Error::NotFound));
        vfs.rename("/d", "/e").unwrap();
        assert_eq!(read_file(vfs, "/d/f"), Err(Error::NotFound));
        assert_eq!(read_file(vfs, "/e/f").unwrap(), b"third");
        vfs.mount_memory("/e", "size=16k", 1 << 14).unwrap();
        assert_eq!(read_file(vfs, "/e/f"), Err(Error::NotFound));
        write_file(vfs, "/e/f", b"covers").unwrap();
        assert_eq!(read_file(vfs, "/e/f").unwrap(), b"covers");
        vfs.unmount("/e").unwrap();
        assert_eq!(read_file(vfs, "/e/f").unwrap(), b"third");
        vfs.unlink("/e/f").unwrap();
        assert_eq!(kind(vfs, "/e"), Ok(Kind::Directory));
        vfs.remove_directory("/e").unwrap();
        write_file(vfs, "/e", b"a file").unwrap();
        assert_eq!(kind(vfs, "/e"), Ok(Kind::File));
    });
}

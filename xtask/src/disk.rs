//! Disk images: made, kept, filled with the system's programs, locked while a machine uses them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::compile::Application;
use crate::prepare::Tool;
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::workspace;

/// Size of the default disk.
const DEFAULT_SIZE: u64 = 512 << 20;

/// The host folder the default disk is made from.
const ROOT_FILES: &str = "rootfs";

/// A disk image that no other run can use until this is dropped.
#[derive(Debug)]
pub struct LockedDisk {
    /// Where the image is.
    pub path: PathBuf,
    _lock: File,
}

/// How a machine will use a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes it.
    Write,
    /// Does not change the image.
    Read,
}

/// Checks that `path` can be a disk, and locks it.
pub fn open(path: &Path, access: Access) -> Result<LockedDisk> {
    let shown = path.display();
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no disk image {shown}; make one with: cargo xtask image --out {shown}")
        }
        Err(error) => bail!("the disk image {shown} cannot be used: {error}"),
    };
    if !kind.is_file() && !kind.is_block_device() {
        bail!("the disk image {shown} is not a file");
    }
    let file = OpenOptions::new().read(true).write(access == Access::Write).open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if access == Access::Write => {
            bail!("the disk image {shown} cannot be written ({error}); with --read-only it need not be")
        }
        Err(error) => bail!("the disk image {shown} cannot be read: {error}"),
    };
    let locked = match access {
        Access::Write => file.try_lock(),
        Access::Read => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(LockedDisk { path: path.to_owned(), _lock: file }),
        Err(TryLockError::WouldBlock) => bail!(
            "the disk image {shown} is in use by another machine; end that one, or give this one its own with --disk, \
             or none with --no-disk"
        ),
        Err(TryLockError::Error(error)) => bail!("the disk image {shown} could not be locked: {error}"),
    }
}

/// The default disk, made on first use from `rootfs/` and the programs. When programs have changed since, those on
/// the disk are replaced; everything else on it stays.
pub fn default_disk(applications: &[Application], access: Access) -> Result<LockedDisk> {
    let directory = workspace::run_directory();
    fs::create_dir_all(&directory)
        .with_context(|| format!("the directory {} could not be made", directory.display()))?;
    let path = directory.join("disk.img");
    let stamp_file = directory.join("disk.programs");
    let stamp = stamp(applications);
    if !path.exists() {
        let temporary = RunDirectory::create(&directory)?;
        let new = temporary.path().join("disk.img");
        create(&new, DEFAULT_SIZE, &workspace::root().join(ROOT_FILES), applications, &[])?;
        // Two first runs at once: the one that comes second keeps the disk of the first.
        if fs::hard_link(&new, &path).is_ok() {
            let _ = fs::write(&stamp_file, &stamp);
        }
    }
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return open(&path, access);
    }
    let disk = open(&path, Access::Write)?;
    refresh_programs(&disk, applications)?;
    fs::write(&stamp_file, &stamp).with_context(|| format!("{} could not be written", stamp_file.display()))?;
    match access {
        Access::Write => Ok(disk),
        Access::Read => {
            drop(disk);
            open(&path, access)
        }
    }
}

/// Something that changes whenever a program does (FNV-1a over names and contents).
fn stamp(applications: &[Application]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
            hash ^= hash >> 29;
        }
    };
    for application in applications {
        add(application.name.as_bytes());
        for link in &application.links {
            add(link.as_bytes());
        }
        add(&application.contents);
    }
    format!("{hash:016x}")
}

/// Makes an ext4 image of `size` bytes at `path` from the files under `files` (when that exists) and the
/// programs; `options` are further ones of mkfs.ext4.
pub fn create(path: &Path, size: u64, files: &Path, applications: &[Application], options: &[&str]) -> Result<()> {
    let temporary = RunDirectory::create(&workspace::run_directory())?;
    let staging = temporary.path().join("staging");
    fs::create_dir_all(&staging)?;
    if files.is_dir() {
        copy_tree(files, &staging).with_context(|| format!("{} could not be copied", files.display()))?;
    }
    for name in ["bin", "dev", "etc", "home", "mnt", "root", "tmp"] {
        fs::create_dir_all(staging.join(name))?;
    }
    for application in applications {
        let program = staging.join("bin").join(&application.name);
        fs::write(&program, &application.contents)?;
        make_executable(&program)?;
        for link in &application.links {
            symlink(&application.name, staging.join("bin").join(link))?;
        }
    }
    make_file_system(path, size, Some(&staging), options)
}

fn make_executable(program: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Makes an ext4 image with mkfs.ext4; `options` are further options of it.
pub fn make_file_system(path: &Path, size: u64, files: Option<&Path>, options: &[&str]) -> Result<()> {
    let progress = Progress::spinner(&format!("making the disk image {}", path.display()));
    let mut command = Tool::MakeFileSystem.command();
    // Blocks of 4 KiB, also where mkfs would take smaller ones for a small disk: of those a file server that is restarted keeps what was not synced.
    command.args(["-q", "-F", "-b", "4096", "-E", "root_owner=0:0", "-L", "motte"]).args(options);
    if let Some(files) = files {
        command.arg("-d").arg(files);
    }
    command.arg(path).arg(format!("{}k", size / 1024));
    let output = command.stdin(Stdio::null()).output().context("mkfs.ext4 could not be started")?;
    progress.finish();
    if !output.status.success() {
        let _ = fs::remove_file(path);
        bail!("mkfs.ext4 could not make {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Replaces the programs in `/bin` of an image that no machine uses.
fn refresh_programs(disk: &LockedDisk, applications: &[Application]) -> Result<()> {
    // A machine that was killed leaves a journal to replay, which must come first.
    check(&disk.path, &["-p"])?;
    let temporary = RunDirectory::create(&workspace::run_directory())?;
    // debugfs loses an inode when it makes a directory that is there.
    let stat = run_quietly(Tool::DebugFileSystem.command().args(["-R", "stat /bin"]).arg(&disk.path))?;
    let has_bin = String::from_utf8_lossy(&stat.stdout).contains("Type: directory");
    let mut script = String::from(if has_bin { "cd /bin\n" } else { "mkdir /bin\ncd /bin\n" });
    for application in applications {
        let file = temporary.path().join(&application.name);
        fs::write(&file, &application.contents)?;
        let name = &application.name;
        script += &format!("rm {name}\nwrite {} {name}\n", file.display());
        script += &format!("set_inode_field {name} mode 0100755\n");
        for link in &application.links {
            script += &format!("rm {link}\nsymlink {link} {name}\n");
        }
    }
    let mut command = Tool::DebugFileSystem.command();
    command.args(["-w", "-f", "-"]).arg(&disk.path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().context("debugfs could not be started")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script.as_bytes()).context("debugfs ended early")?;
    }
    if !child.wait()?.success() {
        bail!("the programs on {} could not be replaced", disk.path.display());
    }
    Ok(())
}

/// Runs e2fsck on an image. `-fn` only looks; `-p` replays the journal and mends what is safe to mend.
pub fn check(path: &Path, options: &[&str]) -> Result<String> {
    let output = run_quietly(Tool::CheckFileSystem.command().args(options).arg(path))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // 0: clean; 1: errors mended (e2fsck(8), "Exit code").
    let mended = options.contains(&"-p") && output.status.code() == Some(1);
    if !output.status.success() && !mended {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("e2fsck {} {} finds:\n{text}{errors}", options.join(" "), path.display());
    }
    Ok(text)
}

/// Reads one file from an image that no machine uses.
pub fn read_file(image: &Path, file: &str) -> Result<Vec<u8>> {
    let temporary = RunDirectory::create(&workspace::run_directory())?;
    let copy = temporary.path().join("file");
    let request = format!("dump \"{file}\" {}", copy.display());
    run_quietly(Tool::DebugFileSystem.command().arg("-R").arg(request).arg(image))?;
    fs::read(&copy).with_context(|| format!("{} holds no file {file}", image.display()))
}

/// The names in a directory of an image that no machine uses.
pub fn list(image: &Path, directory: &str) -> Result<Vec<String>> {
    let request = format!("ls -p \"{directory}\"");
    let output = run_quietly(Tool::DebugFileSystem.command().arg("-R").arg(request).arg(image))?;
    // A line each: /inode/mode/owner/group/name/size/ (debugfs(8)).
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().filter_map(|line| line.split('/').nth(5)).map(str::to_owned).collect())
}

fn run_quietly(command: &mut Command) -> Result<std::process::Output> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null()).output().with_context(|| format!("{name} could not be started"))
}

/// A size as people write it: `64M`, `1G`, `512K`, or bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim().trim_end_matches("iB").trim_end_matches('B').trim_end();
    let (digits, shift) = match trimmed.chars().last() {
        Some('k' | 'K') => (&trimmed[..trimmed.len() - 1], 10),
        Some('m' | 'M') => (&trimmed[..trimmed.len() - 1], 20),
        Some('g' | 'G') => (&trimmed[..trimmed.len() - 1], 30),
        _ => (trimmed, 0),
    };
    digits
        .trim_end()
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|&size| size > 0)
        .ok_or_else(|| format!("`{text}` is not a size; write it like 64M or 1G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applications(contents: &[u8]) -> Vec<Application> {
        vec![Application { name: "tools".into(), contents: contents.into(), links: vec!["ls".into(), "cat".into()] }]
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_size("512K"), Ok(512 << 10));
        assert_eq!(parse_size("4096"), Ok(4096));
        for wrong in ["", "G", "-1", "0", "lots", "99999999999G"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_disk_is_filled_refreshed_and_stays_clean() {
        let temporary = RunDirectory::create(&workspace::run_directory()).unwrap();
        let image = temporary.path().join("disk.img");
        let files = temporary.path().join("files");
        fs::create_dir_all(files.join("etc")).unwrap();
        fs::write(files.join("etc/greeting"), "hello\n").unwrap();
        create(&image, 16 << 20, &files, &applications(b"first"), &[]).unwrap();
        assert_eq!(read_file(&image, "/etc/greeting").unwrap(), b"hello\n");
        assert_eq!(read_file(&image, "/bin/tools").unwrap(), b"first");

        let disk = open(&image, Access::Write).unwrap();
        refresh_programs(&disk, &applications(b"second")).unwrap();
        assert_eq!(read_file(&image, "/bin/tools").unwrap(), b"second");
        assert_eq!(read_file(&image, "/etc/greeting").unwrap(), b"hello\n");
        check(&image, &["-fn"]).unwrap();
        assert!(read_file(&image, "/absent").is_err());
    }

    #[test]
    fn a_disk_in_use_is_refused_with_a_sentence() {
        let temporary = RunDirectory::create(&workspace::run_directory()).unwrap();
        let image = temporary.path().join("disk.img");
        fs::write(&image, "x").unwrap();
        let first = open(&image, Access::Write).unwrap();
        let error = open(&image, Access::Write).unwrap_err().to_string();
        assert!(error.contains("is in use by another machine"), "{error}");
        drop(first);
        let _reader = open(&image, Access::Read).unwrap();
        let _another = open(&image, Access::Read).unwrap();
    }

    #[test]
    fn what_is_no_disk_is_refused_with_a_sentence() {
        let error = open(Path::new("/no/such/image"), Access::Write).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no disk image /no/such/image; make one with: cargo xtask image --out /no/such/image"
        );
        let error = open(Path::new("/usr"), Access::Write).unwrap_err().to_string();
        assert_eq!(error, "the disk image /usr is not a file");
    }

    #[test]
    fn programs_that_change_change_the_stamp() {
        assert_ne!(stamp(&applications(b"first")), stamp(&applications(b"second")));
        assert_eq!(stamp(&applications(b"first")), stamp(&applications(b"first")));
    }
}

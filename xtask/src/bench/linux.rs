//! Linux on the same machine: Debian's kernel for virtual machines, with one process of our own (`bench/linux`).
//!
//! The kernel is fetched as a package and taken apart, which needs no rights; programs are built with the host's C compiler.
//! Where that is not to be had, the figures recorded in `bench/linux/recorded.toml` stand in, and say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cpio::newc::{Builder, ModeFileType, trailer};

use super::listen::listen;
use super::load::FILE_BYTES;
use super::net::{self, Served};
use super::operations::Group;
use super::plugin::Plugin;
use super::protocol::Measurements;
use super::{Count, DISK_SIZE};
use crate::disk::{self, Access};
use crate::machine::{Console, Hardware, Machine, Software};
use crate::process::RunDirectory;
use crate::progress::Progress;
use crate::{prepare, workspace};

/// The package that depends on the newest kernel for virtual machines.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// What the disk needs that is not in the kernel itself, in the order in which it is loaded.
const MODULES: [&str; 10] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "arch/x86/crypto/crc32c-intel",
];
/// The web server, and what it is linked to, with the packages that hold that.
const WEB_SERVER: &str = "nginx";
const LIBRARIES: [(&str, &[&str]); 5] = [
    ("libc6", &["ld-linux-x86-64.so.2", "libc.so.6"]),
    ("libcrypt1", &["libcrypt.so.1"]),
    ("libpcre2-8-0", &["libpcre2-8.so.0"]),
    ("libssl3", &["libssl.so.3", "libcrypto.so.3"]),
    ("zlib1g", &["libz.so.1"]),
];
/// How it is set up: one process that keeps connections and the file open.
const WEB_SERVER_SETTINGS: &str = "user root root; worker_processes 1; pid /nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_timeout 65; keepalive_requests 100000000;
open_file_cache max=100 inactive=600s; default_type text/html; server { listen 80; root /www; } }
";
/// Copies with `rep movsb` are what Linux does best on processors that say they are fast. QEMU counts every byte of them:
/// without the claim Linux copies by words, and is measured at its better.
const PROCESSOR: &str = "max,-erms";
/// Messages about disks that wait long belong to jumps of the machine's time, not to Linux.
const COMMAND_LINE: &str = "console=ttyS0 quiet sysctl.kernel.hung_task_timeout_secs=0 --";
/// File systems are made whole at once, and not by the running system beside what is measured.
const FILE_SYSTEM: [&str; 2] = ["-E", "lazy_itable_init=0,lazy_journal_init=0"];
/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Linux, ready to boot.
#[derive(Debug)]
pub struct Linux {
    kernel: PathBuf,
    image: Vec<u8>,
    /// The kernel's version.
    pub version: String,
}

impl Linux {
    /// Fetches the kernel, unless it is there, and builds the programs.
    pub fn prepare() -> Result<Self> {
        let directory = workspace::target_directory().join("bench/linux");
        fs::create_dir_all(&directory)?;
        let package = kernel_package()?;
        let unpacked = directory.join(&package);
        if !unpacked.is_dir() {
            fetch(&package, &directory, &unpacked)?;
        }
        let version = package.trim_start_matches("linux-image-").to_owned();
        let kernel = unpacked.join(format!("boot/vmlinuz-{version}"));
        let modules = unpacked.join(format!("lib/modules/{version}/kernel"));
        let sources = workspace::root().join("bench/linux");
        let measure = directory.join("measure");
        let nothing = directory.join("nothing");
        compile(&[&sources.join("measure.c"), &sources.join("net.c")], &measure, &["-pthread"])?;
        compile(&[&sources.join("nothing.c")], &nothing, &["-nostdlib"])?;
        let image = image(&measure, &nothing, &modules)?.finish()?;
        Ok(Self { kernel, image, version })
    }

    /// Boots it with a web server and measures that from outside.
    pub fn measure_net(&self, plugin: &Plugin) -> Result<Served> {
        let directory = workspace::target_directory().join("bench/linux");
        let sources = directory.join(format!("linux-image-{}", self.version)).join("lib/modules");
        let modules = sources.join(&self.version).join("kernel");
        let mut archive = image(&directory.join("measure"), &directory.join("nothing"), &modules)?;
        add_web_server(&mut archive, &directory)?;
        let image = archive.finish()?;
        let command_line = format!("{COMMAND_LINE} net");
        let software = Software { kernel: &self.kernel, image: &image, command_line: &command_line };
        net::measure("Linux", "", software, PROCESSOR, None, plugin)
    }

    /// Boots and measures: the boot itself always, and what the groups ask for.
    pub fn measure(&self, groups: &[Group], count: Count, plugin: Option<&Plugin>) -> Result<Measurements> {
        let directory = RunDirectory::create(&workspace::run_directory())?;
        let disk = directory.path().join("disk.img");
        disk::make_file_system(&disk, DISK_SIZE, None, &FILE_SYSTEM)?;
        let disk = disk::open(&disk, Access::Write)?;
        let marks = directory.path().join("marks");
        let hardware = Hardware {
            counts_instructions: count == Count::Instructions,
            processor: PROCESSOR.to_owned(),
            plugin: plugin.map(|plugin| count.option(plugin, &marks)),
            ..Hardware::default()
        };
        let inside = groups.iter().filter(|group| group.is_measured_inside());
        let names: Vec<&str> = inside.map(|group| group.name()).collect();
        let command_line = format!("{COMMAND_LINE} {}", names.join(" "));
        let software = Software { kernel: &self.kernel, image: &self.image, command_line: &command_line };
        let progress = Progress::spinner(&format!("measuring Linux{}", count.words()));
        let machine = Machine::boot(software, &hardware, Some(disk), Console::Sockets)?;
        let heard = listen(machine, LIMIT, |line| progress.message(&format!("Linux: {}", line.name())))?;
        ensure!(
            heard.output.contains("finished"),
            "Linux did not come to the end of its measurements:\n{}",
            heard.output
        );
        heard.measurements(plugin.map(|_| marks.as_path()), count)
    }
}

/// The package that holds the kernel itself.
fn kernel_package() -> Result<String> {
    if prepare::find("apt-get").is_none() || prepare::find("dpkg").is_none() {
        bail!("Linux's kernel is fetched as a package of Debian, and this host has no apt-get");
    }
    let output = Command::new("apt-cache").args(["depends", PACKAGE]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-image-")))
        .map(str::to_owned)
        .with_context(|| format!("the package {PACKAGE} is not known here; as root, type: apt-get update"))
}

/// Fetches a package into `directory` and takes it apart there.
fn fetch(package: &str, directory: &Path, unpacked: &Path) -> Result<()> {
    let progress = Progress::spinner(&format!("fetching {package}"));
    let temporary = RunDirectory::create(directory)?;
    run(Command::new("apt-get").args(["download", package]).current_dir(temporary.path()))?;
    let archive = fs::read_dir(temporary.path())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get fetched no package {package}"))?;
    let contents = temporary.path().join("contents");
    run(Command::new("dpkg").arg("--extract").arg(archive).arg(&contents))?;
    // Another run may have been quicker.
    if let Err(error) = fs::rename(&contents, unpacked)
        && !unpacked.is_dir()
    {
        return Err(error).with_context(|| format!("{} could not be made", unpacked.display()));
    }
    progress.finish();
    Ok(())
}

/// Builds a program that needs nothing else.
fn compile(sources: &[&Path], program: &Path, options: &[&str]) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(["-O2", "-static"]).args(options).arg("-o").arg(program).args(sources);
    run(&mut command)
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("{name} could not be started"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The first files, as Linux's boot protocol wants them: a cpio archive.
fn image(measure: &Path, nothing: &Path, modules: &Path) -> Result<Archive> {
    let mut archive = Archive::default();
    archive.folder("modules")?;
    archive.file("init", &fs::read(measure)?)?;
    archive.file("nothing", &fs::read(nothing)?)?;
    let mut order = String::new();
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap_or(module);
        let path = modules.join(format!("{module}.ko"));
        let contents = fs::read(&path).with_context(|| format!("the package has no {}", path.display()))?;
        archive.file(&format!("modules/{name}.ko"), &contents)?;
        order += &format!("{name}.ko\n");
    }
    archive.file("modules/order", order.as_bytes())?;
    Ok(archive)
}

/// Where libraries lie.
const LIBRARY_FOLDERS: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// Adds the web server, what it is linked to (this host's own where it has that), and the file that it serves.
fn add_web_server(archive: &mut Archive, directory: &Path) -> Result<()> {
    let unpacked = |package: &str| {
        let unpacked = directory.join(package);
        if !unpacked.is_dir() {
            fetch(package, directory, &unpacked)?;
        }
        Ok::<_, anyhow::Error>(unpacked)
    };
    for folder in
        ["dev", "etc", "lib64", "lib", "lib/x86_64-linux-gnu", "proc", "var", "var/lib", "var/lib/nginx", "www"]
    {
        archive.folder(folder)?;
    }
    let server = unpacked(WEB_SERVER)?.join("usr/sbin/nginx");
    archive.file("nginx", &fs::read(&server).with_context(|| format!("{} is missing", server.display()))?)?;
    let find =
        |root: &Path, name| LIBRARY_FOLDERS.map(|at| root.join(at).join(name)).into_iter().find(|at| at.exists());
    for (package, names) in LIBRARIES {
        for name in names {
            let place = match find(Path::new("/"), name) {
                Some(place) => place,
                None => {
                    find(&unpacked(package)?, name).with_context(|| format!("the package {package} has no {name}"))?
                }
            };
            let contents = fs::read(place)?;
            let folder = if name.starts_with("ld-") { "lib64" } else { "lib/x86_64-linux-gnu" };
            archive.file(&format!("{folder}/{name}"), &contents)?;
        }
    }
    archive.file("nginx.conf", WEB_SERVER_SETTINGS.as_bytes())?;
    archive.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")?;
    archive.file("etc/group", b"root:x:0:\n")?;
    archive.file("www/bench.html", &[b'x'; FILE_BYTES])
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) -> Result<()> {
        self.add(name, ModeFileType::Directory, &[])
    }

    fn file(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        self.add(name, ModeFileType::Regular, contents)
    }

    fn add(&mut self, name: &str, kind: ModeFileType, contents: &[u8]) -> Result<()> {
        self.files += 1;
        let header = Builder::new(name).ino(self.files).nlink(1).mode(0o755).set_mode_file_type(kind);
        let mut writer = header.write(&mut self.bytes, u32::try_from(contents.len())?);
        std::io::Write::write_all(&mut writer, contents)?;
        writer.finish()?;
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(trailer(self.bytes)?)
    }
}

//! The mount table, and the operations by path.
//!
//! A [`Vfs`] always has a root. Clients name files by absolute path (the client library joins its working directory) or by the
//! handle of an open file (`handles`).

mod clients;
mod handles;
mod kept;
mod known;
mod path;

use alloc::{boxed::Box, string::String, vec::Vec};

use self::{clients::Clients, handles::Description, kept::OpenFiles, known::KnownPaths, path::Resolved};
pub use self::{
    handles::{Handle, OpenFlags, Whence},
    path::PATH_MAX,
};
use crate::{
    cache::CacheStatistics,
    clock::WallClock,
    error::{Error, Result},
    filesystem::{AttributeChange, Attributes, FileSystem, Kind, Space},
    memory_fs::MemoryFs,
    requests::Requests,
};

/// A node of a mounted file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub mount: u32,
    pub node: u64,
}

/// Where a file system is mounted.
enum Place {
    /// It is the root.
    Root,
    /// Over this directory.
    Over(Location),
    /// Under a name in this directory which the directory itself has not.
    Beside(Location, Box<[u8]>),
}

impl Place {
    /// The directory that must not go away underneath.
    fn retained(&self) -> Option<Location> {
        match self {
            Place::Root => None,
            Place::Over(location) | Place::Beside(location, _) => Some(*location),
        }
    }
}

struct Mount {
    file_system: Box<dyn FileSystem>,
    place: Place,
    source: String,
    target: String,
    options: String,
}

/// A line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// What is mounted: a device's name, or `memory`.
    pub source: String,
    /// Where.
    pub target: String,
    /// The file system's type.
    pub kind: String,
    /// `ro` or `rw`, and what else was given.
    pub options: String,
}

/// Attributes, and the mount they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Number of the mount; differs between file systems.
    pub device: u32,
    /// The node's attributes.
    pub attributes: Attributes,
}

/// Space of the file system that holds a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceInfo {
    /// Blocks and nodes.
    pub space: Space,
    /// The file system's type.
    pub kind: &'static str,
    /// Whether it refuses changes.
    pub read_only: bool,
}

/// The mounted file systems and the clients' open files.
pub struct Vfs {
    mounts: Vec<Option<Mount>>,
    /// Where paths begin, if not at the root.
    base: Option<Location>,
    clock: WallClock,
    descriptions: Vec<Option<Description>>,
    free_descriptions: Vec<u32>,
    clients: Clients,
    /// What all memory file systems that are mounted on request may hold together.
    memory_pool: u64,
    known: KnownPaths,
    /// Kept between walks for its memory.
    walked: Vec<Location>,
    /// The open files, where a server that is started anew finds them.
    open_files: OpenFiles,
    /// The request in hand.
    requests: Requests,
}

impl Vfs {
    /// A tree whose root is `root`, which `mounts` shows as coming from `source`.
    pub fn new(root: Box<dyn FileSystem>, source: &str, clock: WallClock) -> Self {
        let mount = Mount {
            file_system: root,
            place: Place::Root,
            source: source.into(),
            target: "/".into(),
            options: String::new(),
        };
        Self {
            mounts: alloc::vec![Some(mount)],
            base: None,
            clock,
            descriptions: Vec::new(),
            free_descriptions: Vec::new(),
            clients: Clients::default(),
            memory_pool: u64::MAX,
            known: KnownPaths::default(),
            walked: Vec::new(),
            open_files: OpenFiles::default(),
            requests: Requests::default(),
        }
    }

    fn mount_at(&self, mount: u32) -> Result<&Mount> {
        self.mounts.get(mount as usize).and_then(Option::as_ref).ok_or(Error::Io)
    }

    fn file_system(&mut self, mount: u32) -> Result<&mut Box<dyn FileSystem>> {
        let mount = self.mounts.get_mut(mount as usize).and_then(Option::as_mut).ok_or(Error::Io)?;
        Ok(&mut mount.file_system)
    }

    fn writable(&mut self, mount: u32) -> Result<&mut Box<dyn FileSystem>> {
        let file_system = self.file_system(mount)?;
        if file_system.is_read_only() { Err(Error::ReadOnlyFilesystem) } else { Ok(file_system) }
    }

    fn root_location(&self) -> Location {
        let node = self.mounts.first().and_then(Option::as_ref).map_or(0, |mount| mount.file_system.root());
        self.enter(Location { mount: 0, node })
    }

    /// Has the paths that follow begin at the root.
    pub fn look_from_root(&mut self) {
        self.base = None;
    }

    /// Has the paths that follow begin at the directory `path`: that is their `/`, and neither `..` nor a symbolic link leads above it.
    pub fn look_from(&mut self, path: &str) -> Result<()> {
        self.look_from_root();
        let found = self.find(path)?;
        self.look_from_location(found)
    }

    /// As [`Vfs::look_from`], from an open directory.
    pub fn look_from_open(&mut self, client: u64, handle: Handle) -> Result<()> {
        let found = self.location_of_open(client, handle)?;
        self.look_from_location(found)
    }

    fn look_from_location(&mut self, (location, kind): (Location, Kind)) -> Result<()> {
        if kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        self.base = Some(location);
        Ok(())
    }

    /// What is seen at a directory: the root of what is mounted over it, or itself.
    fn enter(&self, mut location: Location) -> Location {
        if self.mounts.len() == 1 {
            return location;
        }
        // The newest mount over a place hides the older ones.
        while let Some((index, mount)) = self.mounts.iter().enumerate().find_map(|(index, mount)| {
            let mount = mount.as_ref()?;
            matches!(mount.place, Place::Over(covered) if covered == location).then_some((index, mount))
        }) {
            location = Location { mount: index as u32, node: mount.file_system.root() };
        }
        location
    }

    fn is_mount_point(&self, location: Location) -> bool {
        let covers = |mount: &Mount| matches!(mount.place, Place::Over(covered) if covered == location);
        let covered = self.mounts.iter().flatten().any(covers);
        covered || self.mount_at(location.mount).is_ok_and(|mount| mount.file_system.root() == location.node)
    }

    /// Mounts a file system over an existing directory.
    pub fn mount(&mut self, file_system: Box<dyn FileSystem>, source: &str, target: &str, options: &str) -> Result<()> {
        let (location, kind) = self.resolve(target, true)?.existing()?;
        if kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let target = self.canonicalize(target)?;
        self.add_mount(file_system, source, &target, options, Place::Over(location))
    }

    /// Mounts a file system in the root directory, as `name`: over the directory of that name, or else beside what the
    /// root directory holds. Nothing is written.
    pub fn mount_in_root(
        &mut self,
        file_system: Box<dyn FileSystem>,
        source: &str,
        name: &str,
        options: &str,
    ) -> Result<()> {
        let target = alloc::format!("/{name}");
        let root = self.root_location();
        let place = match self.resolve(&target, false).and_then(|resolved| resolved.existing()) {
            Ok((location, Kind::Directory)) => Place::Over(location),
            // What is there and is no directory, or cannot be read, is hidden.
            _ => Place::Beside(root, name.as_bytes().into()),
        };
        self.add_mount(file_system, source, &target, options, place)
    }

    fn add_mount(
        &mut self,
        file_system: Box<dyn FileSystem>,
        source: &str,
        target: &str,
        options: &str,
        place: Place,
    ) -> Result<()> {
        self.known.forget();
        if let Some(location) = place.retained() {
            self.file_system(location.mount)?.retain(location.node)?;
        }
        let mount = Mount { file_system, place, source: source.into(), target: target.into(), options: options.into() };
        match self.mounts.iter().position(Option::is_none) {
            Some(index) => self.mounts[index] = Some(mount),
            None => self.mounts.push(Some(mount)),
        }
        Ok(())
    }

    /// The mounts under names in `directory` which it has not itself: each name, and the root mounted there.
    fn beside(&self, directory: Location) -> impl Iterator<Item = (&[u8], Location)> {
        self.mounts.iter().enumerate().filter_map(move |(index, mount)| match mount.as_ref()? {
            Mount { place: Place::Beside(at, name), file_system, .. } if *at == directory => {
                Some((&**name, Location { mount: index as u32, node: file_system.root() }))
            }
            _ => None,
        })
    }

    /// What is mounted as `name` in `directory` without being there.
    fn find_beside(&self, directory: Location, name: &[u8]) -> Option<Location> {
        let found = self.beside(directory).find(|(candidate, _)| *candidate == name)?;
        Some(self.enter(found.1))
    }

    /// Sets what the memory file systems that clients mount may hold together with those mounted already, in bytes.
    pub fn set_memory_pool(&mut self, bytes: u64) {
        self.memory_pool = bytes;
    }

    /// Shows `options` for the root in the mount table.
    pub fn set_root_options(&mut self, options: &str) {
        if let Some(Some(root)) = self.mounts.first_mut() {
            root.options = options.into();
        }
    }

    /// Mounts a new memory file system; `options` may give its limit as `size=BYTES`, with `k`, `m` or `g`. `NoSpace` when
    /// the pool for such file systems does not allow it.
    pub fn mount_memory(&mut self, target: &str, options: &str, default_limit: u64) -> Result<()> {
        let taken: u64 = self.mounts.iter().flatten().map(|mount| mount.file_system.memory_limit()).sum();
        let left = self.memory_pool.saturating_sub(taken);
        let mut limit = default_limit.min(left);
        for option in options.split(',').filter(|option| !option.is_empty() && *option != "rw") {
            let size = option.strip_prefix("size=").ok_or(Error::InvalidArgument)?;
            limit = parse_size(size).ok_or(Error::InvalidArgument)?;
        }
        if limit == 0 || limit > left {
            return Err(Error::NoSpace);
        }
        let file_system = MemoryFs::new(limit, self.clock.clone());
        self.mount(Box::new(file_system), "memory", target, options)
    }

    /// Unmounts what is mounted at `target`; refused while it is in use.
    pub fn unmount(&mut self, target: &str) -> Result<()> {
        let (location, _) = self.resolve(target, true)?.existing()?;
        let mount = self.mount_at(location.mount)?;
        if mount.file_system.root() != location.node {
            return Err(Error::InvalidArgument);
        }
        let Some(retained) = mount.place.retained() else { return Err(Error::Busy) };
        let mut others = self.mounts.iter().flatten();
        let nested = others.any(|other| other.place.retained().is_some_and(|at| at.mount == location.mount));
        if nested || mount.file_system.in_use() {
            return Err(Error::Busy);
        }
        self.known.forget();
        self.file_system(location.mount)?.unmount()?;
        self.mounts[location.mount as usize] = None;
        while self.mounts.last().is_some_and(Option::is_none) {
            self.mounts.pop();
        }
        self.file_system(retained.mount)?.release(retained.node);
        Ok(())
    }

    /// At shutdown: closes every file and unmounts everything, as far as it goes. Nothing works afterwards.
    pub fn shutdown(&mut self) -> Result<()> {
        self.known.forget();
        let clients: Vec<u64> = self.clients.iter().map(|(client, _)| client).collect();
        for client in clients {
            self.client_gone(client);
        }
        let mut first = Ok(());
        while let Some(mount) = self.mounts.pop() {
            if let Some(mut mount) = mount {
                let result = mount.file_system.unmount();
                first = first.and(result);
            }
        }
        first
    }

    /// The mount table.
    pub fn mounts(&self) -> Vec<MountInfo> {
        let info = |mount: &Mount| {
            let mut options = String::from(if mount.file_system.is_read_only() { "ro" } else { "rw" });
            for option in mount.options.split(',').filter(|o| !matches!(*o, "" | "ro" | "rw")) {
                options.push(',');
                options.push_str(option);
            }
            MountInfo {
                source: mount.source.clone(),
                target: mount.target.clone(),
                kind: mount.file_system.type_name().into(),
                options,
            }
        };
        self.mounts.iter().flatten().map(info).collect()
    }

    /// What the page caches hold, all together.
    pub fn cache_statistics(&self) -> CacheStatistics {
        let caches = self.mounts.iter().flatten().filter_map(|mount| mount.file_system.cache_statistics());
        caches.fold(CacheStatistics::default(), |sum, one| CacheStatistics {
            frames: sum.frames + one.frames,
            used: sum.used + one.used,
            dirty: sum.dirty + one.dirty,
            reads: sum.reads + one.reads,
            writes: sum.writes + one.writes,
            flushes: sum.flushes + one.flushes,
        })
    }

    /// Whether a `sync` has anything to do.
    pub fn needs_sync(&self) -> bool {
        self.mounts.iter().flatten().any(|mount| mount.file_system.needs_sync())
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result<()> {
        let mut first = Ok(());
        for mount in self.mounts.iter_mut().flatten() {
            first = first.and(mount.file_system.sync());
        }
        first
    }

    /// Attributes of what `path` names; of a symbolic link itself unless `follow`.
    pub fn status(&mut self, path: &str, follow: bool) -> Result<Status> {
        let (location, _) = match follow {
            true => self.find(path)?,
            false => self.resolve(path, false)?.existing()?,
        };
        self.status_of(location)
    }

    fn status_of(&mut self, location: Location) -> Result<Status> {
        let attributes = self.file_system(location.mount)?.attributes(location.node)?;
        Ok(Status { device: location.mount + 1, attributes })
    }

    /// Space of the file system that holds `path`.
    pub fn space(&mut self, path: &str) -> Result<SpaceInfo> {
        let (location, _) = self.resolve(path, true)?.existing()?;
        let file_system = self.file_system(location.mount)?;
        Ok(SpaceInfo {
            space: file_system.space()?,
            kind: file_system.type_name(),
            read_only: file_system.is_read_only(),
        })
    }

    /// Changes attributes of what `path` names.
    pub fn set_attributes(&mut self, path: &str, follow: bool, change: AttributeChange) -> Result<()> {
        let (location, _) = self.resolve(path, follow)?.existing()?;
        self.writable(location.mount)?.set_attributes(location.node, change)
    }

    /// Cuts or extends the file at `path`.
    pub fn truncate(&mut self, path: &str, size: u64) -> Result<()> {
        match self.resolve(path, true)?.existing()? {
            (_, Kind::Directory) => Err(Error::IsADirectory),
            (location, _) => self.writable(location.mount)?.truncate(location.node, size),
        }
    }

    /// For a new name: the directory to make it in.
    fn vacant(resolved: &Resolved<'_>) -> Result<Location> {
        match resolved.found {
            Some(_) => Err(Error::AlreadyExists),
            None => Ok(resolved.parent),
        }
    }

    /// Makes a directory.
    pub fn make_directory(&mut self, path: &str, permissions: u32) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let parent = Self::vacant(&resolved)?;
        self.writable(parent.mount)?.make_directory(parent.node, &resolved.name, permissions)?;
        Ok(())
    }

    /// Makes a symbolic link at `path` that leads to `target`.
    pub fn make_symlink(&mut self, target: &str, path: &str) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let parent = Self::vacant(&resolved)?;
        if resolved.slash {
            return Err(Error::NotFound);
        }
        self.writable(parent.mount)?.make_symlink(parent.node, &resolved.name, target.as_bytes())?;
        Ok(())
    }

    /// The target of the symbolic link at `path`.
    pub fn read_symlink(&mut self, path: &str) -> Result<String> {
        let (location, _) = self.resolve(path, false)?.existing()?;
        let target = self.file_system(location.mount)?.read_symlink(location.node)?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }

    /// Gives the file at `existing` the further name `path`.
    pub fn link(&mut self, existing: &str, path: &str) -> Result<()> {
        let (location, kind) = self.resolve(existing, false)?.existing()?;
        if kind == Kind::Directory {
            return Err(Error::PermissionDenied);
        }
        let resolved = self.resolve(path, false)?;
        let parent = Self::vacant(&resolved)?;
        if resolved.slash {
            return Err(Error::NotFound);
        }
        if parent.mount != location.mount {
            return Err(Error::CrossesDevices);
        }
        self.writable(parent.mount)?.link(location.node, parent.node, &resolved.name)
    }

    /// Takes away the name `path` of a file that is no directory.
    pub fn unlink(&mut self, path: &str) -> Result<()> {
        self.known.forget();
        let resolved = self.resolve(path, false)?;
        match resolved.existing()? {
            (_, Kind::Directory) => Err(Error::IsADirectory),
            _ => self.writable(resolved.parent.mount)?.unlink(resolved.parent.node, &resolved.name),
        }
    }

    /// Removes the empty directory at `path`.
    pub fn remove_directory(&mut self, path: &str) -> Result<()> {
        self.known.forget();
        let resolved = self.resolve(path, false)?;
        let (location, kind) = resolved.existing()?;
        if kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if self.is_mount_point(location) {
            return Err(Error::Busy);
        }
        if path.trim_end_matches('/').ends_with("/.") {
            return Err(Error::InvalidArgument);
        }
        let name = resolved.last_name()?;
        self.writable(resolved.parent.mount)?.remove_directory(resolved.parent.node, name)
    }

    /// Renames, replacing what is at `new` when that is possible.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<()> {
        self.known.forget();
        let source = self.resolve(old, false)?;
        let (location, kind) = source.existing()?;
        let mut above = Vec::new();
        let target = self.walk(new, false, &mut above, None)?;
        if target.slash && kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let replaced = target.found.map(|(location, _)| location);
        if self.is_mount_point(location) || replaced.is_some_and(|location| self.is_mount_point(location)) {
            return Err(Error::Busy);
        }
        if source.parent.mount != target.parent.mount {
            return Err(Error::CrossesDevices);
        }
        let (old_name, new_name) = (source.last_name()?, target.last_name()?);
        let file_system = self.writable(target.parent.mount)?;
        if replaced == Some(location) {
            return Ok(());
        }
        if kind == Kind::Directory {
            // The directories above the new name include the new name itself if it is a directory.
            let holds = &above[..above.len() - usize::from(replaced.is_some() && above.last() == replaced.as_ref())];
            if holds.contains(&location) {
                return Err(Error::InvalidArgument);
            }
        }
        file_system.rename(source.parent.node, old_name, target.parent.node, new_name)
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

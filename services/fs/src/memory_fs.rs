//! The memory file system: `/tmp`, and `/` when there is no disk.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use hashbrown::HashMap;

use crate::{
    clock::WallClock,
    error::{Error, Result},
    filesystem::{
        AttributeChange, Attributes, Child, DIRECTORY_END, DirectoryEntry, FileSystem, Kind, ReadAhead, Space,
        check_name,
    },
    memory::{Input, Output},
};

const PAGE: usize = 4096;
const ROOT: u64 = 1;
/// What a node without data counts against the limit.
const NODE_COST: u64 = 512;
const MOST_LINKS: u32 = 65_000;

type Page = Box<[u8; PAGE]>;

/// A directory: names in order of their creation, so that a listing's position stays right while names come and go.
#[derive(Default)]
struct Directory {
    by_name: HashMap<Box<[u8]>, u64>,
    by_age: BTreeMap<u64, (Box<[u8]>, u64)>,
    next: u64,
}

impl Directory {
    fn get(&self, name: &[u8]) -> Option<u64> {
        self.by_name.get(name).and_then(|age| self.by_age.get(age)).map(|(_, node)| *node)
    }

    fn insert(&mut self, name: &[u8], node: u64) {
        self.next += 1;
        self.by_name.insert(name.into(), self.next);
        self.by_age.insert(self.next, (name.into(), node));
    }

    fn remove(&mut self, name: &[u8]) -> Option<u64> {
        let age = self.by_name.remove(name)?;
        self.by_age.remove(&age).map(|(_, node)| node)
    }
}

enum Content {
    File { pages: BTreeMap<u64, Page>, size: u64 },
    Directory(Directory),
    Symlink(Box<[u8]>),
}

struct Node {
    content: Content,
    permissions: u32,
    links: u32,
    opens: u32,
    accessed: i64,
    modified: i64,
    changed: i64,
}

impl Node {
    fn kind(&self) -> Kind {
        match self.content {
            Content::File { .. } => Kind::File,
            Content::Directory(_) => Kind::Directory,
            Content::Symlink(_) => Kind::Symlink,
        }
    }

    fn pages(&self) -> u64 {
        match &self.content {
            Content::File { pages, .. } => pages.len() as u64,
            _ => 0,
        }
    }
}

/// A file system in the server's own memory.
pub struct MemoryFs {
    nodes: HashMap<u64, Node>,
    next: u64,
    used: u64,
    limit: u64,
    clock: WallClock,
}

impl MemoryFs {
    /// An empty file system that takes at most `limit` bytes.
    pub fn new(limit: u64, clock: WallClock) -> Self {
        let mut made = Self { nodes: HashMap::new(), next: ROOT, used: 0, limit, clock };
        let root = made.new_node(Content::Directory(Directory::default()), 0o755, 2);
        made.nodes.insert(ROOT, root);
        made.next += 1;
        made
    }

    fn new_node(&self, content: Content, permissions: u32, links: u32) -> Node {
        let now = self.clock.seconds();
        let permissions = permissions & 0o7777;
        Node { content, permissions, links, opens: 0, accessed: now, modified: now, changed: now }
    }

    fn node(&self, node: u64) -> Result<&Node> {
        self.nodes.get(&node).ok_or(Error::NotFound)
    }

    fn node_mut(&mut self, node: u64) -> Result<&mut Node> {
        self.nodes.get_mut(&node).ok_or(Error::NotFound)
    }

    fn directory(&self, node: u64) -> Result<&Directory> {
        match &self.node(node)?.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Error::NotADirectory),
        }
    }

    /// The directory, for a change of its names, which is a change of its times.
    fn change_directory(&mut self, node: u64) -> Result<&mut Directory> {
        let now = self.clock.seconds();
        let node = self.node_mut(node)?;
        (node.modified, node.changed) = (now, now);
        match &mut node.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Error::NotADirectory),
        }
    }

    fn charge(&mut self, bytes: u64) -> Result<()> {
        if self.used + bytes > self.limit {
            return Err(Error::NoSpace);
        }
        self.used += bytes;
        Ok(())
    }

    fn add(&mut self, directory: u64, name: &[u8], node: Node) -> Result<u64> {
        check_name(name)?;
        let parent = self.directory(directory)?;
        if parent.get(name).is_some() {
            return Err(Error::AlreadyExists);
        }
        let is_directory = node.kind() == Kind::Directory;
        let parent = self.node(directory)?;
        if parent.links == 0 {
            return Err(Error::NotFound);
        }
        if is_directory && parent.links >= MOST_LINKS {
            return Err(Error::TooManyLinks);
        }
        self.charge(NODE_COST)?;
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.change_directory(directory)?.insert(name, number);
        if is_directory {
            self.node_mut(directory)?.links += 1;
        }
        Ok(number)
    }

    /// Takes one link from a node, and the node away when it was the last and nobody has it open.
    fn drop_link(&mut self, number: u64) -> Result<()> {
        let now = self.clock.seconds();
        let node = self.node_mut(number)?;
        node.changed = now;
        node.links = if node.kind() == Kind::Directory { 0 } else { node.links - 1 };
        self.remove_if_unused(number);
        Ok(())
    }

    fn remove_if_unused(&mut self, number: u64) {
        if let Some(node) = self.nodes.get(&number)
            && node.links == 0
            && node.opens == 0
        {
            self.used -= NODE_COST + node.pages() * PAGE as u64;
            self.nodes.remove(&number);
        }
    }

    fn remove_name(&mut self, directory: u64, name: &[u8], child: Child) -> Result<()> {
        if child.kind == Kind::Directory && !self.directory(child.node)?.by_name.is_empty() {
            return Err(Error::DirectoryNotEmpty);
        }
        self.change_directory(directory)?.remove(name);
        if child.kind == Kind::Directory {
            self.node_mut(directory)?.links -= 1;
        }
        self.drop_link(child.node)
    }
}

impl FileSystem for MemoryFs {
    fn type_name(&self) -> &'static str {
        "memory"
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn root(&self) -> u64 {
        ROOT
    }

    fn lookup(&mut self, directory: u64, name: &[u8]) -> Result<Child> {
        let node = self.directory(directory)?.get(name).ok_or(Error::NotFound)?;
        Ok(Child { node, kind: self.node(node)?.kind() })
    }

    fn attributes(&mut self, number: u64) -> Result<Attributes> {
        let node = self.node(number)?;
        let size = match &node.content {
            Content::File { size, .. } => *size,
            Content::Directory(directory) => directory.by_name.len() as u64,
            Content::Symlink(target) => target.len() as u64,
        };
        Ok(Attributes {
            node: number,
            kind: node.kind(),
            permissions: node.permissions,
            uid: 0,
            gid: 0,
            links: node.links,
            size,
            blocks: node.pages() * (PAGE / 512) as u64,
            accessed: node.accessed,
            modified: node.modified,
            changed: node.changed,
        })
    }

    fn set_attributes(&mut self, node: u64, change: AttributeChange) -> Result<()> {
        let now = self.clock.seconds();
        let node = self.node_mut(node)?;
        node.permissions = change.permissions.map_or(node.permissions, |bits| bits & 0o7777);
        node.accessed = change.accessed.unwrap_or(node.accessed);
        node.modified = change.modified.unwrap_or(node.modified);
        node.changed = now;
        Ok(())
    }

    fn read(&mut self, node: u64, position: u64, output: &mut Output<'_>, _ahead: &mut ReadAhead) -> Result<usize> {
        let (pages, size) = match &self.node(node)?.content {
            Content::File { pages, size } => (pages, *size),
            Content::Directory(_) => return Err(Error::IsADirectory),
            Content::Symlink(_) => return Err(Error::InvalidArgument),
        };
        let length = (output.remaining() as u64).min(size.saturating_sub(position)) as usize;
        let mut done = 0;
        while done < length {
            let at = position + done as u64;
            let within = (at % PAGE as u64) as usize;
            let piece = (PAGE - within).min(length - done);
            match pages.get(&(at / PAGE as u64)) {
                Some(page) => output.put(&page[within..within + piece]),
                None => output.put_zeros(piece),
            }
            done += piece;
        }
        Ok(done)
    }

    fn write(&mut self, node: u64, position: u64, input: &mut Input<'_>) -> Result<usize> {
        let length = input.remaining();
        position.checked_add(length as u64).filter(|end| *end <= i64::MAX as u64).ok_or(Error::FileTooLarge)?;
        let now = self.clock.seconds();
        let limit = self.limit;
        let mut used = self.used;
        let file = self.node_mut(node)?;
        let (pages, size) = match &mut file.content {
            Content::File { pages, size } => (pages, size),
            Content::Directory(_) => return Err(Error::IsADirectory),
            Content::Symlink(_) => return Err(Error::InvalidArgument),
        };
        let mut done = 0;
        while done < length {
            let at = position + done as u64;
            let within = (at % PAGE as u64) as usize;
            let piece = (PAGE - within).min(length - done);
            let page = match pages.entry(at / PAGE as u64) {
                alloc::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                alloc::collections::btree_map::Entry::Vacant(entry) => {
                    if used + PAGE as u64 > limit {
                        break;
                    }
                    used += PAGE as u64;
                    entry.insert(Box::new([0; PAGE]))
                }
            };
            input.take(&mut page[within..within + piece]);
            done += piece;
        }
        if done > 0 {
            *size = (*size).max(position + done as u64);
            (file.modified, file.changed) = (now, now);
        }
        self.used = used;
        if done == 0 && length > 0 { Err(Error::NoSpace) } else { Ok(done) }
    }

    fn truncate(&mut self, node: u64, size: u64) -> Result<()> {
        if size > i64::MAX as u64 {
            return Err(Error::FileTooLarge);
        }
        let now = self.clock.seconds();
        let file = self.node_mut(node)?;
        let before = file.pages();
        match &mut file.content {
            Content::File { pages, size: old } => {
                if size < *old {
                    pages.split_off(&size.div_ceil(PAGE as u64));
                    let within = (size % PAGE as u64) as usize;
                    if let Some(page) = pages.get_mut(&(size / PAGE as u64)) {
                        page[within..].fill(0);
                    }
                }
                *old = size;
            }
            Content::Directory(_) => return Err(Error::IsADirectory),
            Content::Symlink(_) => return Err(Error::InvalidArgument),
        }
        (file.modified, file.changed) = (now, now);
        let freed = before - file.pages();
        self.used -= freed * PAGE as u64;
        Ok(())
    }

    fn create(&mut self, directory: u64, name: &[u8], permissions: u32) -> Result<u64> {
        let content = Content::File { pages: BTreeMap::new(), size: 0 };
        let node = self.new_node(content, permissions, 1);
        self.add(directory, name, node)
    }

    fn make_directory(&mut self, directory: u64, name: &[u8], permissions: u32) -> Result<u64> {
        let node = self.new_node(Content::Directory(Directory::default()), permissions, 2);
        self.add(directory, name, node)
    }

    fn make_symlink(&mut self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64> {
        if target.is_empty() {
            return Err(Error::NotFound);
        }
        if target.len() >= PAGE {
            return Err(Error::NameTooLong);
        }
        let node = self.new_node(Content::Symlink(target.into()), 0o777, 1);
        self.add(directory, name, node)
    }

    fn read_symlink(&mut self, node: u64) -> Result<Vec<u8>> {
        match &self.node(node)?.content {
            Content::Symlink(target) => Ok(target.to_vec()),
            _ => Err(Error::InvalidArgument),
        }
    }

    fn link(&mut self, number: u64, directory: u64, name: &[u8]) -> Result<()> {
        check_name(name)?;
        let node = self.node(number)?;
        if node.kind() == Kind::Directory {
            return Err(Error::PermissionDenied);
        }
        if node.links == 0 || self.node(directory)?.links == 0 {
            return Err(Error::NotFound);
        }
        if node.links >= MOST_LINKS {
            return Err(Error::TooManyLinks);
        }
        if self.directory(directory)?.get(name).is_some() {
            return Err(Error::AlreadyExists);
        }
        self.change_directory(directory)?.insert(name, number);
        let now = self.clock.seconds();
        let node = self.node_mut(number)?;
        node.links += 1;
        node.changed = now;
        Ok(())
    }

    fn unlink(&mut self, directory: u64, name: &[u8]) -> Result<()> {
        let child = self.lookup(directory, name)?;
        if child.kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        self.remove_name(directory, name, child)
    }

    fn remove_directory(&mut self, directory: u64, name: &[u8]) -> Result<()> {
        let child = self.lookup(directory, name)?;
        if child.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        self.remove_name(directory, name, child)
    }

    fn rename(&mut self, from: u64, old: &[u8], to: u64, new: &[u8]) -> Result<()> {
        check_name(new)?;
        let source = self.lookup(from, old)?;
        if self.node(to)?.links == 0 {
            return Err(Error::NotFound);
        }
        match self.lookup(to, new) {
            Ok(target) if target.node == source.node => return Ok(()),
            Ok(target) => {
                match (source.kind == Kind::Directory, target.kind == Kind::Directory) {
                    (true, false) => return Err(Error::NotADirectory),
                    (false, true) => return Err(Error::IsADirectory),
                    _ => {}
                }
                self.remove_name(to, new, target)?;
            }
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.change_directory(from)?.remove(old);
        self.change_directory(to)?.insert(new, source.node);
        if source.kind == Kind::Directory {
            self.node_mut(from)?.links -= 1;
            self.node_mut(to)?.links += 1;
        }
        let now = self.clock.seconds();
        self.node_mut(source.node)?.changed = now;
        Ok(())
    }

    fn list(&mut self, directory: u64, position: u64, most: usize) -> Result<Vec<DirectoryEntry>> {
        if position == DIRECTORY_END {
            return Ok(Vec::new());
        }
        let directory = self.directory(directory)?;
        let entries = directory.by_age.range(position + 1..).take(most);
        entries
            .map(|(age, (name, node))| {
                Ok(DirectoryEntry { name: name.to_vec(), node: *node, kind: self.node(*node)?.kind(), next: *age })
            })
            .collect()
    }

    fn retain(&mut self, node: u64) -> Result<()> {
        self.node_mut(node)?.opens += 1;
        Ok(())
    }

    fn release(&mut self, number: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.opens = node.opens.saturating_sub(1);
            self.remove_if_unused(number);
        }
    }

    fn sync_node(&mut self, _node: u64) -> Result<()> {
        Ok(())
    }

    fn needs_sync(&self) -> bool {
        false
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn space(&mut self) -> Result<Space> {
        let free = self.limit - self.used;
        Ok(Space {
            block_size: PAGE as u32,
            blocks: self.limit / PAGE as u64,
            blocks_free: free / PAGE as u64,
            files: self.nodes.len() as u64 + free / NODE_COST,
            files_free: free / NODE_COST,
        })
    }

    fn memory_limit(&self) -> u64 {
        self.limit
    }

    fn in_use(&self) -> bool {
        self.nodes.values().any(|node| node.opens > 0)
    }

    fn unmount(&mut self) -> Result<()> {
        Ok(())
    }
}

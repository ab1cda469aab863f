//! Walking a path: component by component, through symbolic links and across mounts.
//!
//! A walk starts at the root, or at the client's own, and keeps the directories it came through, so `..` is the one before, whatever file system that is
//! on, and needs no lookup.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::ops::Range;

use super::{Location, Vfs};
use crate::{
    error::{Error, Result},
    filesystem::{Kind, NAME_MAX},
};

/// Longest path, in bytes.
pub const PATH_MAX: usize = 4096;
/// Symbolic links followed in one walk.
const MOST_SYMLINKS: usize = 40;

/// Where a path leads.
pub(super) struct Resolved<'p> {
    /// The directory that holds, or would hold, the last name.
    pub parent: Location,
    /// The last name; empty when the path ends in the root, `.` or `..`.
    pub name: Cow<'p, [u8]>,
    /// What the path names, if anything.
    pub found: Option<(Location, Kind)>,
    /// Whether the path ends in a slash, so that only a directory will do.
    pub slash: bool,
}

impl Resolved<'_> {
    /// What the path names, or that nothing is there.
    pub fn existing(&self) -> Result<(Location, Kind)> {
        self.found.ok_or(Error::NotFound)
    }

    /// The last name, for operations that change the directory it is in.
    pub fn last_name(&self) -> Result<&[u8]> {
        if self.name.is_empty() { Err(Error::Busy) } else { Ok(&self.name) }
    }
}

/// How far a path leads without following a symbolic link.
enum Way {
    /// To its end; the name is a range of the path.
    End { parent: Location, name: Range<usize>, found: Option<(Location, Kind)>, slash: bool },
    /// To a symbolic link, which makes this the rest of the path.
    Link(Vec<u8>),
}

impl Vfs {
    /// Finds what `path` names. A symbolic link at its end is followed only if `follow`.
    pub(super) fn resolve<'p>(&mut self, path: &'p str, follow: bool) -> Result<Resolved<'p>> {
        let mut stack = core::mem::take(&mut self.walked);
        stack.clear();
        let result = self.walk(path, follow, &mut stack, None);
        self.walked = stack;
        result
    }

    /// What `path` names, through symbolic links.
    pub(super) fn find(&mut self, path: &str) -> Result<(Location, Kind)> {
        if self.base.is_some() {
            return self.resolve(path, true)?.existing();
        }
        if let Some(known) = self.known.get(path) {
            return Ok(known);
        }
        let found = self.resolve(path, true)?.existing()?;
        self.known.insert(path, found);
        Ok(found)
    }

    /// The path of what `path` names, without symbolic links, `.` and `..`.
    pub fn canonicalize(&mut self, path: &str) -> Result<String> {
        let mut trail = Vec::new();
        let resolved = self.walk(path, true, &mut Vec::new(), Some(&mut trail))?;
        resolved.existing()?;
        if trail.is_empty() {
            trail.push(b'/');
        }
        Ok(String::from_utf8_lossy(&trail).into_owned())
    }

    /// As `resolve`; also leaves the directories walked through in `stack`, and the path in `trail`.
    pub(super) fn walk<'p>(
        &mut self,
        path: &'p str,
        follow: bool,
        stack: &mut Vec<Location>,
        mut trail: Option<&mut Vec<u8>>,
    ) -> Result<Resolved<'p>> {
        if !path.starts_with('/') {
            return Err(if path.is_empty() { Error::NotFound } else { Error::InvalidArgument });
        }
        if path.len() > PATH_MAX {
            return Err(Error::NameTooLong);
        }
        stack.push(self.base.unwrap_or_else(|| self.root_location()));
        let mut rest = Cow::Borrowed(path.as_bytes());
        for _ in 0..=MOST_SYMLINKS {
            match self.walk_to_link(&rest, follow, stack, trail.as_deref_mut())? {
                Way::End { parent, name, found, slash } => {
                    let name = match rest {
                        Cow::Borrowed(path) => Cow::Borrowed(&path[name]),
                        Cow::Owned(path) => Cow::Owned(path[name].to_vec()),
                    };
                    return Ok(Resolved { parent, name, found, slash });
                }
                Way::Link(target) => rest = Cow::Owned(target),
            }
        }
        Err(Error::Loop)
    }

    /// Walks along `path` from the directory on top of `stack`.
    fn walk_to_link(
        &mut self,
        path: &[u8],
        follow: bool,
        stack: &mut Vec<Location>,
        mut trail: Option<&mut Vec<u8>>,
    ) -> Result<Way> {
        let mut at = 0;
        let mut name = 0..0;
        let mut slash = true;
        loop {
            while path.get(at) == Some(&b'/') {
                at += 1;
            }
            let directory = *stack.last().ok_or(Error::Io)?;
            if at == path.len() {
                let parent = match stack.len() {
                    0 | 1 => directory,
                    length if !name.is_empty() => stack[length - 2],
                    _ => directory,
                };
                return Ok(Way::End { parent, name, found: Some((directory, Kind::Directory)), slash });
            }
            let start = at;
            while path.get(at).is_some_and(|byte| *byte != b'/') {
                at += 1;
            }
            let component = &path[start..at];
            slash = at < path.len();
            match component {
                b"." => {
                    name = 0..0;
                    continue;
                }
                b".." => {
                    if stack.len() > 1 {
                        stack.pop();
                    }
                    if let Some(trail) = trail.as_deref_mut() {
                        trail.truncate(trail.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    }
                    name = 0..0;
                    continue;
                }
                _ if component.len() > NAME_MAX => return Err(Error::NameTooLong),
                _ => {}
            }
            let ends = || path[at..].iter().all(|byte| *byte == b'/');
            let (mut location, kind) = match self.find_beside(directory, component) {
                Some(location) => (location, Kind::Directory),
                None => match self.file_system(directory.mount)?.lookup(directory.node, component) {
                    Ok(child) => (Location { mount: directory.mount, node: child.node }, child.kind),
                    Err(Error::NotFound) if ends() => {
                        return Ok(Way::End { parent: directory, name: start..at, found: None, slash });
                    }
                    Err(error) => return Err(error),
                },
            };
            if kind == Kind::Symlink && (follow || slash) {
                let mut target = self.file_system(location.mount)?.read_symlink(location.node)?;
                if target.first() == Some(&b'/') {
                    stack.truncate(1);
                    if let Some(trail) = trail.as_deref_mut() {
                        trail.clear();
                    }
                }
                target.extend_from_slice(&path[at..]);
                return if target.len() > PATH_MAX { Err(Error::NameTooLong) } else { Ok(Way::Link(target)) };
            }
            if let Some(trail) = trail.as_deref_mut() {
                trail.push(b'/');
                trail.extend_from_slice(component);
            }
            name = start..at;
            if kind == Kind::Directory {
                location = self.enter(location);
                stack.push(location);
            } else if slash {
                return Err(Error::NotADirectory);
            } else {
                return Ok(Way::End { parent: directory, name, found: Some((location, kind)), slash });
            }
        }
    }
}

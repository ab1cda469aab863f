//! Walking a path: component by component, through symbolic links and across mounts.
//!
//! A walk starts at the root and keeps the directories it came through, so `..` is the one before, whatever file system that is
//! on, and needs no lookup.

use alloc::{borrow::Cow, string::String, vec::Vec};

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
pub(super) struct Resolved {
    /// The directory that holds, or would hold, the last name.
    pub parent: Location,
    /// The last name; empty when the path ends in the root, `.` or `..`.
    pub name: Vec<u8>,
    /// What the path names, if anything.
    pub found: Option<(Location, Kind)>,
    /// Whether the path ends in a slash, so that only a directory will do.
    pub slash: bool,
}

impl Resolved {
    /// What the path names, or that nothing is there.
    pub fn existing(&self) -> Result<(Location, Kind)> {
        self.found.ok_or(Error::NotFound)
    }

    /// The last name, for operations that change the directory it is in.
    pub fn last_name(&self) -> Result<&[u8]> {
        if self.name.is_empty() { Err(Error::Busy) } else { Ok(&self.name) }
    }
}

impl Vfs {
    /// Finds what `path` names. A symbolic link at its end is followed only if `follow`.
    pub(super) fn resolve(&mut self, path: &str, follow: bool) -> Result<Resolved> {
        let mut stack = core::mem::take(&mut self.walked);
        stack.clear();
        let result = self.walk(path, follow, &mut stack, None);
        self.walked = stack;
        result
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
    pub(super) fn walk(
        &mut self,
        path: &str,
        follow: bool,
        stack: &mut Vec<Location>,
        mut trail: Option<&mut Vec<u8>>,
    ) -> Result<Resolved> {
        if !path.starts_with('/') {
            return Err(if path.is_empty() { Error::NotFound } else { Error::InvalidArgument });
        }
        if path.len() > PATH_MAX {
            return Err(Error::NameTooLong);
        }
        let root = self.root_location();
        stack.push(root);
        let mut links = 0;
        let mut rest: Cow<'_, [u8]> = Cow::Borrowed(path.as_bytes());
        let mut at = 0;
        let mut name = (0, 0);
        let mut last = (root, Kind::Directory);
        let mut slash = true;
        loop {
            while rest.get(at) == Some(&b'/') {
                at += 1;
            }
            let directory = *stack.last().ok_or(Error::Io)?;
            if at == rest.len() {
                let name = rest[name.0..name.1].to_vec();
                let parent = match stack.len() {
                    0 | 1 => root,
                    length if !name.is_empty() => stack[length - 2],
                    _ => directory,
                };
                return Ok(Resolved { parent, name, found: Some(last), slash });
            }
            let start = at;
            while at < rest.len() && rest[at] != b'/' {
                at += 1;
            }
            let component = &rest[start..at];
            slash = at < rest.len();
            let ends = rest[at..].iter().all(|byte| *byte == b'/');
            match component {
                b"." => {
                    name = (0, 0);
                    continue;
                }
                b".." => {
                    if stack.len() > 1 {
                        stack.pop();
                    }
                    if let Some(trail) = trail.as_deref_mut() {
                        trail.truncate(trail.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    }
                    name = (0, 0);
                    last = (*stack.last().ok_or(Error::Io)?, Kind::Directory);
                    continue;
                }
                _ if component.len() > NAME_MAX => return Err(Error::NameTooLong),
                _ => {}
            }
            if let Some(location) = self.find_beside(directory, component) {
                if let Some(trail) = trail.as_deref_mut() {
                    trail.push(b'/');
                    trail.extend_from_slice(component);
                }
                stack.push(location);
                name = (start, at);
                last = (location, Kind::Directory);
                continue;
            }
            let child = match self.file_system(directory.mount)?.lookup(directory.node, component) {
                Ok(child) => child,
                Err(Error::NotFound) if ends => {
                    let name = component.to_vec();
                    return Ok(Resolved { parent: directory, name, found: None, slash });
                }
                Err(error) => return Err(error),
            };
            let mut location = Location { mount: directory.mount, node: child.node };
            if child.kind == Kind::Symlink && (!ends || follow || slash) {
                links += 1;
                if links > MOST_SYMLINKS {
                    return Err(Error::Loop);
                }
                let mut target = self.file_system(location.mount)?.read_symlink(location.node)?;
                if target.first() == Some(&b'/') {
                    stack.truncate(1);
                    if let Some(trail) = trail.as_deref_mut() {
                        trail.clear();
                    }
                }
                last = (*stack.last().ok_or(Error::Io)?, Kind::Directory);
                target.extend_from_slice(&rest[at..]);
                if target.len() > PATH_MAX {
                    return Err(Error::NameTooLong);
                }
                rest = Cow::Owned(target);
                at = 0;
                name = (0, 0);
                continue;
            }
            if let Some(trail) = trail.as_deref_mut() {
                trail.push(b'/');
                trail.extend_from_slice(component);
            }
            if child.kind == Kind::Directory {
                location = self.enter(location);
                stack.push(location);
                name = (start, at);
                last = (location, Kind::Directory);
            } else if ends && !slash {
                let name = component.to_vec();
                return Ok(Resolved { parent: directory, name, found: Some((location, child.kind)), slash });
            } else {
                return Err(Error::NotADirectory);
            }
        }
    }
}

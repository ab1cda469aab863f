//! Where a client's paths begin, and whether it may change what lies there.

use alloc::{collections::BTreeMap, string::String};

use motte_interfaces::{Replier, Sender, badge, error::IoError};

use super::FilesServer;
use crate::{memory::LentPages, vfs::Vfs};

/// What a client sees instead of the whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The directory that is its `/`, seen from the true one.
    pub path: String,
    /// Whether it may not change anything.
    pub read_only: bool,
}

impl Root {
    /// Reads `/path` or `/path:ro`, as in the manifest.
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix(":ro") {
            Some(path) => Self { path: path.into(), read_only: true },
            None => Self { path: text.into(), read_only: false },
        }
    }
}

/// The roots of clients that do not see the whole tree, by badge.
pub type Roots = BTreeMap<u64, Root>;

impl<R: Replier, P: LentPages> FilesServer<R, P> {
    /// The tree as the sender's paths see it.
    pub(super) fn look(&mut self, sender: &Sender) -> Result<&mut Vfs, IoError> {
        let client = self.client(sender)?;
        // Only components have roots of their own.
        let root = if client < badge::FIRST_PROGRAM { self.roots.get(&client) } else { None };
        let vfs = self.vfs.as_mut().ok_or(IoError::ServiceGone)?;
        if client & badge::OBJECT != 0 {
            vfs.look_from_open(client, 0)?;
        } else if let Some(root) = root {
            vfs.look_from(&root.path)?;
        } else {
            vfs.look_from_root();
        }
        Ok(vfs)
    }

    /// As [`FilesServer::look`], for those who may change what they see.
    pub(super) fn look_to_change(&mut self, sender: &Sender) -> Result<&mut Vfs, IoError> {
        let client = self.client(sender)?;
        if client & badge::OBJECT != 0 || self.roots.get(&client).is_some_and(|root| root.read_only) {
            return Err(IoError::ReadOnlyFilesystem);
        }
        self.look(sender)
    }

    /// As [`FilesServer::look_to_change`], for a change.
    pub(super) fn change_from(&mut self, sender: &Sender) -> Result<&mut Vfs, IoError> {
        self.changed = true;
        self.look_to_change(sender)
    }

    /// The tree, for those who see all of it.
    pub(super) fn whole(&mut self, sender: &Sender) -> Result<&mut Vfs, IoError> {
        let client = self.client(sender)?;
        if client & badge::OBJECT != 0 || self.roots.contains_key(&client) {
            return Err(IoError::PermissionDenied);
        }
        self.look(sender)
    }
}

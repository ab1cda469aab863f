//! The open files in kept memory: a server that is started anew goes on with the handles and positions of its predecessor.
//!
//! An open file is eight words, of which the first is a seal over what does not change while it is open; the position has a check of its own.
//! A handle is four words, the first a seal. Whatever has no seal is not there.

use alloc::vec::Vec;

use super::{
    Location, Vfs,
    handles::{Description, Handle, Held, OpenFlags},
};
use crate::{
    error::Result,
    ext4::kept::{checked, unchecked},
    filesystem::{Kind, ReadAhead},
    kept::{DESCRIPTIONS, HANDLES, Kept, seal},
    requests::Requests,
};

/// Open files that are kept; those beyond are closed by a restart.
const MOST_DESCRIPTIONS: usize = 2048;
const DESCRIPTION_WORDS: usize = 8;
/// Handles that are kept.
const MOST_HANDLES: usize = 4096;
const HANDLE_WORDS: usize = 4;
/// Salt of a position's check.
const POSITION: u64 = 4;

/// Kinds in the order of their numbers.
const KINDS: [Kind; 8] = [
    Kind::File,
    Kind::Directory,
    Kind::Symlink,
    Kind::CharacterDevice,
    Kind::BlockDevice,
    Kind::Fifo,
    Kind::Socket,
    Kind::Unknown,
];

/// The tables.
#[derive(Default)]
pub(super) struct OpenFiles {
    kept: Option<Kept>,
    free_handles: Vec<u16>,
}

impl OpenFiles {
    /// Puts an open file down.
    pub fn put(&mut self, number: u32, description: &Description) {
        let (Some(mut kept), true) = (self.kept, (number as usize) < MOST_DESCRIPTIONS) else { return };
        let base = number as usize * DESCRIPTION_WORDS;
        let kind = KINDS.iter().position(|kind| *kind == description.kind).unwrap_or(KINDS.len() - 1) as u64;
        let Location { mount, node } = description.location;
        let what = u64::from(description.flags.0) << 40 | kind << 32 | u64::from(mount);
        kept.put(DESCRIPTIONS, base + 1, what);
        kept.put(DESCRIPTIONS, base + 2, node);
        kept.put(DESCRIPTIONS, base + 3, checked(description.position, POSITION).unwrap_or(0));
        kept.put(DESCRIPTIONS, base, seal(&[number.into(), what, node]));
    }

    /// Notes the position of an open file.
    #[inline]
    pub fn set_position(&mut self, number: u32, position: u64) {
        if let Some(mut kept) = self.kept
            && (number as usize) < MOST_DESCRIPTIONS
        {
            // A position too large for its word makes the file one that a restart closes.
            let word = checked(position, POSITION).unwrap_or(0);
            kept.put(DESCRIPTIONS, number as usize * DESCRIPTION_WORDS + 3, word);
        }
    }

    /// An open file is closed.
    pub fn remove(&mut self, number: u32) {
        if let Some(mut kept) = self.kept
            && (number as usize) < MOST_DESCRIPTIONS
        {
            kept.put(DESCRIPTIONS, number as usize * DESCRIPTION_WORDS, 0);
        }
    }

    /// Puts a handle down; returns its place.
    pub fn put_handle(&mut self, client: u64, handle: Handle, description: u32, request: u64) -> Option<u16> {
        let mut kept = self.kept?;
        let place = self.free_handles.pop()?;
        let base = usize::from(place) * HANDLE_WORDS;
        let which = u64::from(handle) << 32 | u64::from(description);
        kept.put(HANDLES, base + 1, client);
        kept.put(HANDLES, base + 2, which);
        kept.put(HANDLES, base + 3, request);
        kept.put(HANDLES, base, seal(&[place.into(), client, which, request]));
        Some(place)
    }

    /// A handle is closed.
    pub fn remove_handle(&mut self, place: Option<u16>) {
        if let (Some(mut kept), Some(place)) = (self.kept, place) {
            kept.put(HANDLES, usize::from(place) * HANDLE_WORDS, 0);
            self.free_handles.push(place);
        }
    }

    fn description(kept: &Kept, number: usize) -> Option<Description> {
        let word = |word: usize| kept.get(DESCRIPTIONS, number * DESCRIPTION_WORDS + word);
        let (what, node) = (word(1), word(2));
        if word(0) != seal(&[number as u64, what, node]) {
            return None;
        }
        Some(Description {
            location: Location { mount: what as u32, node },
            kind: *KINDS.get((what >> 32 & 0xff) as usize)?,
            flags: OpenFlags((what >> 40) as u32),
            position: unchecked(word(3), POSITION)?,
            ahead: ReadAhead::default(),
            holders: 0,
        })
    }

    /// A handle: client, number, description, the request that made it.
    fn handle(kept: &Kept, place: usize) -> Option<(u64, Handle, u32, u64)> {
        let word = |word: usize| kept.get(HANDLES, place * HANDLE_WORDS + word);
        let (client, which, request) = (word(1), word(2), word(3));
        let whole = word(0) == seal(&[place as u64, client, which, request]);
        whole.then_some((client, (which >> 32) as Handle, which as u32, request))
    }
}

impl Vfs {
    /// Keeps open files and the request in hand in `kept`. After a former server whose state the root's file system took over, goes on with what that had open, as far as the mounts are those that it had. Returns how many open files
    /// could not be taken over.
    pub fn keep_in(&mut self, kept: Kept) -> Result<usize> {
        self.requests = Requests::new(kept);
        self.open_files = OpenFiles { kept: Some(kept), free_handles: Vec::new() };
        let mut lost = 0;
        for number in kept.used(DESCRIPTIONS, MOST_DESCRIPTIONS, DESCRIPTION_WORDS) {
            let Some(description) = OpenFiles::description(&kept, number) else {
                self.open_files.remove(number as u32);
                continue;
            };
            if self.take_over(&description).is_err() {
                lost += 1;
                self.open_files.remove(number as u32);
                continue;
            }
            self.descriptions.resize_with(number + 1, || None);
            self.descriptions[number] = Some(description);
        }
        let mut taken = Vec::new();
        for place in kept.used(HANDLES, MOST_HANDLES, HANDLE_WORDS) {
            if OpenFiles::handle(&kept, place).is_some_and(|found| self.take_over_handle(place as u16, found)) {
                taken.push(place as u16);
            } else {
                self.open_files.kept.iter_mut().for_each(|kept| kept.put(HANDLES, place * HANDLE_WORDS, 0));
            }
        }
        let mut end = MOST_HANDLES as u16;
        for place in taken.into_iter().rev() {
            self.open_files.free_handles.extend((place + 1..end).rev());
            end = place;
        }
        self.open_files.free_handles.extend((0..end).rev());
        // It has numbers already if files were open before.
        self.free_descriptions.clear();
        for number in 0..self.descriptions.len() as u32 {
            let nobody = self.descriptions[number as usize].as_ref().is_some_and(|open| open.holders == 0);
            if nobody && let Some(open) = self.descriptions[number as usize].take() {
                self.open_files.remove(number);
                self.file_system(open.location.mount)?.release(open.location.node);
            }
            if self.descriptions[number as usize].is_none() {
                self.free_descriptions.push(number);
            }
        }
        for mount in self.mounts.iter_mut().flatten() {
            mount.file_system.end_resumption()?;
        }
        self.judge_appends();
        Ok(lost)
    }

    /// What was appended is what the file has behind where it was to go: nobody else has changed it since.
    fn judge_appends(&mut self) {
        let mut requests = core::mem::take(&mut self.requests);
        requests.judge_appends(|number, position| {
            let open = self.descriptions.get(number as usize)?.as_ref()?;
            let location = open.flags.any(OpenFlags::APPEND).then_some(open.location)?;
            let attributes = self.file_system(location.mount).and_then(|mount| mount.attributes(location.node));
            Some(attributes.map_or(0, |attributes| attributes.size.saturating_sub(position)))
        });
        self.requests = requests;
    }

    fn take_over(&mut self, description: &Description) -> Result<()> {
        let file_system = self.file_system(description.location.mount)?;
        if !file_system.is_resumed() || file_system.attributes(description.location.node)?.kind != description.kind {
            return Err(crate::Error::BadHandle);
        }
        file_system.retain(description.location.node)
    }

    fn take_over_handle(&mut self, place: u16, (client, handle, number, request): (u64, Handle, u32, u64)) -> bool {
        let Some(Some(description)) = self.descriptions.get_mut(number as usize) else { return false };
        let held = Held { description: number, place: Some(place), request };
        if !self.clients.get_or_add(client).set(handle, held) {
            return false;
        }
        description.holders += 1;
        true
    }
}

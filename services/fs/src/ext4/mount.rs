//! Mounting, and saying in one sentence why a disk cannot be mounted or only in part.

use alloc::boxed::Box;
use core::fmt;

use hashbrown::HashMap;
use rsext4::{Ext4 as Core, Ext4Error, Ext4ErrorKind, MountOptions, MountServices, NoopObserver};

use super::{Ext4, kept::KeptNodes, names::Names};
use crate::{
    block_io::{RawSuperblock, SharedCache},
    cache::{PAGE_SIZE, PageCache},
    clock::WallClock,
    disk::Disk,
    error::Error,
    kept::Kept,
    memory::Region,
};

/// Why there is no file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountProblem {
    /// There is no disk.
    Missing,
    /// The first blocks cannot be read.
    Unreadable,
    /// The disk holds something else, or nothing.
    NotExt4,
    /// The file system uses what is not supported.
    Unsupported,
    /// Metadata is damaged.
    Damaged(&'static str),
    /// The file system is larger than the disk.
    Truncated,
    /// The cache's memory is too small.
    OutOfMemory,
}

impl fmt::Display for MountProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountProblem::Missing => f.write_str("there is no disk"),
            MountProblem::Unreadable => f.write_str("the disk cannot be read"),
            MountProblem::NotExt4 => f.write_str("the disk holds no ext4 file system"),
            MountProblem::Unsupported => {
                f.write_str("the disk's ext4 file system uses features that are not supported")
            }
            MountProblem::Damaged(what) => {
                write!(f, "the disk's ext4 file system is damaged ({what}); e2fsck on another system may mend it")
            }
            MountProblem::Truncated => f.write_str("the disk is smaller than its ext4 file system"),
            MountProblem::OutOfMemory => f.write_str("there is too little memory for the disk's cache"),
        }
    }
}

/// What someone should know about a file system that was mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountNotice {
    /// The journal of an unclean shutdown was replayed.
    Recovered,
    /// The disk refuses writes.
    DiskReadOnly,
    /// It was asked for.
    ReadOnlyAsked,
    /// The disk refuses writes, so its journal was not replayed.
    NotReplayed,
    /// The file system is marked as having errors.
    HasErrors,
    /// A feature allows no writing.
    FeatureReadOnly,
    /// Writing was not possible because of damage.
    Damaged,
    /// No block is free.
    Full,
}

impl fmt::Display for MountNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MountNotice::Recovered => "the file system was not shut down cleanly; its journal was replayed",
            MountNotice::DiskReadOnly => "the disk is read-only, so the file system is mounted read-only",
            MountNotice::ReadOnlyAsked => "the file system is mounted read-only, as asked",
            MountNotice::NotReplayed => {
                "the disk is read-only and was not shut down cleanly; recent changes are not visible"
            }
            MountNotice::HasErrors => {
                "the file system is marked as damaged, so it is mounted read-only; e2fsck on another system may mend it"
            }
            MountNotice::FeatureReadOnly => {
                "the file system uses a feature that can only be read, so it is mounted read-only"
            }
            MountNotice::Damaged => {
                "the file system is damaged, so it is mounted read-only; e2fsck on another system may mend it"
            }
            MountNotice::Full => "the disk is full",
        })
    }
}

fn problem(error: Ext4Error) -> MountProblem {
    match error.kind() {
        Ext4ErrorKind::InvalidMagic => MountProblem::NotExt4,
        Ext4ErrorKind::UnsupportedFeature | Ext4ErrorKind::UnsupportedCapability | Ext4ErrorKind::Unsupported => {
            MountProblem::Unsupported
        }
        Ext4ErrorKind::NoMemory => MountProblem::OutOfMemory,
        Ext4ErrorKind::ChecksumMismatch => MountProblem::Damaged("a checksum does not match"),
        Ext4ErrorKind::BadSuperblock => MountProblem::Damaged("the superblock makes no sense"),
        Ext4ErrorKind::JournalAborted => MountProblem::Damaged("the journal cannot be used"),
        Ext4ErrorKind::Io => MountProblem::Damaged("part of it cannot be read"),
        _ => MountProblem::Damaged("its structures make no sense"),
    }
}

impl Ext4 {
    /// Mounts the file system on `disk`, with `memory` for its page cache.
    ///
    /// What can be mounted only read-only is; the notice says why. A damaged file system is never written.
    pub fn mount(
        disk: Box<dyn Disk>,
        memory: Region,
        clock: WallClock,
        read_only: bool,
    ) -> Result<(Self, Option<MountNotice>), MountProblem> {
        let cache = PageCache::new(disk, memory).map_err(|_| MountProblem::OutOfMemory)?;
        Self::mount_over(&SharedCache::new(cache), &clock, read_only)
    }

    /// As [`Ext4::mount`], keeping what a server that is started anew needs in `kept`; if a former one left something usable there, goes on
    /// where that stopped. `generation` counts the starts.
    pub fn mount_kept(
        disk: Box<dyn Disk>,
        memory: Region,
        clock: WallClock,
        mut kept: Kept,
        generation: u64,
    ) -> Result<(Self, Option<MountNotice>), MountProblem> {
        let disk = match PageCache::resume(disk, memory, kept) {
            Ok(cache) => {
                let cache = SharedCache::new(cache);
                cache.expect_resumption();
                match Self::mount_over(&cache, &clock, false) {
                    Ok((mut mounted, notice)) if cache.is_resumed() => {
                        mounted.take_over_nodes();
                        return Ok((mounted, notice.filter(|notice| *notice != MountNotice::Recovered)));
                    }
                    Ok(_) => log::warn!("what the former server left is not needed"),
                    Err(problem) => log::error!("what the former server left is of no use: {problem}"),
                }
                // Whatever was mounted is forgotten with its cache.
                cache.give_up();
                cache.into_disk().ok_or(MountProblem::OutOfMemory)?
            }
            Err((disk, why)) => {
                if generation > 1 {
                    log::warn!("the file server begins anew: {why}");
                }
                disk
            }
        };
        kept.end();
        let mut cache = PageCache::new(disk, memory).map_err(|_| MountProblem::OutOfMemory)?;
        if RawSuperblock::load(&mut cache).is_ok_and(|superblock| superblock.has_whole_pages()) {
            cache.keep_in(kept, generation);
        }
        let (mut mounted, notice) = Self::mount_over(&SharedCache::new(cache), &clock, false)?;
        mounted.keep_nodes();
        Ok((mounted, notice))
    }

    fn mount_over(
        cache: &SharedCache,
        clock: &WallClock,
        read_only: bool,
    ) -> Result<(Self, Option<MountNotice>), MountProblem> {
        let geometry = cache.borrow().geometry();
        let superblock = RawSuperblock::load(&mut cache.borrow()).map_err(|error| match error {
            Error::OutOfMemory => MountProblem::OutOfMemory,
            _ if geometry.sectors < 4 => MountProblem::NotExt4,
            _ => MountProblem::Unreadable,
        })?;
        if !superblock.is_ext4() {
            return Err(MountProblem::NotExt4);
        }
        superblock.check_shape().map_err(MountProblem::Damaged)?;
        if superblock.bytes() > u128::from(geometry.sectors) * 512 {
            return Err(MountProblem::Truncated);
        }
        let recovering = superblock.needs_recovery();
        let only_read = if geometry.read_only && recovering {
            Some(MountNotice::NotReplayed)
        } else if geometry.read_only {
            Some(MountNotice::DiskReadOnly)
        } else if superblock.has_errors() {
            Some(MountNotice::HasErrors)
        } else if read_only {
            Some(MountNotice::ReadOnlyAsked)
        } else {
            None
        };
        if let Some(notice) = only_read {
            let options = MountOptions { readonly: true, replay_journal: !geometry.read_only, block_validity: true };
            if superblock.has_journal() && !geometry.read_only && recovering {
                cache.expect_journal();
            }
            let mounted = Self::attempt(cache, clock, options)?;
            return Ok((mounted, Some(notice)));
        }
        if superblock.has_journal() {
            cache.expect_journal();
        }
        let first = match Self::attempt(cache, clock, MountOptions::read_write()) {
            Ok(mounted) => {
                let notice = match (recovering, mounted.core.statfs().free_blocks) {
                    (true, _) => Some(MountNotice::Recovered),
                    (false, 0) => Some(MountNotice::Full),
                    _ => None,
                };
                return Ok((mounted, notice));
            }
            Err(problem) => problem,
        };
        cache.give_up();
        let notice = match first {
            MountProblem::Unsupported => MountNotice::FeatureReadOnly,
            MountProblem::Damaged(_) => MountNotice::Damaged,
            other => return Err(other),
        };
        match Self::attempt(cache, clock, MountOptions::read_only_no_journal_replay()) {
            Ok(mounted) => Ok((mounted, Some(notice))),
            Err(_) => Err(first),
        }
    }

    fn attempt(cache: &SharedCache, clock: &WallClock, options: MountOptions) -> Result<Self, MountProblem> {
        let services = MountServices::new(clock.clone(), (), NoopObserver);
        let core = Core::mount(cache.clone(), services, options).map_err(problem)?;
        let whole_pages = core.block_size() == PAGE_SIZE;
        Ok(Self {
            core,
            cache: cache.clone(),
            clock: clock.clone(),
            names: Names::default(),
            nodes: HashMap::new(),
            read_only: options.readonly,
            whole_pages,
            freed: false,
            delayed: 0,
            unsettled: false,
            kept_nodes: KeptNodes::default(),
        })
    }
}

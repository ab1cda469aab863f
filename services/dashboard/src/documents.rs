//! Documents that are read in pieces: whoever has begun one reads it to its end as it was then.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use motte_interfaces::dashboard::{DashboardError, Document, PIECE};

/// Versions that are kept, so that readers of an older one can end.
const KEPT: usize = 8;

/// The versions that readers may be at.
#[derive(Debug, Default)]
pub struct Documents {
    kept: VecDeque<(Document, u64, Vec<u8>)>,
    versions: u64,
}

impl Documents {
    /// A new version of a document. Returns its number and its length.
    pub fn add(&mut self, document: Document, text: Vec<u8>) -> (u64, u64) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.versions += 1;
        let length = text.len() as u64;
        self.kept.push_back((document, self.versions, text));
        (self.versions, length)
    }

    /// The newest version of a document, if it is kept.
    pub fn newest(&self, document: Document) -> Option<(u64, u64)> {
        let newest = self.kept.iter().rev().find(|(kept, ..)| *kept == document);
        newest.map(|(_, version, text)| (*version, text.len() as u64))
    }

    /// A piece of a version.
    pub fn read(&self, document: Document, version: u64, offset: u64) -> Result<&[u8], DashboardError> {
        let found = self.kept.iter().find(|(kept, number, _)| *kept == document && *number == version);
        let (.., text) = found.ok_or(DashboardError::Outdated)?;
        Ok(piece(text, offset))
    }
}

/// A piece of a text from `offset` on.
pub fn piece(text: &[u8], offset: u64) -> &[u8] {
    let rest = &text[usize::try_from(offset).unwrap_or(usize::MAX).min(text.len())..];
    &rest[..rest.len().min(PIECE)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_reader_stays_with_its_version_until_it_is_too_old() {
        let mut documents = Documents::default();
        let (first, length) = documents.add(Document::State, vec![1; 1000]);
        let (second, _) = documents.add(Document::State, vec![2; 10]);
        assert_eq!((length, documents.newest(Document::State)), (1000, Some((second, 10))));
        assert_eq!(documents.read(Document::State, first, 0), Ok(&[1; PIECE][..]));
        assert_eq!(documents.read(Document::State, first, PIECE as u64), Ok(&[1; 200][..]));
        assert_eq!(documents.read(Document::State, first, u64::MAX), Ok(&[][..]));
        assert_eq!(documents.read(Document::Metrics, first, 0), Err(DashboardError::Outdated));
        for _ in 0..KEPT {
            documents.add(Document::Metrics, vec![]);
        }
        assert_eq!(documents.read(Document::State, second, 0), Err(DashboardError::Outdated));
        assert_eq!(documents.newest(Document::State), None);
    }
}

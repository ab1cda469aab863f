//! Pipes. The ends are read and written through [`crate::stream`]. Reading at the end gives nothing once every writer has
//! closed; writing fails with `BrokenPipe` once every reader has.
//!
//! A restart of the service loses nothing: pipes, the bytes in them and who holds which end are kept. A request that was not answered is
//! known when it comes again: what it read or wrote, it does not read or write twice. Where several programs read the same end, that holds for
//! the one that read last.

use crate::error::IoError;
use crate::interface;

/// The pipe service.
#[interface("pipe")]
pub trait Pipes {
    /// Makes a pipe; returns the handles of its reading and its writing end. The second is the number after the first, so that whoever gets
    /// them sees that they are right: an end that nobody knows would be closed by nobody ([`ends`]).
    #[numbered]
    fn create(&self) -> Result<(u64, u64), IoError>;
}

/// The ends of a new pipe. An answer of [`Pipes::create`] that was changed on its way is not used: it asks for another pipe, once.
pub fn ends(mut create: impl FnMut() -> Result<(u64, u64), IoError>) -> Result<(u64, u64), IoError> {
    let is_right = |&(reading, writing): &(u64, u64)| reading.checked_add(1) == Some(writing);
    let first = create()?;
    if is_right(&first) {
        return Ok(first);
    }
    create().and_then(|second| if is_right(&second) { Ok(second) } else { Err(IoError::InvalidData) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_were_changed_on_their_way_are_not_used() {
        let ends_of = |answers: &[(u64, u64)]| {
            let mut answers = answers.iter();
            ends(|| answers.next().copied().ok_or(IoError::OutOfMemory))
        };
        assert_eq!(ends_of(&[(4, 5)]), Ok((4, 5)));
        assert_eq!(ends_of(&[(4, 0x10_0000_0005), (7, 8)]), Ok((7, 8)));
        assert_eq!(ends_of(&[(u64::MAX, 5), (7, 8)]), Ok((7, 8)));
        assert_eq!(ends_of(&[(4, 6), (8, 7)]), Err(IoError::InvalidData));
        assert_eq!(ends_of(&[]), Err(IoError::OutOfMemory));
    }
}

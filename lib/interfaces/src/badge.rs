//! How badges are divided, so that a server knows at a glance what kind of sender it hears.
//!
//! | badge | who |
//! |---|---|
//! | 1 to 0xfff | component number (manifest index + 1), through the registry |
//! | 0x1000 to 0xffff_ffff | program, by process number + 0x1000 |
//! | bit 63 set | the holder of an object that the server itself handed out; the rest is the server's |
//! | bit 62 set | a component that reports the deaths of others (supervisor, process server); the rest as above |

/// Set in badges that a server minted for one of its own objects.
pub const OBJECT: u64 = 1 << 63;

/// Set in the badge of those who may report that a client is gone.
pub const LIFECYCLE: u64 = 1 << 62;

/// Badge of the program with process number 0; a program's badge is this plus its number.
pub const FIRST_PROGRAM: u64 = 0x1000;

/// The client that a badge names, without the flag bits.
pub const fn client(badge: u64) -> u64 {
    badge & !(OBJECT | LIFECYCLE)
}

//! Why a system call failed.

use core::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// The status of a system call that failed; success is the register value 0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Error { $($(#[$doc])* $name = $value,)* }

        impl Error {
            /// Every error, in the order of its number.
            pub const ALL: &[Error] = &[$(Error::$name),*];

            /// The result that a status register holds. An unknown number is `InvalidArgument`.
            #[inline(always)]
            pub const fn from_status(status: u64) -> Result<(), Error> {
                if status == 0 { Ok(()) } else { Err(Self::from_raw(status)) }
            }

            /// Away from the calls that succeed, which then cost a comparison.
            #[cold]
            #[inline]
            const fn from_raw(status: u64) -> Error {
                match status {
                    $($value => Error::$name,)*
                    _ => Error::InvalidArgument,
                }
            }

            /// The error as part of a sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Error::$name => $text,)* }
            }
        }
    };
}

errors! {
    /// The capability index lies outside the table, or its slot is empty.
    InvalidCapability = 1, "no capability in that slot";
    /// The capability names an object of another type than the call works on.
    WrongType = 2, "the capability is of another type";
    /// The capability lacks a right that the call needs.
    MissingRight = 3, "the capability lacks the right for this";
    /// An argument is out of its range.
    InvalidArgument = 4, "an argument is out of range";
    /// The untyped memory has not enough left.
    OutOfMemory = 5, "the untyped memory is used up";
    /// The destination slot already holds a capability.
    SlotOccupied = 6, "the destination slot is occupied";
    /// The endpoint was destroyed or closed: nobody will answer.
    PeerGone = 7, "the peer is gone";
    /// The server took the message and was destroyed before it answered; the endpoint lives on.
    PeerRestarted = 8, "the peer was restarted before it answered";
    /// The call would have had to wait, and was asked not to.
    WouldBlock = 9, "the call would have to wait";
    /// The frame or page table is mapped already.
    AlreadyMapped = 10, "it is mapped already";
    /// The frame or page table is not mapped.
    NotMapped = 11, "it is not mapped";
    /// A page table is missing on the way; the call's first result is its level (1 lowest, to 3).
    MissingTable = 12, "a page table is missing at that address";
    /// An address or size is not aligned as the object needs.
    Misaligned = 13, "an address or size is not aligned";
    /// The object is in use and cannot do this now.
    Busy = 14, "the object is in use";
    /// A fixed limit of the kernel is reached (address spaces, interrupt vectors).
    LimitReached = 15, "a fixed limit of the kernel is reached";
    /// This machine cannot do it.
    Unsupported = 16, "this machine does not support it";
    /// The wait was ended from outside: the thread was stopped and started again.
    Cancelled = 17, "the wait was cancelled";
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

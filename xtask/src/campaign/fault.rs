//! The faults: which there are, and which one comes next.

use std::fmt;
use std::str::FromStr;

use super::code::Mutation;
use crate::random::Random;

/// What is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultType {
    /// An instruction that is about to be executed.
    Code(Mutation),
    /// A word of a stack that is in use.
    Stack,
    /// A word of the heap.
    #[default]
    Heap,
    /// The length of a message.
    MessageLength,
    /// A word of a message: an index, an offset, a count.
    MessageIndex,
    /// A capability that a message goes to or carries.
    MessageHandle,
    /// A request is never answered.
    ReplyLost,
    /// A request is answered twice.
    ReplyTwice,
    /// A request is answered late.
    ReplyLate,
}

impl FaultType {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 15] = [
        Self::Code(Mutation::Bit),
        Self::Code(Mutation::Source),
        Self::Code(Mutation::Destination),
        Self::Code(Mutation::Condition),
        Self::Code(Mutation::Load),
        Self::Code(Mutation::Address),
        Self::Code(Mutation::Removed),
        Self::Stack,
        Self::Heap,
        Self::MessageLength,
        Self::MessageIndex,
        Self::MessageHandle,
        Self::ReplyLost,
        Self::ReplyTwice,
        Self::ReplyLate,
    ];

    /// Its name on the command line and in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code(Mutation::Bit) => "code-bit",
            Self::Code(Mutation::Source) => "code-source",
            Self::Code(Mutation::Destination) => "code-destination",
            Self::Code(Mutation::Condition) => "code-condition",
            Self::Code(Mutation::Load) => "code-load",
            Self::Code(Mutation::Address) => "code-address",
            Self::Code(Mutation::Removed) => "code-removed",
            Self::Stack => "stack",
            Self::Heap => "heap",
            Self::MessageLength => "message-length",
            Self::MessageIndex => "message-index",
            Self::MessageHandle => "message-handle",
            Self::ReplyLost => "reply-lost",
            Self::ReplyTwice => "reply-twice",
            Self::ReplyLate => "reply-late",
        }
    }

    /// Whether it strikes only who answers requests.
    const fn is_of_replies(self) -> bool {
        matches!(self, Self::ReplyLost | Self::ReplyTwice | Self::ReplyLate)
    }

    /// What it does, for who reads the report.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Code(Mutation::Bit) => "a bit of an instruction is flipped",
            Self::Code(Mutation::Source) => "an instruction reads another register",
            Self::Code(Mutation::Destination) => "an instruction writes another register",
            Self::Code(Mutation::Condition) => "a condition becomes its opposite",
            Self::Code(Mutation::Load) => "an instruction loads the word beside the right one",
            Self::Code(Mutation::Address) => "an instruction reaches memory through another register",
            Self::Code(Mutation::Removed) => "an instruction is missing",
            Self::Stack => "a bit of the stack in use is flipped",
            Self::Heap => "a bit of the heap is flipped",
            Self::MessageLength => "a message has another length",
            Self::MessageIndex => "a word of a message has another value",
            Self::MessageHandle => "a message goes to, or carries, another capability",
            Self::ReplyLost => "a request is never answered",
            Self::ReplyTwice => "a request is answered twice",
            Self::ReplyLate => "a request is answered late, and its server loops until then",
        }
    }
}

impl fmt::Display for FaultType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FaultType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("there is no fault type `{text}`; there are {}", names.join(", "))
        })
    }
}

/// A component that faults strike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// It serves others, and so answers requests.
    pub serves: bool,
}

/// One fault of a campaign.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its number, from 1.
    pub number: u64,
    /// The component that it strikes.
    pub component: String,
    /// What is damaged.
    pub kind: FaultType,
    /// Decides everything else about it.
    pub random: Random,
}

impl Fault {
    /// Fault `number` of the campaign with this seed; the lists are not empty.
    #[must_use]
    pub fn new(seed: u64, number: u64, targets: &[Target], types: &[FaultType]) -> Self {
        // Each fault has numbers of its own, whoever injects it and whatever came before.
        let mut random = Random::new(Random::new(seed).number().wrapping_add(number));
        let target = &targets[random.below(targets.len() as u64) as usize];
        let fitting: Vec<FaultType> =
            types.iter().copied().filter(|kind| target.serves || !kind.is_of_replies()).collect();
        let kind = random.choose(&fitting).copied().unwrap_or(FaultType::Heap);
        Self { number, component: target.name.clone(), kind, random }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_faults() {
        let target = |name: &str, serves| Target { name: name.to_owned(), serves };
        let components = [target("fs", true), target("shell", false)];
        let faults = |seed| {
            let fault = |number| Fault::new(seed, number, &components, &FaultType::ALL);
            (1..=50).map(fault).map(|mut f| (f.component.clone(), f.kind, f.random.number())).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
        assert!(faults(7).iter().any(|fault| fault.0 == "fs" && fault.1.is_of_replies()));
        assert!(faults(7).iter().any(|fault| fault.0 == "shell"));
        assert!(!faults(7).iter().any(|fault| fault.0 == "shell" && fault.1.is_of_replies()));
    }

    #[test]
    fn a_type_is_known_by_its_name() {
        for kind in FaultType::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("stuck".parse::<FaultType>().unwrap_err().contains("code-bit"));
    }
}

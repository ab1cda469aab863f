//! Faults in machine code: an instruction becomes another one of the same length.
//!
//! They are those of Ng and Chen ("The systematic improvement of fault tolerance in the Rio file cache", 1999), which the studies of MINIX and
//! Theseus used too: each imitates a programmer's mistake.

use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, Encoder, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register,
};

use crate::random::Random;

/// What is done to an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mutation {
    /// One of its bits is flipped.
    Bit,
    /// It reads another register.
    Source,
    /// It writes another register.
    Destination,
    /// A condition becomes its opposite.
    Condition,
    /// It loads the word beside the one that it should.
    Load,
    /// It reaches memory through another register.
    Address,
    /// It is not there.
    Removed,
}

/// The no-operation of one byte.
const NOP: u8 = 0x90;
/// The longest instruction.
pub const LONGEST: usize = 15;
/// How often another choice is tried.
const TRIES: usize = 24;

/// An instruction and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What stands there now.
    pub bytes: Vec<u8>,
    /// Both in words.
    pub text: String,
}

/// The instruction at the beginning of `code`, which lies at `address`.
#[must_use]
pub fn decode(code: &[u8], address: u64) -> Option<Instruction> {
    let instruction = Decoder::with_ip(64, code, address, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Changes the instruction at the beginning of `code`; `None` if it has nothing that can be changed so.
pub fn mutate(mutation: Mutation, code: &[u8], address: u64, random: &mut Random) -> Option<Changed> {
    let instruction = decode(code, address)?;
    let length = instruction.len();
    let former = code.get(..length)?;
    let bytes = (0..TRIES).find_map(|_| {
        let mut bytes = match mutation {
            Mutation::Bit => {
                let mut bytes = former.to_vec();
                let bit = random.below(length as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            }
            Mutation::Removed => vec![NOP; length],
            _ => encode(&altered(mutation, instruction, random)?, address)?,
        };
        if bytes.len() > length || bytes == former {
            return None;
        }
        bytes.resize(length, NOP);
        Some(bytes)
    })?;
    let now = match decode(&bytes, address) {
        Some(_) if mutation == Mutation::Removed => "nothing".to_owned(),
        Some(now) => now.to_string(),
        None => "no instruction".to_owned(),
    };
    Some(Changed { bytes, text: format!("`{instruction}` became `{now}`") })
}

fn encode(instruction: &Instruction, address: u64) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(64);
    encoder.encode(instruction, address).ok()?;
    Some(encoder.take_buffer())
}

/// The instruction with one thing changed in it.
fn altered(mutation: Mutation, mut instruction: Instruction, random: &mut Random) -> Option<Instruction> {
    match mutation {
        Mutation::Source | Mutation::Destination => {
            let operand = register_operand(&instruction, mutation == Mutation::Destination)?;
            let other = other_register(instruction.op_register(operand), random)?;
            instruction.set_op_register(operand, other);
        }
        Mutation::Condition if instruction.condition_code() != ConditionCode::None => {
            instruction.negate_condition_code();
        }
        Mutation::Load => {
            let reads = memory_operand(&instruction)? > 0 && instruction.op_kind(0) == OpKind::Register;
            let moves = reads && instruction.memory_size().size() > 0 && instruction.memory_base() != Register::None;
            if !moves || instruction.is_ip_rel_memory_operand() {
                return None;
            }
            let size = instruction.memory_size().size() as u64;
            let displacement = instruction.memory_displacement64();
            let aside =
                if random.below(2) == 0 { displacement.wrapping_add(size) } else { displacement.wrapping_sub(size) };
            instruction.set_memory_displacement64(aside);
        }
        Mutation::Address => {
            memory_operand(&instruction)?;
            if instruction.is_ip_rel_memory_operand() {
                return None;
            }
            let other = other_register(instruction.memory_base(), random)?;
            instruction.set_memory_base(other);
        }
        _ => return None,
    }
    Some(instruction)
}

/// The first general register that is written, or read and not written.
fn register_operand(instruction: &Instruction, written: bool) -> Option<u32> {
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(instruction);
    (0..instruction.op_count()).find(|&operand| {
        let writes = matches!(info.op_access(operand), OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite);
        let reads = matches!(info.op_access(operand), OpAccess::Read | OpAccess::CondRead);
        let is_wanted = if written { writes } else { reads };
        is_wanted && instruction.op_kind(operand) == OpKind::Register && instruction.op_register(operand).is_gpr()
    })
}

fn memory_operand(instruction: &Instruction) -> Option<u32> {
    (0..instruction.op_count()).find(|&operand| instruction.op_kind(operand) == OpKind::Memory)
}

/// Another general register of the same size.
fn other_register(register: Register, random: &mut Random) -> Option<Register> {
    if !register.is_gpr() {
        return None;
    }
    let same_size = |other: &Register| other.is_gpr() && other.size() == register.size() && *other != register;
    let others: Vec<Register> = Register::values().filter(same_size).collect();
    random.choose(&others).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(mutation: Mutation, code: &[u8]) -> Vec<String> {
        (0..20).filter_map(|seed| mutate(mutation, code, 0x40_0000, &mut Random::new(seed))).map(|c| c.text).collect()
    }

    /// `mov rax,[rdi+8]`, `jne +5`, `add rcx,rdx`.
    const LOAD: [u8; 4] = [0x48, 0x8b, 0x47, 0x08];
    const JUMP: [u8; 2] = [0x75, 0x05];
    const ADD: [u8; 3] = [0x48, 0x01, 0xd1];

    #[test]
    fn each_mutation_changes_what_it_is_named_for() {
        assert_eq!(
            changed(Mutation::Condition, &JUMP)[0],
            "`jne short 0000000000400007h` became `je short 0000000000400007h`"
        );
        assert!(
            changed(Mutation::Source, &ADD)
                .iter()
                .all(|text| text.contains("became `add rcx,") && !text.ends_with("rdx`"))
        );
        assert!(
            changed(Mutation::Destination, &ADD)
                .iter()
                .all(|text| text.ends_with(",rdx`") && !text.contains("became `add rcx"))
        );
        assert!(
            changed(Mutation::Load, &LOAD).iter().all(|text| text.ends_with("[rdi+10h]`") || text.ends_with("[rdi]`"))
        );
        assert!(
            changed(Mutation::Address, &LOAD)
                .iter()
                .all(|text| text.contains("became `mov rax,[r") && !text.ends_with("[rdi+8]`"))
        );
        assert_eq!(changed(Mutation::Removed, &LOAD)[0], "`mov rax,[rdi+8]` became `nothing`");
    }

    #[test]
    fn the_length_stays_and_something_changes() {
        use Mutation::{Address, Bit, Condition, Destination, Load, Removed, Source};
        for mutation in [Bit, Source, Destination, Condition, Load, Address, Removed] {
            for code in [&LOAD[..], &JUMP, &ADD] {
                for seed in 0..50 {
                    let Some(changed) = mutate(mutation, code, 0, &mut Random::new(seed)) else { continue };
                    assert_eq!(changed.bytes.len(), code.len());
                    assert_ne!(changed.bytes, code);
                }
            }
        }
        assert!(changed(Mutation::Condition, &LOAD).is_empty());
        assert!(changed(Mutation::Load, &ADD).is_empty());
    }
}

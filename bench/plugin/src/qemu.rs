//! The part of QEMU's plugin interface, version 1, that is used here (`qemu/qemu-plugin.h` of QEMU 7.2).
//!
//! QEMU translates guest code in blocks. A plugin is shown each block when it is translated, and says then what is to happen
//! whenever an instruction of it is executed.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// Version of the interface that [`crate::qemu_plugin_version`] states.
pub const VERSION: c_int = 1;
/// `QEMU_PLUGIN_CB_NO_REGS`: the callback does not look at registers.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_INLINE_ADD_U64`: adds to a word, without a call.
pub const ADD: c_int = 0;

/// Which plugin this is.
pub type Id = u64;

/// What QEMU says of itself; not looked at.
#[repr(C)]
pub struct Information {
    _opaque: [u8; 0],
}

/// A block being translated.
#[repr(C)]
pub struct Block {
    _opaque: [u8; 0],
}

/// An instruction of a block being translated.
#[repr(C)]
pub struct Instruction {
    _opaque: [u8; 0],
}

/// Called when a block is translated.
pub type OnTranslation = extern "C" fn(Id, *mut Block);
/// Called when an instruction is executed, with the processor's number and what was registered with it.
pub type OnExecution = extern "C" fn(c_uint, *mut c_void);

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: OnTranslation);
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: OnExecution,
        registers: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_insn_exec_inline(
        instruction: *mut Instruction,
        operation: c_int,
        word: *mut c_void,
        operand: u64,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub fn qemu_plugin_insn_data(instruction: *const Instruction) -> *const c_void;
    pub fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    /// The instruction as text, to be freed with `g_free`.
    pub fn qemu_plugin_insn_disas(instruction: *const Instruction) -> *mut c_char;
}

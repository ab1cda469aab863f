//! A plugin of QEMU that counts executed instructions exactly, also where time stands still for the guest: while it waits for
//! its disk, the time-stamp counter jumps, and this count does not.
//!
//! The guest marks a place with a no-op that carries a number: `0f 1f 80 NUMBER 52 4d`, that is `nop dword ptr
//! [rax + 0x4d52_NUMBER]`. It does nothing on any processor. For each one executed the plugin writes a line into the file
//! `marks=FILE`: the number, the instructions executed before it by user code and by kernel code, and the host's time in
//! nanoseconds. With `count=off` it counts nothing and costs nothing: for measuring time.
//!
//! With `ask=SOCKET`, whoever connects to this Unix socket is told the two counts as they are now, and the connection ends: for what is
//! measured from outside.
//!
//! With `trace=FILE`, what is executed after the mark 1 and before the mark 2 goes into that file, a line for each
//! instruction: its address, its bytes, its text.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::net::UnixListener;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

mod qemu;

/// How a marker begins and ends; its number lies in between.
const MARKER_START: [u8; 3] = [0x0f, 0x1f, 0x80];
const MARKER_END: [u8; 2] = [0x52, 0x4d];
/// The marks between which is traced.
const TRACE_BEGIN: usize = 1;
const TRACE_END: usize = 2;

/// The interface's version, which QEMU looks for under this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, missing_docs)]
pub static qemu_plugin_version: c_int = qemu::VERSION;

/// Instructions executed in the lower half of the address space, where user code lies, and in the upper half.
static COUNTS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static IS_TRACING: AtomicBool = AtomicBool::new(false);
static OPTIONS: OnceLock<Options> = OnceLock::new();

/// Where the plugin writes.
struct Options {
    started: Instant,
    counts: bool,
    marks: Option<Mutex<File>>,
    trace: Option<Mutex<BufWriter<File>>>,
}

impl Options {
    /// Reads `NAME=VALUE` options; the error says what is wrong with them.
    fn read<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut options = Self { started: Instant::now(), counts: true, marks: None, trace: None };
        let create = |path: &str| File::create(path).map_err(|error| format!("{path}: {error}"));
        for argument in arguments {
            match argument.split_once('=') {
                Some(("count", "off")) => options.counts = false,
                Some(("marks", path)) => options.marks = Some(Mutex::new(create(path)?)),
                Some(("ask", path)) => {
                    let listener = UnixListener::bind(path).map_err(|error| format!("{path}: {error}"))?;
                    std::thread::spawn(move || answer(&listener));
                }
                Some(("trace", path)) => options.trace = Some(Mutex::new(BufWriter::new(create(path)?))),
                _ => {
                    return Err(format!(
                        "the option {argument} is none of count=off, marks=FILE, ask=SOCKET, trace=FILE"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// Tells everybody who connects the counts.
fn answer(listener: &UnixListener) {
    for mut stream in listener.incoming().flatten() {
        let [user, kernel] = COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
        // Who has gone away does not want to know.
        let _ = writeln!(stream, "{user} {kernel}");
    }
}

/// QEMU calls this when it has loaded the plugin; anything but 0 refuses.
///
/// # Safety
/// `arguments` is an array of `count` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: qemu::Id,
    _information: *const qemu::Information,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let arguments = (0..usize::try_from(count).unwrap_or(0)).map(|index| {
        // SAFETY: the caller says that there are so many strings; they live as long as the plugin.
        unsafe { CStr::from_ptr(*arguments.add(index)) }.to_str().unwrap_or("")
    });
    match Options::read(arguments) {
        Ok(options) => drop(OPTIONS.set(options)),
        Err(error) => {
            eprintln!("the counting plugin: {error}");
            return 1;
        }
    }
    // SAFETY: the callback is a function, and so lives as long as QEMU.
    unsafe { qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation) };
    0
}

extern "C" fn on_translation(_id: qemu::Id, block: *mut qemu::Block) {
    let Some(options) = OPTIONS.get() else { return };
    // SAFETY: QEMU lends the block for the time of this call.
    let length = unsafe { qemu::qemu_plugin_tb_n_insns(block) };
    for index in 0..length {
        // SAFETY: the index is below the length; the instruction lives as long as the block.
        let (instruction, address) = unsafe {
            let instruction = qemu::qemu_plugin_tb_get_insn(block, index);
            (instruction, qemu::qemu_plugin_insn_vaddr(instruction))
        };
        if options.counts {
            let counter = COUNTS[usize::from(address >> 63 == 1)].as_ptr();
            // SAFETY: the word is static. Only the one processor that executes adds to it.
            unsafe {
                qemu::qemu_plugin_register_vcpu_insn_exec_inline(instruction, qemu::ADD, counter.cast::<c_void>(), 1);
            }
        }
        let bytes = bytes(instruction);
        if let Some(number) = marker(bytes) {
            on_execution(instruction, mark, ptr::without_provenance_mut(number.into()));
        } else if options.trace.is_some() {
            // Never freed: QEMU does not say when a block's translation is thrown away.
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let line = Box::leak(Box::new(format!("{address:x} {digits} {}\n", text(instruction))));
            on_execution(instruction, trace, ptr::from_mut(line).cast());
        }
    }
}

/// Has `callback` called with `data` whenever the instruction is executed.
fn on_execution(instruction: *mut qemu::Instruction, callback: qemu::OnExecution, data: *mut c_void) {
    // SAFETY: called for an instruction of a block that is being translated, with data that is never freed.
    unsafe {
        qemu::qemu_plugin_register_vcpu_insn_exec_cb(instruction, callback, qemu::NO_REGISTERS, data);
    }
}

/// The bytes of an instruction of a block that is being translated.
fn bytes<'a>(instruction: *const qemu::Instruction) -> &'a [u8] {
    // SAFETY: the bytes of such an instruction are there, so many as it says, until the block is translated.
    unsafe {
        let data = qemu::qemu_plugin_insn_data(instruction).cast::<u8>();
        std::slice::from_raw_parts(data, qemu::qemu_plugin_insn_size(instruction))
    }
}

/// The number of a marker, if it is one.
fn marker(bytes: &[u8]) -> Option<u16> {
    let number = bytes.strip_prefix(&MARKER_START)?.strip_suffix(&MARKER_END)?;
    Some(u16::from_le_bytes(number.try_into().ok()?))
}

/// The instruction as QEMU's disassembler writes it.
fn text(instruction: *const qemu::Instruction) -> String {
    // SAFETY: called for an instruction of a block that is being translated. The text is a string or null; it is the plugin's
    // to free, and stays: few are ever made twice.
    unsafe {
        let text = qemu::qemu_plugin_insn_disas(instruction);
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

extern "C" fn mark(_processor: c_uint, number: *mut c_void) {
    let Some(options) = OPTIONS.get() else { return };
    let number = number.addr();
    match number {
        TRACE_BEGIN => IS_TRACING.store(true, Ordering::Relaxed),
        TRACE_END => {
            IS_TRACING.store(false, Ordering::Relaxed);
            if let Some(mut file) = trace_file() {
                let _ = file.flush();
            }
        }
        _ => {}
    }
    if let Some(marks) = &options.marks {
        let [user, kernel] = COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
        let time = options.started.elapsed().as_nanos();
        let mut file = marks.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk shows as marks that are missing; there is nobody to tell it to here.
        let _ = writeln!(file, "{number} {user} {kernel} {time}");
    }
}

extern "C" fn trace(_processor: c_uint, line: *mut c_void) {
    if !IS_TRACING.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: `on_translation` registered the address of a string that is never freed.
    let line = unsafe { &*line.cast::<String>() };
    if let Some(mut file) = trace_file() {
        let _ = file.write_all(line.as_bytes());
    }
}

fn trace_file() -> Option<MutexGuard<'static, BufWriter<File>>> {
    let file = OPTIONS.get()?.trace.as_ref()?;
    Some(file.lock().unwrap_or_else(PoisonError::into_inner))
}

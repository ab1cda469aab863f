//! A QEMU machine from start to end, with a few bytes of machine code in the kernel's place.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use xtask::bench::plugin::{Plugin, read_marks, read_trace};
use xtask::boot_image::Builder;
use xtask::compile::System;
use xtask::machine::{Console, Ending, Hardware, Machine};
use xtask::prepare::Tool;
use xtask::process::RunDirectory;
use xtask::workspace;

const COM1: u16 = 0x3f8;
const COM2: u16 = 0x2f8;
const DEBUG_CONSOLE: u16 = 0xe9;

/// Machine code (32 bits) that writes bytes to ports.
#[derive(Clone, Default)]
struct Code(Vec<u8>);

impl Code {
    fn print(mut self, port: u16, text: &str) -> Self {
        for byte in text.bytes() {
            self.0.extend_from_slice(&[0x66, 0xba]); // mov dx, port
            self.0.extend_from_slice(&port.to_le_bytes());
            self.0.extend_from_slice(&[0xb0, byte, 0xee]); // mov al, byte; out dx, al
        }
        self
    }

    fn mark(mut self, number: u16) -> Self {
        self.0.extend_from_slice(&[0x0f, 0x1f, 0x80]); // nop dword ptr [eax + 0x4d52_NUMBER]
        self.0.extend_from_slice(&number.to_le_bytes());
        self.0.extend_from_slice(&[0x52, 0x4d]);
        self
    }

    /// Two instructions, so often; one more before.
    fn count_down(mut self, times: u32) -> Self {
        self.0.push(0xb9); // mov ecx, times
        self.0.extend_from_slice(&times.to_le_bytes());
        self.0.extend_from_slice(&[0x49, 0x75, 0xfd]); // dec ecx; jump back to it unless 0
        self
    }

    fn exit(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&[0x66, 0xba, 0xf4, 0x00, 0xb8]); // mov dx, 0xf4; mov eax, value
        self.0.extend_from_slice(&value.to_le_bytes());
        self.0.push(0xef); // out dx, eax
        self.hang()
    }

    fn hang(mut self) -> Self {
        self.0.extend_from_slice(&[0xf4, 0xeb, 0xfd]); // hlt; jump back to it
        self
    }

    /// An ELF program with the note that says where a PVH machine enters it.
    fn elf(&self) -> Vec<u8> {
        const ADDRESS: u64 = 0x10_0000;
        const HEADERS: u64 = 64 + 2 * 56;
        const NOTE: u64 = 24;
        let entry = ADDRESS + HEADERS + NOTE;
        let size = HEADERS + NOTE + self.0.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        for word in [entry, 64, 0] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
        for half in [0_u16, 0, 64, 56, 2, 64, 0, 0] {
            elf.extend_from_slice(&half.to_le_bytes());
        }
        for (kind, offset, length) in [(1_u32, 0, size), (4, HEADERS, NOTE)] {
            elf.extend_from_slice(&kind.to_le_bytes());
            elf.extend_from_slice(&7_u32.to_le_bytes());
            for word in [offset, ADDRESS + offset, ADDRESS + offset, length, length, 4] {
                elf.extend_from_slice(&word.to_le_bytes());
            }
        }
        for word in [4_u32, 8, 18] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
        elf.extend_from_slice(b"Xen\0");
        elf.extend_from_slice(&entry.to_le_bytes());
        elf.extend_from_slice(&self.0);
        elf
    }
}

/// Boots `code`; `None` when this host has no QEMU.
fn boot(code: &Code, directory: &RunDirectory) -> Option<Machine> {
    boot_with(&Hardware::default(), code, directory)
}

fn boot_with(hardware: &Hardware, code: &Code, directory: &RunDirectory) -> Option<Machine> {
    if Tool::Qemu.find().is_none() {
        eprintln!("skipped: this host has no QEMU");
        return None;
    }
    let kernel = directory.path().join("kernel");
    fs::write(&kernel, code.elf()).unwrap();
    let system = System { kernel, boot_image: Builder::new(), applications: Vec::new() };
    Some(Machine::start(&system, hardware, None, Console::Sockets, Some("true")).unwrap())
}

fn directory() -> RunDirectory {
    RunDirectory::create(&workspace::run_directory()).unwrap()
}

#[test]
fn each_serial_port_arrives_byte_for_byte_and_the_status_comes_from_the_log() {
    let text = "hello\r\n\u{1}x \u{7f}";
    let code = Code::default()
        .print(COM1, text)
        .print(COM2, "an error\n")
        .print(DEBUG_CONSOLE, "booted\nmotte: exit status 200\n")
        .exit(0x10);
    let directory = directory();
    let Some(mut machine) = boot(&code, &directory) else { return };
    let (mut output, mut errors) = (String::new(), String::new());
    machine.com1.take().unwrap().read_to_string(&mut output).unwrap();
    machine.com2.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(machine.wait().unwrap(), Ending::Shutdown(200));
    assert_eq!(output, text);
    assert_eq!(errors, "an error\n");
}

#[test]
fn a_kernel_panic_is_told_from_a_shutdown() {
    let code = Code::default().print(DEBUG_CONSOLE, "booted\nkernel panic: on purpose\n").exit(1);
    let directory = directory();
    let Some(mut machine) = boot(&code, &directory) else { return };
    assert_eq!(machine.wait().unwrap(), Ending::Panic("kernel panic: on purpose".to_owned()));
}

#[test]
fn a_machine_that_hangs_is_ended_and_leaves_nothing() {
    let directory = directory();
    let Some(mut machine) = boot(&Code::default().print(COM1, "x").hang(), &directory) else { return };
    let mut byte = [0];
    machine.com1.as_mut().unwrap().read_exact(&mut byte).unwrap();
    assert_eq!(machine.wait_until(Some(Instant::now() + Duration::from_millis(50))).unwrap(), None);
    let qemus = || {
        let marker = directory.path().join("kernel");
        fs::read_dir("/proc").unwrap().flatten().filter(|entry| runs(&entry.path(), &marker)).count()
    };
    assert_eq!(qemus(), 1);
    drop(machine);
    assert_eq!(qemus(), 0);
}

#[test]
fn the_plugin_counts_and_traces_what_is_executed() {
    let directory = directory();
    let (marks, trace) = (directory.path().join("marks"), directory.path().join("trace"));
    if Tool::Qemu.find().is_none() {
        eprintln!("skipped: this host has no QEMU");
        return;
    }
    let plugin = match Plugin::prepare() {
        Ok(plugin) => plugin,
        Err(error) => {
            eprintln!("skipped: {error:#}");
            return;
        }
    };
    let code = Code::default().mark(0x1234).count_down(1000).mark(0x1235).mark(1).count_down(2).mark(2);
    let run = |plugin: String| {
        let hardware = Hardware { plugin: Some(plugin), counts_instructions: true, ..Hardware::default() };
        boot_with(&hardware, &code.clone().exit(0x10), &directory).unwrap().wait().unwrap();
    };

    run(plugin.counting(&marks));
    let marks = read_marks(&marks).unwrap();
    assert_eq!(marks.iter().map(|mark| mark.id).collect::<Vec<_>>(), [0x1234, 0x1235, 1, 2]);
    // From one marker, itself included, to the next.
    assert_eq!(marks[1].instructions() - marks[0].instructions(), 1 + 1 + 2 * 1000);
    assert!(marks[0].nanoseconds <= marks[1].nanoseconds);

    run(plugin.tracing(&trace));
    let trace = read_trace(&trace).unwrap();
    let trace: Vec<_> = trace.executed().collect();
    let names: Vec<&str> = trace.iter().filter_map(|line| line.text.split_whitespace().next()).collect();
    assert_eq!(names, ["movl", "decl", "jne", "decl", "jne"]);
    assert_eq!(trace[1].address, trace[3].address);
}

/// Whether the process of a directory under /proc has `argument` on its command line.
fn runs(process: &Path, argument: &Path) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).any(|word| word == argument.as_os_str().as_encoded_bytes())
}

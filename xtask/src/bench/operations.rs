//! What is measured: the name of each operation, what it means, and what comes nearest to it on Linux.

use std::fmt;

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Group {
    /// Messages and signals
    Ipc,
    /// The kernel's other calls, faults, interrupts
    Kernel,
    /// Starting a program
    Proc,
    /// Reading a file that is in memory
    File,
    /// Reading and writing the disk
    Disk,
    /// Serving over the network
    Net,
    /// What a component that misbehaves costs the others
    Recover,
    /// From reset to the prompt
    Boot,
    /// Memory in use, the kernel's code and source
    Size,
    /// How costs grow with clients, slots, threads, descendants and components
    Growth,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Ipc,
        Self::Kernel,
        Self::Proc,
        Self::File,
        Self::Disk,
        Self::Net,
        Self::Recover,
        Self::Boot,
        Self::Size,
        Self::Growth,
    ];

    /// Its name, with which names of operations begin.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Kernel => "kernel",
            Self::Proc => "proc",
            Self::File => "file",
            Self::Disk => "disk",
            Self::Net => "net",
            Self::Recover => "recover",
            Self::Boot => "boot",
            Self::Size => "size",
            Self::Growth => "growth",
        }
    }

    /// Whether the program `bench` inside the machine measures it.
    #[must_use]
    pub const fn is_measured_inside(self) -> bool {
        !matches!(self, Self::Boot | Self::Size | Self::Net)
    }

    /// Whether something of it is measured inside Linux too.
    #[must_use]
    pub const fn is_compared(self) -> bool {
        !matches!(self, Self::Growth | Self::Recover | Self::Net)
    }

    /// The group of an operation.
    #[must_use]
    pub fn of(operation: &str) -> Option<Self> {
        let (group, _) = operation.split_once('/')?;
        Self::ALL.into_iter().find(|candidate| candidate.name() == group)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One operation that is measured.
#[derive(Debug)]
pub struct Operation {
    /// Its name, `GROUP/…`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it is, for someone who has never heard of it.
    pub meaning: &'static str,
    /// What comes nearest on Linux: measurements of `bench/linux/measure.c`.
    pub linux: &'static [LinuxCounterpart],
}

/// A measurement of Linux beside one of Motte.
#[derive(Debug)]
pub struct LinuxCounterpart {
    /// Its name in `bench/linux/measure.c`.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
}

const fn linux(name: &'static str, title: &'static str) -> LinuxCounterpart {
    LinuxCounterpart { name, title }
}

const PIPE_8: LinuxCounterpart = linux("pipe/8", "pipe, 8 bytes");
const FUTEX: LinuxCounterpart = linux("futex", "futex and shared memory");
const EVENTFD: LinuxCounterpart = linux("eventfd", "eventfd");
const NULL_CALL: LinuxCounterpart = linux("null_call", "the shortest system call");

/// All operations, in the order in which they are shown.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "ipc/call_reply/0",
        title: "call and reply, no words",
        meaning: "A program asks a server in another address space, which answers: there and back. Everything else in a \
                  microkernel system is made of this.",
        linux: &[FUTEX, PIPE_8],
    },
    Operation {
        name: "ipc/call_reply/4",
        title: "call and reply, 4 words each way",
        meaning: "The same with 32 bytes in the question and 32 in the answer.",
        linux: &[],
    },
    Operation {
        name: "ipc/call_reply/6",
        title: "call and reply, 6 words each way",
        meaning: "The same with as much as travels in registers.",
        linux: &[],
    },
    Operation {
        name: "ipc/call_reply/10",
        title: "call and reply, 10 words each way",
        meaning: "More than the registers hold: the kernel copies the rest between the two threads' message buffers.",
        linux: &[linux("pipe/64", "pipe, 64 bytes")],
    },
    Operation {
        name: "ipc/call_reply/100",
        title: "call and reply, 100 words each way",
        meaning: "The longest message. Larger data lies in memory that both share, and is not copied by the kernel.",
        linux: &[],
    },
    Operation {
        name: "ipc/call_cap",
        title: "a capability sent along with a call, and the reply",
        meaning: "The question hands a right over: to a file, a device, a piece of memory.",
        linux: &[linux("scm_rights", "a descriptor through a Unix socket (SCM_RIGHTS), and an answer")],
    },
    Operation {
        name: "ipc/signal_wait",
        title: "signal a waiting thread of higher priority, and back",
        meaning: "The woken thread runs at once and waits again; then the signaller goes on.",
        linux: &[EVENTFD],
    },
    Operation {
        name: "ipc/signal",
        title: "signal, nobody waiting",
        meaning: "Leaves a note for a thread that is busy.",
        linux: &[],
    },
    Operation {
        name: "ipc/poll",
        title: "poll an empty notification",
        meaning: "Looks whether there is such a note, without waiting.",
        linux: &[],
    },
    Operation {
        name: "kernel/yield",
        title: "yield, nobody else ready",
        meaning: "Offers the processor to others of the same priority when there are none.",
        linux: &[linux("yield", "sched_yield, nobody else ready"), linux("yield_two", "sched_yield of two processes")],
    },
    Operation {
        name: "kernel/bad_cap",
        title: "a call on an empty capability slot",
        meaning: "The shortest way into the kernel and out again: the call names nothing, and is refused.",
        linux: &[NULL_CALL],
    },
    Operation {
        name: "kernel/fault",
        title: "page fault, handled in another address space",
        meaning: "A program touches memory that is not there; a handler elsewhere hears of it and lets it go on.",
        linux: &[],
    },
    Operation {
        name: "kernel/fault_map",
        title: "page fault, answered with a page of zeros",
        meaning: "The handler, in another address space, gives the program memory before it goes on: memory on demand.",
        linux: &[linux("page_fault", "a page of zeros on first touch, inside the kernel")],
    },
    Operation {
        name: "kernel/map",
        title: "map a page",
        meaning: "Makes a page of memory visible at an address.",
        linux: &[],
    },
    Operation { name: "kernel/unmap", title: "unmap a page", meaning: "Takes it away again.", linux: &[] },
    Operation {
        name: "kernel/cap_copy",
        title: "copy a capability",
        meaning: "Puts the same right into another slot.",
        linux: &[],
    },
    Operation {
        name: "kernel/cap_mint",
        title: "mint a capability",
        meaning: "The same, with fewer rights or with a badge that tells the holder from others.",
        linux: &[],
    },
    Operation { name: "kernel/cap_delete", title: "delete a capability", meaning: "Gives one right up.", linux: &[] },
    Operation {
        name: "kernel/retype_endpoint",
        title: "make an endpoint out of memory",
        meaning: "The kernel has no heap: every object is made out of memory that its maker pays.",
        linux: &[],
    },
    Operation {
        name: "kernel/thread_create",
        title: "create a thread and start it",
        meaning: "Makes the thread's objects, sets its registers, lets it run.",
        linux: &[linux("thread", "pthread_create and pthread_join")],
    },
    Operation {
        name: "kernel/interrupt",
        title: "interrupt to the driver's first instruction",
        meaning: "A device interrupts; how long until the driver, a process, runs.",
        linux: &[],
    },
    Operation {
        name: "proc/spawn_wait",
        title: "start a program that does nothing, wait for its end",
        meaning: "The program's file is in memory already; address space, threads and rights are made and taken down.",
        linux: &[linux("spawn", "vfork, exec and wait")],
    },
    Operation {
        name: "file/open_read_close",
        title: "open a file, read 4 KiB, close it",
        meaning: "The file is in the file system's memory already.",
        linux: &[linux("open_read_close", "open, read, close on ext4")],
    },
    Operation {
        name: "disk/read_per_mib",
        title: "read from the disk, per MiB",
        meaning: "In order, through file system and driver, nothing of it in memory before.",
        linux: &[linux("read_per_mib", "read of a file on ext4, nothing cached")],
    },
    Operation {
        name: "disk/write_per_mib",
        title: "write to the disk and sync, per MiB",
        meaning: "In order, until the disk has everything.",
        linux: &[linux("write_per_mib", "write and fsync on ext4")],
    },
    Operation {
        name: "net/http_req/1",
        title: "a file of 1 KiB from the web server, one connection",
        meaning: "A request over a connection that stays, and its answer: card, driver, network stack, web server, and back.",
        linux: &[linux("http_req/1", "nginx")],
    },
    Operation {
        name: "net/http_req/16",
        title: "the same, 16 connections at a time",
        meaning: "Several requests that wait are handled together, which makes each the cheaper.",
        linux: &[linux("http_req/16", "nginx")],
    },
    Operation {
        name: "net/http_req/64",
        title: "the same, 64 connections at a time",
        meaning: "More clients must not make each request dearer.",
        linux: &[linux("http_req/64", "nginx")],
    },
    Operation {
        name: "net/tcp_in_per_mib",
        title: "receive over TCP, per MiB",
        meaning: "Much data that comes in over one connection and is thrown away.",
        linux: &[linux("tcp_in_per_mib", "read")],
    },
    Operation {
        name: "net/tcp_out_per_mib",
        title: "send over TCP, per MiB",
        meaning: "Much data that goes out over one connection.",
        linux: &[linux("tcp_out_per_mib", "write")],
    },
    Operation {
        name: "recover/crash_loop",
        title: "a million instructions of work, beside a component that crashes at every start",
        meaning: "The component has the same priority. It is taken apart and started anew, with a fault record each time, and each \
                  time after a longer wait.",
        linux: &[],
    },
    Operation {
        name: "recover/flood",
        title: "what takes a million instructions alone: calls of a service, beside a client that floods it",
        meaning: "The flooder has the same priority and a budget of a fifth of the time, which pays for what the service does for it.",
        linux: &[],
    },
    Operation {
        name: "recover/copy",
        title: "copy a file of 128 MiB to the disk, per MiB",
        meaning: "In order, through the file server and the driver, until the disk has everything. What the next two are compared with.",
        linux: &[],
    },
    Operation {
        name: "recover/copy_driver_killed",
        title: "the same, while the disk's driver is killed every 32 MiB",
        meaning: "The file server asks the next driver for what the former had not done. 32 MiB take less than a second of the emulated machine.",
        linux: &[],
    },
    Operation {
        name: "recover/copy_files_killed",
        title: "the same, while the file server is killed every 32 MiB",
        meaning: "The next server goes on with the open files and with what was not yet written.",
        linux: &[],
    },
    Operation {
        name: "recover/files_first_answer",
        title: "from the file server's end to its first answer",
        meaning: "It is killed, taken apart, recorded, started, mounts, and reads a page of an open file; the wait before the start included.",
        linux: &[],
    },
    Operation {
        name: "recover/driver_first_answer",
        title: "from the disk driver's end to its first answer",
        meaning: "A page that is in no memory is read: the file server attaches to the next driver and asks again.",
        linux: &[],
    },
    Operation {
        name: "recover/registry_first_answer",
        title: "from the registry's end to its first answer",
        meaning: "A service is looked up.",
        linux: &[],
    },
    Operation {
        name: "recover/supervisor_first_answer",
        title: "from the supervisor's end to its first answer",
        meaning: "The components are listed. Its guardian starts it anew, and it finds the others running.",
        linux: &[],
    },
    Operation {
        name: "recover/process_first_answer",
        title: "from the process server's end to its first answer",
        meaning: "The programs are listed; they run on.",
        linux: &[],
    },
    Operation {
        name: "recover/log_first_answer",
        title: "from the log's end to its first answer",
        meaning: "Its newest line is asked for; it has those of before.",
        linux: &[],
    },
    Operation {
        name: "recover/console_first_answer",
        title: "from the console driver's end to its first answer",
        meaning: "The size of the terminal is asked for.",
        linux: &[],
    },
    Operation {
        name: "recover/pipe_first_answer",
        title: "from the pipe service's end to its first answer",
        meaning: "A pipe is made; those of before are there.",
        linux: &[],
    },
    Operation {
        name: "recover/clock_first_answer",
        title: "from the clock's end to its first answer",
        meaning: "The wall clock is asked for.",
        linux: &[],
    },
    Operation {
        name: "recover/pci_first_answer",
        title: "from the PCI service's end to its first answer",
        meaning: "A device is asked for.",
        linux: &[],
    },
    Operation {
        name: "boot/prompt",
        title: "from reset to the first prompt",
        meaning: "Everything the processor executes until a person can type, waits included.",
        linux: &[linux("boot", "to the first process; most of it checks signatures and waits for the timer")],
    },
    Operation {
        name: "size/memory",
        title: "memory in use at the prompt, file cache aside",
        meaning: "Of the machine's memory, what is not free.",
        linux: &[linux("memory", "memory that is not available at the first process")],
    },
    Operation {
        name: "size/kernel_code",
        title: "the kernel's machine code",
        meaning: "What can go wrong with all rights.",
        linux: &[],
    },
    Operation {
        name: "size/kernel_lines",
        title: "the kernel's source, without tests",
        meaning: "What one has to read to know the kernel.",
        linux: &[],
    },
];

/// Whether an operation lasts from a component's end to its successor's first answer, which is measured by the machine's clock too.
#[must_use]
pub fn is_first_answer(name: &str) -> bool {
    name.ends_with("_first_answer")
}

/// The operation of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// One curve of how a cost grows.
#[derive(Debug)]
pub struct Curve {
    /// Its name.
    pub name: &'static str,
    /// What is measured.
    pub title: &'static str,
    /// What grows.
    pub axis: &'static str,
    /// Why it matters.
    pub meaning: &'static str,
}

/// All curves.
pub const CURVES: &[Curve] = &[
    Curve {
        name: "clients",
        title: "call and reply, with many clients",
        axis: "clients that wait at one endpoint",
        meaning: "A server must not become slower for each because many wait for it.",
    },
    Curve {
        name: "table_slots",
        title: "a call through a large capability table",
        axis: "slots of the table",
        meaning: "Finding a right must not depend on how many there are.",
    },
    Curve {
        name: "ready_threads",
        title: "switching between threads, with many ready",
        axis: "threads that are ready",
        meaning: "Those that wait for their turn must not cost those that run.",
    },
    Curve {
        name: "revoke_descendants",
        title: "taking a capability back",
        axis: "copies made of it",
        meaning: "Every copy has to be found and removed: the cost follows their number, and must not grow faster.",
    },
    Curve {
        name: "components",
        title: "call and reply, with many components",
        axis: "components, called in turn",
        meaning: "A system of many parts must not be slower than one of few.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_group_and_its_name_once() {
        for (index, operation) in OPERATIONS.iter().enumerate() {
            assert!(Group::of(operation.name).is_some(), "{}", operation.name);
            assert!(OPERATIONS[..index].iter().all(|other| other.name != operation.name), "{}", operation.name);
        }
        assert!(Group::of("nothing/at/all").is_none());
    }
}

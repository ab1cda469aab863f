//! The data of a manifest: plain values, no behaviour but small accessors.
//!
//! Invariants, which the compiler establishes and [`Manifest::decode`](crate::Manifest::decode) checks
//! again: component names are unique; at most [`MAX_COMPONENTS`] components; every index in
//! [`Use::provider`], [`Component::depends`] and [`Component::restart_with`] names a component; each service has one provider.
//! Sizes are in bytes, times in nanoseconds.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The largest number of components in one manifest.
pub const MAX_COMPONENTS: usize = 64;

/// The longest name of a component or a service, in bytes.
pub const MAX_NAME: usize = 31;

/// The size of a page: memory quotas and stacks are whole pages.
pub const PAGE_SIZE: u64 = 4096;

/// A whole system: its components, in the order in which the manifest names them.
///
/// The position of a component in [`components`](Self::components) is its *index*. It is what the badge
/// of its fault endpoint says, and what stands for it in messages between init, registry and supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The system's name, as in `[system] name`.
    pub name: String,
    /// The memory of the smallest machine the system is meant for, in bytes.
    pub memory: u64,
    /// Whether the supervisor looks for components that hang.
    pub heartbeats: bool,
    /// The components; the index of each is its identity.
    pub components: Vec<Component>,
}

/// One component: an address space, a capability table, memory of its own, and threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Unique name: lower-case letters, digits and `-`.
    pub name: String,
    /// The program in the boot image that the component runs.
    pub program: String,
    /// What sort of component it is; for people, it carries no authority.
    pub kind: Kind,
    /// Scheduling priority, 255 the most urgent.
    pub priority: u8,
    /// Processor time it may use in each period, in nanoseconds; equal to the period if it is not throttled.
    pub budget_ns: u64,
    /// After this time the budget is full again, in nanoseconds.
    pub period_ns: u64,
    /// Memory quota in bytes: the size of the component's Untyped. Whole pages.
    pub memory: u64,
    /// Memory in bytes, besides the quota, that outlives the component's restarts; 0: none. See [`is_keepable`].
    pub keep: u64,
    /// Slots at the end of its capability table that outlive its restarts, with what lies in them; 0: none, and the table goes with the
    /// component. At most half of `slots`, and only where there is kept memory.
    pub keep_slots: u32,
    /// Size of the first thread's stack in bytes. Whole pages, part of `memory`.
    pub stack: u64,
    /// Slots in the capability table. A power of two.
    pub slots: u32,
    /// The services it provides; each gets one endpoint.
    pub provides: Vec<String>,
    /// The services it may call.
    pub uses: Vec<Use>,
    /// Ranges of I/O ports it may use.
    pub ports: Vec<PortRange>,
    /// Interrupt lines of the I/O APIC that it handles.
    pub irqs: Vec<u8>,
    /// PCI devices it drives.
    pub pci: Vec<PciId>,
    /// Ranges of device memory it may map.
    pub mmio: Vec<MmioRange>,
    /// What happens when it stops.
    pub restart: Restart,
    /// Indices of the components that must be running before it starts.
    pub depends: Vec<u16>,
    /// Indices of the components with which it is started anew.
    pub restart_with: Vec<u16>,
    /// When it starts.
    pub start: Start,
    /// Command-line arguments after the program's name.
    pub args: Vec<String>,
    /// Environment: name and value.
    pub env: Vec<(String, String)>,
    /// Special authorities.
    pub grants: Grants,
    /// What it may do with the network: rules as `motte_interfaces::net_rules` reads them.
    pub net: Vec<String>,
    /// What it sees of the files, if not all.
    pub root: Option<Root>,
}

/// The most memory that is kept in pages of 4 KiB.
pub const MOST_SMALL_KEEP: u64 = 512 << 10;

/// The size of the frames that kept memory beyond that consists of.
pub const LARGE_KEEP: u64 = 2 << 20;

/// Whether so many bytes can be kept for a component: whole pages up to [`MOST_SMALL_KEEP`], or a multiple of [`LARGE_KEEP`].
#[must_use]
pub const fn is_keepable(bytes: u64) -> bool {
    if bytes <= MOST_SMALL_KEEP { bytes.is_multiple_of(PAGE_SIZE) } else { bytes.is_multiple_of(LARGE_KEEP) }
}

impl Component {
    /// Whether the manifest gives the component `grant`.
    #[must_use]
    pub fn has(&self, grant: Grant) -> bool {
        self.grants.contains(grant)
    }

    /// Whether the component drives a device.
    #[must_use]
    pub fn has_devices(&self) -> bool {
        !(self.ports.is_empty() && self.irqs.is_empty() && self.pci.is_empty() && self.mmio.is_empty())
    }
}

/// A folder that is the root of all that a component sees of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Its absolute path.
    pub path: String,
    /// Whether nothing in it may be changed.
    pub read_only: bool,
}

/// What sort of component it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Drives a device.
    Driver,
    /// Serves other components.
    Service,
    /// A client, nothing more.
    App,
}

impl Kind {
    /// The word for it in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Driver => "driver",
            Kind::Service => "service",
            Kind::App => "app",
        }
    }
}

/// A service that a component may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The service's name.
    pub service: String,
    /// Index of the component that provides it. `None` only if the use is optional and nobody does.
    pub provider: Option<u16>,
    /// Whether the component can do without.
    pub optional: bool,
}

/// A range of I/O ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl PortRange {
    /// Whether the two ranges have a port in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A range of physical device memory, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MmioRange {
    /// The first byte's physical address.
    pub first: u64,
    /// The last byte's physical address.
    pub last: u64,
}

impl MmioRange {
    /// Whether the two ranges have a byte in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The identity of a kind of PCI device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PciId {
    /// The vendor, configuration space offset 0.
    pub vendor: u16,
    /// The device, configuration space offset 2.
    pub device: u16,
}

/// When the supervisor starts a component anew, and when it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// After which ends it is started again.
    pub policy: RestartPolicy,
    /// The wait before the first restart, in nanoseconds; doubles with each further one.
    pub backoff_ns: u64,
    /// The longest wait, in nanoseconds.
    pub backoff_max_ns: u64,
    /// After more than this many restarts within `window_ns` the component is quarantined.
    pub max_restarts: u32,
    /// See `max_restarts`; in nanoseconds.
    pub window_ns: u64,
    /// The longest time between two signs of life, in nanoseconds; 0 if none are expected.
    pub heartbeat_ns: u64,
    /// What the quarantine means for the rest of the system.
    pub escalate: Escalate,
    /// The time that it has to save what it must when it is stopped, in nanoseconds; 0: it is not asked.
    pub stop_timeout_ns: u64,
}

/// What happens when a component fails too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Escalate {
    /// It stays down, and the rest goes on.
    Ignore,
    /// It is started once more, with everything that needs it; then it stays down.
    RestartDependents,
    /// The machine is started anew.
    Reboot,
    /// It is started once more, with the providers of the services that it uses; then it stays down.
    RestartDependencies,
}

impl Escalate {
    /// The word for it in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Escalate::Ignore => "ignore",
            Escalate::RestartDependents => "restart-dependents",
            Escalate::RestartDependencies => "restart-dependencies",
            Escalate::Reboot => "reboot",
        }
    }
}

/// After which ends a component is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// After every end, a successful exit among them.
    Always,
    /// After a fault, a panic, a missed heartbeat, or an exit with a status other than 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// The word for it in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Never => "never",
        }
    }
}

/// When a component starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Start {
    /// With the system.
    Boot,
    /// When the supervisor is asked to.
    Manual,
}

/// A special authority, beyond services and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Grant {
    /// Map the kernel's trace ring, for reading.
    Trace = 0,
    /// Read the kernel's log.
    KernelLog = 1,
    /// Shut down or restart the machine: the ports that do it.
    Power = 2,
    /// Create interrupt objects, MSI and MSI-X vectors among them.
    IrqControl = 3,
    /// Read and write PCI configuration space of every device.
    PciConfig = 4,
    /// Hold other components' Untyped, threads and fault endpoints.
    Supervise = 5,
    /// Create scheduling contexts and set budgets.
    TimeControl = 6,
    /// Map the boot image: programs, symbols, this manifest.
    BootImage = 7,
    /// Set the wall clock.
    ClockSet = 8,
    /// Read the machine's memory and processor figures.
    SystemInfo = 9,
    /// Have components ended that answer wrongly.
    Accuse = 10,
}

impl Grant {
    /// Every grant there is.
    pub const ALL: [Grant; 11] = [
        Grant::Trace,
        Grant::KernelLog,
        Grant::Power,
        Grant::IrqControl,
        Grant::PciConfig,
        Grant::Supervise,
        Grant::TimeControl,
        Grant::BootImage,
        Grant::ClockSet,
        Grant::SystemInfo,
        Grant::Accuse,
    ];

    /// The word for it in a manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Grant::Trace => "trace",
            Grant::KernelLog => "kernel-log",
            Grant::Power => "power",
            Grant::IrqControl => "irq-control",
            Grant::PciConfig => "pci-config",
            Grant::Supervise => "supervise",
            Grant::TimeControl => "time-control",
            Grant::BootImage => "boot-image",
            Grant::ClockSet => "clock-set",
            Grant::SystemInfo => "system-info",
            Grant::Accuse => "accuse",
        }
    }

    /// What it allows, in one line.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Grant::Trace => "map the kernel's trace ring, for reading",
            Grant::KernelLog => "read the kernel's log",
            Grant::Power => "shut down or restart the machine",
            Grant::IrqControl => "create interrupt objects",
            Grant::PciConfig => "read and write the configuration of every PCI device",
            Grant::Supervise => "hold other components' memory, threads and fault endpoints",
            Grant::TimeControl => "create scheduling contexts and set budgets",
            Grant::BootImage => "map the boot image: programs, symbols, the manifest",
            Grant::ClockSet => "set the wall clock",
            Grant::SystemInfo => "read the machine's memory and processor figures",
            Grant::Accuse => "have components ended that answer wrongly",
        }
    }

    /// The grant of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Grant> {
        Grant::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// A set of [`Grant`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grants(u32);

impl Grants {
    /// No grant at all.
    pub const NONE: Grants = Grants(0);

    /// Adds one grant.
    pub fn insert(&mut self, grant: Grant) {
        self.0 |= 1 << grant as u8;
    }

    /// Whether `grant` is in the set.
    #[must_use]
    pub fn contains(self, grant: Grant) -> bool {
        self.0 & (1 << grant as u8) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The grants in the set, in the order of [`Grant::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Grant> {
        Grant::ALL.into_iter().filter(move |&grant| self.contains(grant))
    }

    /// Whether only bits that stand for a grant are set.
    pub(crate) fn is_known(self) -> bool {
        self.0 >> Grant::ALL.len() == 0
    }
}

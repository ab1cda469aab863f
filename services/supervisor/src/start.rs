//! Starting a component: what the manifest says becomes capabilities.
//!
//! | name | capability |
//! |---|---|
//! | `registry` | the registry, with the component's badge |
//! | `endpoint:SERVICE` | the endpoint of a service that it provides, to receive on |
//! | `control`, `pulse` | the notifications on which something is wanted of it, and on which it shows that it is alive |
//! | `kept` | frames of its kept memory, in a row |
//! | `irq:LINE` | an interrupt line |
//! | `port:0xFIRST` | a range of I/O ports |
//! | `mmio:0xADDRESS` | a page of device memory |
//! | `kernel-log`, `trace` | frames of the kernel's log and of the trace rings, in a row each |
//! | `power:exit`, `power:off`, `power:reset` | the ports that end the machine |
//! | `irq-control` | makes message-signalled interrupts |
//! | `device-memory:0xBASE` | a range of device memory, as an Untyped |
//! | `time-control` | sets budgets |
//! | `clock` | the clock page's frame, for whoever starts programs |
//! | `boot-image` | frames of the boot image, in a row |
//! | `service:SERVICE` | every service's endpoint, unbadged: the registry's stock |

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use motte::abi::syscall::{IRQ_ACTIVE_LOW, IRQ_LEVEL};
use motte::abi::{Error, ObjectType, PAGE_SIZE, Rights};
use motte::interfaces::strings::StringList;
use motte::kernel::{CapSlot, CapTable, Notification, Untyped};
use motte::start_info::Header;
use motte::time::monotonic_ns;
use motte_loader::{Grant, Program, Source, kept, load, system};
use motte_manifest::{Component, Grant as Authority};
use motte_supervisor::state::{Kept, Status};

use crate::boot_files::numbers;
use crate::components::{SHELL, State, badge_of};

/// Scheduling contexts for a component's further threads.
const FURTHER_CONTEXTS: u32 = 3;

/// Interrupt lines from this one on are PCI's: level-triggered, active low (PCI Local Bus Specification 3.0, 2.2.6).
const FIRST_PCI_LINE: u8 = 16;

/// The component that starts this one anew.
const GUARDIAN: &str = "guardian";

/// What a successor's environment holds.
fn guardian_environment() -> impl Iterator<Item = String> {
    let names =
        [system::ENV_BOOT_IMAGE, system::ENV_TRACE, system::ENV_KERNEL_LOG, system::ENV_MEMORY, system::ENV_KERNEL];
    names.into_iter().filter_map(|name| Some(format!("{name}={}", motte::env::var(name)?)))
}

impl State {
    /// Gives the guardian what it needs to start a supervisor, into slots of its table from `first` on. What it has already stays.
    fn give_guarded(&self, table: CapTable, first: u64) {
        let Some(own) = self.own_index() else { return };
        for (slot, to) in system::guarded(own).zip(first..) {
            let _ = CapSlot::OWN_TABLE.move_to(slot, table, to);
        }
    }

    /// Starts a component that does not run.
    pub fn start(&mut self, index: usize) -> Result<(), String> {
        let component = self.manifest.components.get(index).ok_or("there is no such component")?;
        if self.components[index].image.is_none() {
            self.components[index].image = Some(self.files.program(&component.program)?);
        }
        let Some(image) = &self.components[index].image else { return Err("there is no program".into()) };
        let generation = self.components[index].kept.generation + 1;
        let mut kept_from = 0;
        if component.keep > 0 {
            let made = kept::make(index, component.keep);
            let kept = made.map_err(|error| format!("its kept memory cannot be had: {error}"))?;
            kept_from = if kept { generation - 1 } else { 0 };
        }
        let (slots, kept_slots) = (u64::from(component.slots), u64::from(component.keep_slots));
        if kept_slots > 0 {
            let made = kept::make_own_table(index, slots);
            made.map_err(|error| format!("its capability table cannot be had: {error}"))?;
            if component.name == GUARDIAN {
                self.give_guarded(system::places(index).table, slots - kept_slots);
            }
            if kept_from == 0 && component.provides.iter().any(|service| service == "process") {
                give_spare_memory(system::places(index).table, slots - kept_slots)
                    .map_err(|error| format!("it cannot be given memory for programs: {error}"))?;
            }
        }
        let (arguments, mut environment) = self.arguments(component);
        if component.provides.iter().any(|service| service == "registry") {
            environment.extend(self.registry_environment());
        }
        if component.provides.iter().any(|service| service == "fs") {
            environment.extend(self.roots());
        }
        if component.provides.iter().any(|service| service == "net") {
            environment.extend(self.network_rules());
        }
        if component.name == GUARDIAN {
            environment.extend(guardian_environment());
        }
        if component.provides.iter().any(|service| service == "pci") {
            environment.push(self.claims());
        }
        let (arguments, environment): (StringList, StringList) =
            (arguments.iter().collect(), environment.iter().collect());
        let program = Program {
            image,
            untyped: system::untyped(index),
            places: system::places(index),
            keep_table: kept_slots > 0,
            stack_memory: None,
            header: Header {
                badge: badge_of(&self.manifest, index),
                generation,
                slots: slots - kept_slots,
                kept_slots,
                stack: component.stack,
                priority: component.priority.into(),
                kept_from,
                ..Header::default()
            },
            name: &component.name,
            directory: component.env.iter().find(|(name, _)| name == "HOME").map_or("/", |(_, home)| home.as_str()),
            arguments: arguments.strings(),
            environment: environment.strings(),
            grants: &self.grants(index, component),
            time_control: system::SCHED_CONTROL,
            budget: (component.budget_ns, component.period_ns),
            further_contexts: FURTHER_CONTEXTS,
            fault_endpoint: (system::ENDPOINT, system::FAULT_BADGE | index as u64),
            clock: system::CLOCK,
        };
        if is_controlled(component) {
            // Of its own memory: they are there for a new supervisor, and go with the component.
            for Notification(slot) in [system::pulse(index), system::control(index)] {
                let made = program.untyped.retype(ObjectType::Notification, 0, CapSlot::OWN_TABLE, slot.0, 1);
                made.map_err(|error| format!("it cannot be given a notification: {error}"))?;
            }
        }
        self.open_services(index);
        load(&program).map_err(|error| error.to_string())?;
        let kept = Kept {
            status: Status::Running,
            generation,
            started_ns: monotonic_ns(),
            restart_at_ns: 0,
            ..self.components[index].kept
        };
        self.keep(index, kept);
        Ok(())
    }

    /// Arguments and environment. The system's shell runs the commands that the system was booted for.
    fn arguments(&self, component: &Component) -> (Vec<String>, Vec<String>) {
        let mut arguments = alloc::vec![component.name.clone()];
        arguments.extend(component.args.iter().cloned());
        if component.name == SHELL {
            match self.files.command() {
                Some(command) => {
                    arguments = alloc::vec!["sh".into(), "-c".into(), command, "--then-shutdown".into()];
                }
                None => arguments.push("-l".into()),
            }
        }
        let mut environment: Vec<String> =
            component.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if self.files.command().is_some() {
            // The console keeps to it when it is restarted.
            environment.push("MOTTE_BATCH=1".into());
        }
        environment.extend(self.files.web_address().map(|address| format!("WEB_ADDRESS={address}")));
        (arguments, environment)
    }

    /// Which component drives which kind of device, for the PCI service: `BADGE=VENDOR:DEVICE,…` joined by `;`.
    fn claims(&self) -> String {
        let drivers = self.manifest.components.iter().enumerate().filter(|(_, component)| !component.pci.is_empty());
        let claims = drivers.map(|(index, component)| {
            let ids = component.pci.iter().map(|id| format!("{:04x}:{:04x}", id.vendor, id.device));
            format!("{}={}", badge_of(&self.manifest, index), ids.collect::<Vec<_>>().join(","))
        });
        format!("PCI_CLAIMS={}", claims.collect::<Vec<_>>().join(";"))
    }

    /// What the file system must know of the manifest: which folder is a component's root, as `ROOT_BADGE=PATH`.
    fn roots(&self) -> impl Iterator<Item = String> {
        self.manifest.components.iter().enumerate().filter_map(|(index, component)| {
            let root = component.root.as_ref()?;
            let suffix = if root.read_only { ":ro" } else { "" };
            let badge = motte::interfaces::badge::client(badge_of(&self.manifest, index));
            Some(format!("ROOT_{badge}={}{suffix}", root.path))
        })
    }

    /// What the network stack must know of the manifest: what a component may do with the network, as `NET_BADGE=RULE,…`, and what programs
    /// may, which is what the manifest says of whoever runs them, as `NET_PROGRAMS`.
    fn network_rules(&self) -> impl Iterator<Item = String> {
        let components = self.manifest.components.iter().enumerate().filter(|(_, component)| !component.net.is_empty());
        components.map(|(index, component)| {
            let rules = component.net.join(",");
            if component.provides.iter().any(|service| service == "process") {
                return format!("NET_PROGRAMS={rules}");
            }
            format!("NET_{}={rules}", motte::interfaces::badge::client(badge_of(&self.manifest, index)))
        })
    }

    /// What the registry must know of the manifest: for each component what it may use.
    fn registry_environment(&self) -> Vec<String> {
        let mut variables = Vec::new();
        for (index, component) in self.manifest.components.iter().enumerate() {
            let uses = component.uses.iter().filter(|used| used.provider.is_some()).map(|used| used.service.as_str());
            let names: Vec<&str> = uses.chain(component.provides.iter().map(String::as_str)).collect();
            variables.push(format!("USES_{}={}", index + 1, names.join(",")));
            variables.push(format!("PROVIDES_{}={}", index + 1, component.provides.join(",")));
        }
        if let Some(service) = self.manifest.service("process") {
            variables.push(format!("GRANTER={}", service.provider + 1));
        }
        variables
    }

    /// The component's capabilities.
    fn grants(&self, index: usize, component: &Component) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut add = |name: String, source: Source| grants.push(Grant::new(name, source));
        let send = Rights::SEND | Rights::GRANT;
        if let Some(registry) = self.manifest.service("registry")
            && registry.provider != index
        {
            let endpoint = system::service(registry.number).0;
            add("registry".into(), Source::Mint(endpoint, send, badge_of(&self.manifest, index)));
        }
        if is_controlled(component) {
            if self.manifest.heartbeats {
                add("pulse".into(), Source::Mint(system::pulse(index).0, Rights::WRITE, 1));
            }
            add("control".into(), Source::Copy(system::control(index).0, Rights::ALL));
        }
        if component.keep > 0 {
            add("kept".into(), kept::source(index, component.keep));
        }
        let provides_registry = self.provides(index, "registry");
        for service in self.manifest.services() {
            let endpoint = system::service(service.number).0;
            if service.provider == index {
                add(format!("endpoint:{}", service.name), Source::Copy(endpoint, Rights::ALL));
            }
            if provides_registry {
                add(format!("service:{}", service.name), Source::Copy(endpoint, send));
            }
        }
        for &line in &component.irqs {
            let flags = if line >= FIRST_PCI_LINE { IRQ_LEVEL | IRQ_ACTIVE_LOW } else { 0 };
            add(format!("irq:{line}"), Source::IrqLine(system::IRQ_CONTROL, line.into(), flags));
        }
        for ports in &component.ports {
            let count = u64::from(ports.last) - u64::from(ports.first) + 1;
            let source = Source::Ports(system::PORT_CONTROL, ports.first, count);
            add(format!("port:{:#x}", ports.first), source);
        }
        for range in &component.mmio {
            for page in (range.first / PAGE_SIZE as u64..=range.last / PAGE_SIZE as u64).map(|p| p * PAGE_SIZE as u64) {
                if let Some((untyped, offset)) = device_page(page) {
                    add(format!("mmio:{page:#x}"), Source::DevicePage(untyped, offset));
                }
            }
        }
        if self.provides(index, "process") || component.name == GUARDIAN {
            add("clock".into(), Source::Copy(system::CLOCK.0, Rights::READ));
        }
        for authority in component.grants.iter() {
            self.authority(authority, &mut add);
        }
        grants
    }

    fn authority(&self, authority: Authority, add: &mut impl FnMut(String, Source)) {
        let row = |first: u64, count: u64, rights| Source::Row(CapSlot::OWN_TABLE, first..first + count, rights);
        match authority {
            Authority::KernelLog => {
                let frames = numbers(system::ENV_KERNEL_LOG)[0];
                add("kernel-log".into(), row(system::KERNEL_LOG, frames, Rights::READ));
            }
            Authority::Trace => {
                add("trace".into(), row(system::TRACE, numbers(system::ENV_TRACE)[1], Rights::READ));
            }
            Authority::Power => {
                add("power:exit".into(), Source::Copy(system::EXIT_PORT.0, Rights::ALL));
                add("power:off".into(), Source::Copy(system::POWER_PORT.0, Rights::ALL));
                add("power:reset".into(), Source::Copy(system::RESET_PORT.0, Rights::ALL));
            }
            Authority::IrqControl => {
                add("irq-control".into(), Source::Copy(system::IRQ_CONTROL.0, Rights::ALL));
            }
            Authority::PciConfig => {
                for untyped in device_memory() {
                    if let Ok((base, ..)) = untyped.info() {
                        add(format!("device-memory:{base:#x}"), Source::Memory(untyped));
                    }
                }
            }
            Authority::TimeControl => {
                add("time-control".into(), Source::Copy(system::SCHED_CONTROL.0, Rights::ALL));
            }
            Authority::BootImage => {
                let (first, count) = self.files.frames();
                add("boot-image".into(), row(first, count, Rights::READ | Rights::EXECUTE));
            }
            // The supervisor's own; requests to the supervisor; the clock service sees to it itself.
            Authority::Supervise | Authority::SystemInfo | Authority::Accuse | Authority::ClockSet => {}
        }
    }
}

/// Whether the supervisor may want something of a component: a sign of life, or that it ends in good order.
fn is_controlled(component: &Component) -> bool {
    component.restart.heartbeat_ns > 0 || component.restart.stop_timeout_ns > 0
}

/// Makes the memory that is no component's quota into ranges for programs, in slots of the process server's table from `first` on.
fn give_spare_memory(table: CapTable, first: u64) -> Result<(), Error> {
    for range in 0..system::MAX_SPARE_MEMORY {
        let untyped = Untyped::at(system::SPARE_MEMORY + range);
        // All that was made of it went with the former table's programs.
        let _ = untyped.0.revoke();
        let Ok((_, size, _)) = untyped.info() else { continue };
        untyped.retype(ObjectType::Untyped, size, table, first + range, 1)?;
    }
    Ok(())
}

/// The ranges of device memory.
fn device_memory() -> impl Iterator<Item = Untyped> {
    let table: CapTable = CapSlot::OWN_TABLE;
    let slots = system::DEVICE_MEMORY..system::DEVICE_MEMORY + system::MAX_DEVICE_MEMORY;
    slots.filter(move |&slot| table.identify(slot).is_ok_and(|(ty, ..)| ty == ObjectType::Untyped)).map(Untyped::at)
}

/// Where a page of device memory comes from: the range that holds it, and the offset in it.
fn device_page(address: u64) -> Option<(Untyped, u64)> {
    device_memory().find_map(|untyped| {
        let (base, size, _) = untyped.info().ok()?;
        (base..base.checked_add(size)?).contains(&address).then(|| (untyped, address - base))
    })
}

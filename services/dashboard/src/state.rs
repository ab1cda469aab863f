//! How everything fares, and its JSON.

use alloc::string::String;
use alloc::vec::Vec;

use motte_interfaces::log::LogRecord;
use motte_interfaces::supervisor::{ComponentInfo, FaultSummary, MemoryInfo};

use crate::json::Json;
use crate::traffic::{OTHERS, Traffic};

/// A component, and its share of the processor since the state before, in thousandths.
#[derive(Clone, Debug)]
pub struct Component {
    /// What the supervisor says.
    pub info: ComponentInfo,
    /// Thousandths of one processor's time.
    pub share: u64,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct State {
    /// The kernel's version.
    pub version: String,
    /// Time since the start.
    pub uptime_ns: u64,
    /// The machine's memory.
    pub memory: MemoryInfo,
    /// The components in the order of the manifest.
    pub components: Vec<Component>,
    /// Who talks to whom.
    pub traffic: Traffic,
    /// Fault records, the oldest first.
    pub faults: Vec<FaultSummary>,
    /// How many fault records there were since the start.
    pub faults_total: u64,
    /// Number of the next line of the log.
    pub log_next: u64,
}

/// The shares of processor time between two looks, `elapsed_ns` apart.
pub fn shares(before: &[ComponentInfo], now: Vec<ComponentInfo>, elapsed_ns: u64) -> Vec<Component> {
    let share = |info: &ComponentInfo| {
        // One that was restarted has begun at zero.
        let former = before.iter().find(|former| former.name == info.name && former.generation == info.generation);
        let used = info.cpu_ns.saturating_sub(former.map_or(0, |former| former.cpu_ns));
        used.saturating_mul(1000).checked_div(elapsed_ns).unwrap_or(0).min(1000)
    };
    now.into_iter().map(|info| Component { share: share(&info), info }).collect()
}

impl State {
    /// A component's name.
    pub fn name(&self, component: usize) -> &str {
        match component {
            OTHERS => "programs",
            index => self.components.get(index).map_or("", |component| &component.info.name),
        }
    }

    /// As JSON, on one line.
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        json.object(|json| {
            json.name("version").string(&self.version);
            json.name("uptime_ns").number(self.uptime_ns);
            json.name("memory").object(|json| {
                json.name("total").number(self.memory.total);
                json.name("used").number(self.memory.used);
                json.name("kernel").number(self.memory.kernel);
            });
            json.name("messages_per_second").thousandths(self.traffic.total());
            json.name("components").array(self.components.iter().enumerate(), |json, (index, component)| {
                json.object(|json| self.put_component(json, index, component));
            });
            json.name("traffic").array(&self.traffic.rates, |json, (&(from, to), &rate)| {
                json.object(|json| {
                    json.name("from").string(self.name(from));
                    json.name("to").string(self.name(to));
                    json.name("messages_per_second").thousandths(rate);
                });
            });
            json.name("faults_total").number(self.faults_total);
            json.name("faults").array(&self.faults, |json, fault| {
                json.object(|json| {
                    json.name("number").number(fault.number);
                    json.name("time_ns").number(fault.time_ns);
                    json.name("component").string(&fault.component);
                    json.name("generation").number(fault.generation);
                    json.name("cause").string(&fault.cause);
                });
            });
            json.name("log_next").number(self.log_next);
        });
        json.into_text()
    }

    fn put_component(&self, json: &mut Json, index: usize, Component { info, share }: &Component) {
        json.name("name").string(&info.name);
        json.name("state").string(&info.state);
        json.name("generation").number(info.generation);
        json.name("restarts").number(info.restarts);
        json.name("uptime_ns").number(info.uptime_ns);
        json.name("memory").number(info.memory);
        json.name("memory_quota").number(info.memory_quota);
        json.name("cpu_ns").number(info.cpu_ns);
        json.name("cpu_share").thousandths(*share);
        json.name("messages_per_second").thousandths(self.traffic.of(index));
        json.name("restart_in_ns").number(info.restart_in_ns);
        json.name("policy").string(&info.policy);
        json.name("reason").string(&info.reason);
        json.name("provides").array(&info.provides, |json, service| json.string(service));
        json.name("uses").array(&info.uses, |json, service| json.string(service));
    }
}

/// Lines of the log as JSON; `next` is the number of the one that will come next.
pub fn log_to_json(lines: &[LogRecord], next: u64) -> String {
    let mut json = Json::default();
    json.object(|json| {
        json.name("next").number(next);
        json.name("lines").array(lines, |json, line| {
            json.object(|json| {
                json.name("sequence").number(line.sequence);
                json.name("time_ns").number(line.time_ns);
                json.name("level").string(level(line.level));
                json.name("source").string(&line.source);
                json.name("text").string(&line.text);
            });
        });
    });
    json.into_text()
}

fn level(level: u64) -> &'static str {
    ["error", "warn", "info", "debug", "trace"][(level.clamp(1, 5) - 1) as usize]
}

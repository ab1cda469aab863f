//! How everything fares, in Prometheus' text format, version 0.0.4.

use alloc::string::String;
use core::fmt::Write;

use motte_interfaces::supervisor::ComponentInfo;

use crate::state::{Component, State};

/// A figure that every component has: its name, its kind, what it is, and how it is found, in thousandths.
type Figure = (&'static str, &'static str, &'static str, fn(&Component) -> u64);

const OF_COMPONENTS: [Figure; 8] = [
    ("up", "gauge", "Whether the component runs.", |c| 1000 * u64::from(c.info.state == "running")),
    ("generation", "gauge", "How often the component was started.", |c| 1000 * c.info.generation),
    ("restarts_total", "counter", "How often the component was restarted after a failure.", |c| 1000 * c.info.restarts),
    ("uptime_seconds", "gauge", "For how long the component has been running.", |c| c.info.uptime_ns / 1_000_000),
    ("memory_bytes", "gauge", "Memory in use by the component.", |c| 1000 * c.info.memory),
    ("memory_quota_bytes", "gauge", "Memory that the component may use.", |c| 1000 * c.info.memory_quota),
    ("cpu_seconds_total", "counter", "Processor time of the component since its start.", |c| c.info.cpu_ns / 1_000_000),
    ("cpu_share", "gauge", "Share of one processor that the component had of late.", |c| c.share),
];

impl State {
    /// The text.
    pub fn to_metrics(&self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in OF_COMPONENTS {
            head(&mut text, &alloc::format!("component_{name}"), kind, help);
            for component in &self.components {
                let label = labelled("component", &component.info);
                sample(&mut text, &alloc::format!("component_{name}{{{label}}}"), value(component));
            }
        }
        head(&mut text, "messages_per_second", "gauge", "Messages from one component to another, by a sample.");
        for (&(from, to), &rate) in &self.traffic.rates {
            let labels = alloc::format!("from=\"{}\",to=\"{}\"", escaped(self.name(from)), escaped(self.name(to)));
            sample(&mut text, &alloc::format!("messages_per_second{{{labels}}}"), rate);
        }
        for (name, kind, help, value) in [
            ("uptime_seconds", "gauge", "Time since the system's start.", self.uptime_ns / 1_000_000),
            ("faults_total", "counter", "Fault records since the system's start.", 1000 * self.faults_total),
            ("memory_total_bytes", "gauge", "Memory of the machine.", 1000 * self.memory.total),
            ("memory_used_bytes", "gauge", "Memory in use.", 1000 * self.memory.used),
            ("memory_kernel_bytes", "gauge", "Memory that the kernel itself keeps.", 1000 * self.memory.kernel),
        ] {
            head(&mut text, name, kind, help);
            sample(&mut text, name, value);
        }
        text
    }
}

fn labelled(label: &str, info: &ComponentInfo) -> String {
    alloc::format!("{label}=\"{}\"", escaped(&info.name))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP motte_{name} {help}\n# TYPE motte_{name} {kind}");
}

fn sample(text: &mut String, series: &str, thousandths: u64) {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    let _ = match rest {
        0 => writeln!(text, "motte_{series} {whole}"),
        rest => writeln!(text, "motte_{series} {whole}.{rest:03}"),
    };
}

//! The rest of the system, as the dashboard asks it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use motte::abi::Rights;
use motte::abi::trace::{TRACE_BYTES, TRACE_EVENTS, TraceKind};
use motte::interfaces::dashboard::DashboardError;
use motte::interfaces::log::{LogClient, LogRecord};
use motte::interfaces::supervisor::{ComponentInfo, FaultSummary, MemoryInfo, SupervisorClient, SupervisorError};
use motte::kernel::{CacheMode, Frame};
use motte::memory::Mapping;
use motte::service::{self, Connection, ServiceError};
use motte::time::{counter_ns, monotonic_ns};
use motte_dashboard::state::{State, shares};
use motte_dashboard::traffic::{Event, Makers, Traffic};

/// Fault records that are listed.
const MOST_FAULTS: usize = 32;
/// Lines of the log that are kept.
const MOST_LINES: usize = 300;

/// What is known, and whom to ask for more.
pub struct System {
    pub supervisor: SupervisorClient<Connection>,
    log: Option<LogClient<Connection>>,
    trace: Option<Mapping>,
    /// When somebody last asked for the state.
    pub asked_ns: u64,
    /// Whether samples are taken.
    pub samples: bool,
    components: Vec<ComponentInfo>,
    looked_ns: u64,
    traffic: Traffic,
    makers: Makers,
    faults: VecDeque<FaultSummary>,
    faults_total: u64,
    lines: VecDeque<LogRecord>,
    log_next: u64,
    /// The log's lines are numbered anew after its restart.
    log_generation: u64,
    version: alloc::string::String,
}

impl System {
    pub fn connect() -> Result<Self, ServiceError> {
        let supervisor = SupervisorClient::new(service::connect("supervisor")?);
        let frames: Vec<_> = motte::start::row("trace").map(Frame).collect();
        let trace = match frames.is_empty() {
            true => None,
            false => Mapping::of(frames, Rights::READ, CacheMode::Normal).ok(),
        };
        Ok(Self {
            version: supervisor.kernel_version().unwrap_or_default(),
            supervisor,
            log: service::connect("log").ok().map(LogClient::new),
            trace,
            asked_ns: 0,
            samples: false,
            components: Vec::new(),
            looked_ns: 0,
            traffic: Traffic::default(),
            makers: Makers::default(),
            faults: VecDeque::new(),
            faults_total: 0,
            lines: VecDeque::new(),
            log_next: 0,
            log_generation: 0,
        })
    }

    /// How everything fares now.
    pub fn look(&mut self) -> State {
        let now = monotonic_ns();
        let components: Vec<_> = (0..).map_while(|index| self.supervisor.component(index).ok()).collect();
        let compared = shares(&self.components, components.clone(), now - self.looked_ns);
        self.components = components;
        self.looked_ns = now;
        self.read_faults();
        self.read_log();
        State {
            version: self.version.clone(),
            uptime_ns: now,
            memory: self.supervisor.memory().unwrap_or(MemoryInfo { total: 0, used: 0, kernel: 0 }),
            components: compared,
            traffic: self.traffic.clone(),
            faults: self.faults.iter().cloned().collect(),
            faults_total: self.faults_total,
            log_next: self.log_next,
        }
    }

    fn read_faults(&mut self) {
        while let Ok(fault) = self.supervisor.fault(self.faults_total + 1) {
            self.faults_total = fault.number;
            if self.faults.len() == MOST_FAULTS {
                self.faults.pop_front();
            }
            self.faults.push_back(fault);
        }
    }

    /// Takes what is new in the log.
    pub fn read_log(&mut self) {
        let Some(log) = &self.log else { return };
        let generation =
            self.components.iter().find(|component| component.name == "log").map_or(0, |log| log.generation);
        if generation != self.log_generation {
            self.log_generation = generation;
            self.log_next = 0;
            self.lines.clear();
        }
        while let Ok(records) = log.read(self.log_next)
            && let Some(last) = records.last()
        {
            self.log_next = last.sequence + 1;
            self.lines.extend(records);
            let surplus = self.lines.len().saturating_sub(MOST_LINES);
            self.lines.drain(..surplus);
        }
    }

    /// Lines of the log from a number on, and the number of the one that will come next.
    pub fn log_from(&mut self, from: u64) -> (&[LogRecord], u64) {
        let lines = self.lines.make_contiguous();
        let first = lines.partition_point(|line| line.sequence < from);
        (&lines[first..], self.log_next)
    }

    /// A fault record's text.
    pub fn fault_text(&self, number: u64) -> Result<Vec<u8>, DashboardError> {
        let failed = |error| match error {
            SupervisorError::NotFound => DashboardError::NotFound,
            _ => DashboardError::Unavailable,
        };
        let mut text = Vec::new();
        loop {
            let piece = self.supervisor.fault_text(number, text.len() as u64).map_err(failed)?;
            if piece.0.is_empty() {
                return Ok(text);
            }
            text.extend(piece.0);
        }
    }

    /// Has every message traced: from the time that is returned on, and from so many events on.
    pub fn begin_sample(&mut self) -> (u64, u64) {
        // Before messages push out what little is there otherwise: who made whom.
        self.learn_makers();
        let _ = self.supervisor.trace_messages(true);
        (monotonic_ns(), self.events())
    }

    fn learn_makers(&mut self) {
        let Some(trace) = &self.trace else { return };
        rings(trace).for_each(|ring| self.makers.learn(&events(trace, ring)));
    }

    /// The most events that any core has written into its trace.
    pub fn events(&self) -> u64 {
        let of = |trace: &Mapping| rings(trace).map(|ring| trace.read_u64(ring)).max();
        self.trace.as_ref().and_then(of).unwrap_or(0)
    }

    /// Ends a sample and takes its figures in.
    pub fn end_sample(&mut self, begin_ns: u64) {
        let end_ns = monotonic_ns();
        let _ = self.supervisor.trace_messages(false);
        self.learn_makers();
        let Some(trace) = &self.trace else { return };
        let runner = self.components.iter().position(|info| info.provides.iter().any(|service| service == "process"));
        let first = |thread: u64| self.components.iter().position(|info| info.thread == thread);
        let component = |thread: u64| self.makers.component(thread, runner, first);
        let mut sample = Traffic::default();
        for ring in rings(trace) {
            let events = events(trace, ring);
            for (pair, rate) in Traffic::of_sample(&events, begin_ns, end_ns, component).rates {
                *sample.rates.entry(pair).or_default() += rate;
            }
        }
        self.traffic.blend(&sample);
    }
}

/// Where each core's ring begins.
fn rings(trace: &Mapping) -> impl Iterator<Item = usize> {
    (0..trace.len() / TRACE_BYTES).map(|core| core * TRACE_BYTES)
}

/// The events that one core's ring holds, the oldest first. The kernel may write on meanwhile: what it overwrites has a time that is not
/// in the sample.
fn events(trace: &Mapping, ring: usize) -> Vec<Event> {
    let written = trace.read_u64(ring);
    (written.saturating_sub(TRACE_EVENTS as u64)..written)
        .map(|number| {
            let at = ring + 64 + (number % TRACE_EVENTS as u64) as usize * 32;
            let word = |index: usize| trace.read_u64(at + index * 8);
            let kind = TraceKind::from_raw(word(1) as u8).unwrap_or(TraceKind::None);
            Event { time_ns: counter_ns(word(0)), kind, from: word(2), to: word(3) }
        })
        .collect()
}

//! The process server as a component.
#![no_std]
#![no_main]

extern crate alloc;

mod images;
mod memory;
mod programs;

use alloc::string::ToString;

use motte::abi::Error;
use motte::abi::fault::{FAULT_LABEL, FaultKind, FaultMessage, RESUME_STOPPED};
use motte::abi::lines::Lines;
use motte::abi::symbols::Symbols;
use motte::deadline::INTERVAL;
use motte::interfaces::process::{ExitStatus, dispatch_process};
use motte::interfaces::stream::{STREAM_BASE, dispatch_stream};
use motte::interfaces::supervisor::{SupervisorClient, TEXT_PIECE};
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kept::{self, Snapshots};
use motte::last_words::{Kind, LastWords};
use motte::log;
use motte::pages::Pages;
use motte::server::{Event, Handler, Replies, Server};
use motte::service;
use motte::time::monotonic_ns;
use motte_loader::Position;
use motte_loader::system::FAULT_BADGE;
use motte_process::{Ending, Machine, ProcessServer, TakenOver};
use motte_supervisor::messages;
use motte_supervisor::record::{Cause, Findings};

use programs::Programs;

motte::entry!(main);

/// Label of an answer to a fault that lets the thread go on.
const RESUME: u64 = 0;

struct Service {
    server: ProcessServer<Replies, Pages, Programs>,
    /// Signalled when there are programs to end once the request at hand is answered.
    abandoned: Event,
    /// Signalled when calls of programs are to be looked at.
    looks: Event,
}

impl Handler for Service {
    fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        if sender.badge & FAULT_BADGE != 0 && label >= FAULT_LABEL {
            Outcome::Answered(self.fault((sender.badge & !FAULT_BADGE) as u32, label, request))
        } else if label >= STREAM_BASE {
            let outcome = dispatch_stream(&mut self.server, sender, label, request, reply, defer);
            if self.server.has_abandoned() {
                let _ = self.abandoned.notification().signal();
            }
            outcome
        } else {
            dispatch_process(&mut self.server, sender, label, request, reply, defer)
        }
    }

    fn notified(&mut self, bits: u64) {
        self.server.end_abandoned();
        if bits & self.looks.bit() != 0 {
            self.server.machine().end_overdue_calls(device_is_awaited);
        }
    }
}

/// Whether a service waits for a device. If nobody can say: it may be.
fn device_is_awaited() -> bool {
    let Ok(connection) = service::connect("supervisor") else { return true };
    let awaited = SupervisorClient::new(connection).waits_for_device();
    connection.close();
    awaited.unwrap_or(true)
}

impl Service {
    /// Writes the fault record of a program, and has the supervisor keep it; returns its number, `None` if nobody keeps it.
    fn record(&mut self, id: u32, kind: FaultKind, fault: &FaultMessage, words: Option<LastWords>) -> Option<u64> {
        let cause = match words {
            Some(words) => Cause::Panic(words.text, *fault),
            None => Cause::Fault(kind, *fault),
        };
        let name = self.server.name(id).unwrap_or_default().to_string();
        let program = self.server.program(id).unwrap_or_default().to_string();
        let (started, now) = (self.server.started(id)?, monotonic_ns());
        let machine = self.server.machine();
        let stack = machine.stack();
        let (memory, cpu_ns) = machine.usage(id);
        let places = *machine.places(id)?;
        let trace = places.backtrace(stack, &Position::from(fault));
        let registers = places.thread.read_registers().ok().filter(|registers| registers.rsp == fault.stack);
        let symbols = Programs::symbols(&program).and_then(Symbols::parse);
        let lines = Programs::lines(&program).and_then(Lines::parse);
        let supervisor = SupervisorClient::new(service::connect("supervisor").ok()?);
        let last_message = places.thread.last_message().ok().and_then(|(badge, info)| messages::last(badge, info));
        let findings = |number| Findings {
            number,
            time_ns: now,
            component: &name,
            generation: u64::from(id),
            ran_ns: now.saturating_sub(started.started_ns),
            cpu_ns,
            memory: (memory, started.memory_limit),
            cause: &cause,
            registers,
            backtrace: &trace,
            symbols,
            lines,
            messages: &[],
            last_message: last_message.clone(),
        };
        let draft = findings(0).record();
        let number = supervisor.report(&draft.component, draft.generation, &draft.cause).ok()?;
        let record = findings(number).record();
        for piece in record.text.as_bytes().chunks(TEXT_PIECE) {
            supervisor.report_text(number, piece).ok()?;
        }
        supervisor.report_text(number, &[]).ok()?;
        supervisor.transport().close();
        Some(number)
    }

    /// A program ended by itself, or could not go on. The label to answer with.
    fn fault(&mut self, id: u32, label: u64, request: &mut Reader<'_>) -> u64 {
        let mut fault = [0; 6];
        for word in &mut fault {
            *word = request.word().unwrap_or(0);
        }
        let fault = FaultMessage::from_words(fault);
        let kind = FaultKind::from_label(label).unwrap_or(FaultKind::Other);
        if kind == FaultKind::PageFault && self.server.machine().grow_stack(id, fault.address) {
            return RESUME;
        }
        let status = match self.server.machine().last_words(id) {
            Some(words) if words.kind == Kind::Exit => ExitStatus::Exited(words.status),
            words => ExitStatus::Faulted(self.record(id, kind, &fault, words).unwrap_or(0)),
        };
        self.server.ended(id, status, Ending::Ended);
        // Nobody hears this: the thread is gone.
        RESUME_STOPPED
    }
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("process")?;
    let (endpoint, replies) = (server.endpoint(), server.replies());
    let pages = Pages::new(endpoint, replies.clone());
    let Some(kept) = kept::map()? else {
        log::error!("the manifest gives this component no memory that outlives it (`keep`, `keep-slots`)");
        return Err(Error::OutOfMemory);
    };
    let from = kept.from;
    let programs = Programs::new(endpoint, Snapshots::new(kept.memory))?;
    let noted = programs.noted();
    let mut process = ProcessServer::new(replies, pages, programs);
    let taken_over = noted.and_then(|state| process.take_over(&state));
    if let Some(TakenOver { running, lost }) = &taken_over {
        log::info!("{running} programs go on");
        lost.iter().for_each(|(id, why)| log::warn!("program {id} ends: {why}"));
    } else {
        if from.is_some() {
            log::error!("what is known of the programs that ran cannot be read: they end");
        }
        process.machine().begin();
    }
    let abandoned = server.tasks().event()?;
    process.report_lost(&taken_over.unwrap_or_default().lost);
    if process.has_abandoned() {
        abandoned.notification().signal()?;
    }
    let looks = server.tasks().event()?;
    // Where nobody looks after this server, as on machines that measure, it does not look after others either.
    if motte::start::capability("pulse").is_some() {
        let (tasks, look) = (server.tasks(), looks.notification());
        server.tasks().spawn(async move {
            loop {
                tasks.sleep(INTERVAL).await;
                let _ = look.signal();
            }
        });
    }
    Err(server.run(&mut Service { server: process, abandoned, looks }))
}

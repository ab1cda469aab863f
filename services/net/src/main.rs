//! The network stack as a component.
//!
//! What survives a restart: nothing. Connections are broken off; clients open their listeners anew.
#![no_std]
#![no_main]

extern crate alloc;

mod machine;

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use motte::abi::Error;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::log;
use motte::memory;
use motte::server::{Event, Handler, Replies, Server, Tasks};
use motte::service;
use motte::time::{Instant, monotonic_ns};
use motte_net::config::Config;
use motte_net::links::Links;
use motte_net::stack::Stack;
use motte_netdev::{Adapter, Layout, PacketMemory, Port};
use smoltcp::time::Instant as Moment;

use machine::{Clients, MaybeDriver, Packets};

motte::entry!(main);

/// What is kept from sockets: for the heap's own needs, tables, packets under way in the loop.
const RESERVE: u64 = 3 << 20;

type NetStack = Stack<Replies, Clients, MaybeDriver, Packets>;

/// Wakes the stack when it is time.
#[derive(Default)]
struct Alarm {
    /// Nanoseconds of the clock; `u64::MAX`: never.
    time: Cell<u64>,
    /// The task that sleeps until then, or did so at least as early.
    task: RefCell<Option<Waker>>,
}

impl Alarm {
    /// Sees to it that the stack is woken at `time` at the latest.
    fn set(&self, time: u64) {
        if time < self.time.get() {
            self.time.set(time);
            if let Some(task) = self.task.borrow_mut().take() {
                task.wake();
            }
        }
    }

    /// Returns when it is time.
    async fn ring(&self, tasks: &Tasks) {
        loop {
            let time = self.time.get();
            if monotonic_ns() >= time {
                self.time.set(u64::MAX);
                return;
            }
            let mut sleep = core::pin::pin!(tasks.sleep_until(Instant::from_ns(time)));
            poll_fn(|context| {
                *self.task.borrow_mut() = Some(context.waker().clone());
                let earlier = self.time.get() < time;
                if earlier { Poll::Ready(()) } else { sleep.as_mut().poll(context) }
            })
            .await;
        }
    }
}

struct Service {
    stack: Rc<RefCell<NetStack>>,
    alarm: Rc<Alarm>,
    /// Signalled by the driver and by clients.
    news: Event,
}

fn now() -> Moment {
    Moment::from_micros((monotonic_ns() / 1000) as i64)
}

/// Does what can be done, and sees to it that the rest is done in time.
fn work(stack: &mut NetStack, alarm: &Alarm) {
    let more = stack.work(now());
    let next = if more { Some(0) } else { stack.next_time() };
    if let Some(time) = next {
        alarm.set(time.saturating_mul(1000));
    }
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
        let mut stack = self.stack.borrow_mut();
        let outcome = stack.request(sender, label, request, reply, defer);
        work(&mut stack, &self.alarm);
        outcome
    }

    fn notified(&mut self, bits: u64) {
        if bits & self.news.bit() != 0 {
            work(&mut self.stack.borrow_mut(), &self.alarm);
        }
    }
}

/// Bytes for sockets: what is left of the component's memory.
fn socket_bytes() -> usize {
    let usage = memory::usage();
    usage.budget.saturating_sub(usage.used).saturating_sub(RESERVE) as usize
}

fn configuration() -> Config {
    let mut config = Config::new(socket_bytes());
    for (name, value) in motte::env::vars() {
        if let Err(problem) = config.set(&name, &value) {
            log::warn!("{problem}");
        }
    }
    config
}

fn main() -> Result<(), Error> {
    let mut server = Server::for_service("net")?;
    let tasks = server.tasks();
    let news = tasks.event()?;
    let layout = Layout::STANDARD;
    let (driver, packets) = match service::connect("netdev") {
        Ok(connection) => {
            let packets = PacketMemory::new(layout)?;
            let adapter = Adapter::start(connection, &packets, news.notification())?;
            (MaybeDriver::Driver(adapter), Packets::Memory(packets))
        }
        Err(error) => {
            log::info!("there is no network but this machine's own: {error}");
            (MaybeDriver::None, Packets::None)
        }
    };
    let mut machine = Clients::new(news.notification())?;
    let (config, start) = (configuration(), now());
    let links = Links::new(Port::new(driver, layout), packets, config.clone(), machine.seed(), start);
    let stack = Rc::new(RefCell::new(Stack::new(server.replies(), machine, links, config, start)));
    let alarm = Rc::new(Alarm::default());
    alarm.time.set(u64::MAX);
    work(&mut stack.borrow_mut(), &alarm);
    let (sleeper, stack_too, tasks_too) = (alarm.clone(), stack.clone(), tasks.clone());
    tasks.spawn(async move {
        loop {
            sleeper.ring(&tasks_too).await;
            work(&mut stack_too.borrow_mut(), &sleeper);
        }
    });
    Err(server.run(&mut Service { stack, alarm, news }))
}

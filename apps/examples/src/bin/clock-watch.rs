//! The example `clock-watch`: threads, time, and tasks that wait beside one another.
//!
//! ```text
//! $ clock-watch 3
//! ```
//! prints the time so many times while a second thread counts prime numbers. One task waits for the time, another for the thread;
//! both run in the first thread, between the requests of a server that nobody calls.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;
use core::cell::Cell;
use core::time::Duration;

use motte::abi::{Error, ObjectType};
use motte::interfaces::clock::ClockClient;
use motte::interfaces::{Outcome, Reader, ReplyToken, Sender, Writer};
use motte::kernel::Endpoint;
use motte::server::{Handler, Server};
use motte::time::Instant;
use motte::{memory, service, thread};
use motte_examples::watch::{TimeOfDay, primes_below};

motte::entry!(main);

const LIMIT: u64 = 30_000;
const INTERVAL: Duration = Duration::from_millis(500);

/// Nobody has a capability to this program's endpoint; a request would be an error.
struct NoService;

impl Handler for NoService {
    fn request(
        &mut self,
        _: &Sender,
        _: u64,
        _: &mut Reader<'_>,
        _: &mut Writer<'_>,
        _: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome {
        Outcome::UnknownMethod
    }
}

fn main() -> Result<(), Error> {
    let times = motte::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3_u32);
    // What the monotonic clock's zero was in wall time; 0, that is 1970, where there is no clock service.
    let offset = service::connect("clock").ok().and_then(|clock| ClockClient::new(clock).offset().ok());
    let offset = Duration::from_nanos(offset.unwrap_or(0));

    let mut server = Server::new(Endpoint(memory::make(ObjectType::Endpoint, 0)?))?;
    let tasks = server.tasks();
    let counted = tasks.event()?;
    let signal = counted.notification();
    let worker = thread::spawn(move || {
        let count = primes_below(LIMIT);
        // The signal can fail only if the capability is gone, and with it whoever waits.
        let _ = signal.signal();
        count
    });

    let running = Rc::new(Cell::new(2));
    let one_ended = move |running: &Cell<u32>| {
        running.set(running.get() - 1);
        if running.get() == 0 {
            motte::exit(0);
        }
    };
    let (ticking, clock) = (running.clone(), tasks.clone());
    tasks.spawn(async move {
        let mut next = Instant::now();
        for _ in 0..times {
            let now = offset + Duration::from_nanos(Instant::now().as_ns());
            motte::println!("it is {} (UTC)", TimeOfDay::since_1970(now));
            next += INTERVAL;
            clock.sleep_until(next).await;
        }
        one_ended(&ticking);
    });
    let clock = tasks.clone();
    tasks.spawn(async move {
        while clock.timeout(Duration::from_millis(200), counted.wait()).await.is_none() {
            motte::println!("still counting");
        }
        motte::println!("there are {} prime numbers below {LIMIT}", worker.join());
        one_ended(&running);
    });
    Err(server.run(&mut NoService))
}

//! Clients that wait for something of a number, or a later one: a fault record, a change of state.

use alloc::vec::Vec;

use motte::interfaces::supervisor::SupervisorError;
use motte::interfaces::{Responder, Wire};
use motte::server::Replies;

/// Clients that wait, at the most; the one that has waited longest makes room.
const MOST: usize = 16;

/// A client that waits.
struct Waiter<T> {
    client: u64,
    from: u64,
    responder: Responder<T, SupervisorError>,
}

/// All who wait for one sort of thing.
pub struct Waiters<T>(Vec<Waiter<T>>);

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Wire> Waiters<T> {
    /// Another waits. A client that asks again while it waits has its former request answered.
    pub fn add(&mut self, replies: &mut Replies, client: u64, from: u64, responder: Responder<T, SupervisorError>) {
        let former = self.0.iter().position(|waiter| waiter.client == client);
        let surplus = (self.0.len() >= MOST).then_some(0);
        if let Some(index) = former.or(surplus) {
            self.0.remove(index).responder.answer(replies, Err(SupervisorError::NotFound));
        }
        self.0.push(Waiter { client, from, responder });
    }

    /// Answers those for whom `find` has the first from their number on.
    pub fn answer(&mut self, replies: &mut Replies, find: impl Fn(u64) -> Option<T>) {
        for waiter in core::mem::take(&mut self.0) {
            match find(waiter.from) {
                Some(found) => waiter.responder.answer(replies, Ok(found)),
                None => self.0.push(waiter),
            }
        }
    }
}

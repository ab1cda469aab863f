//! Requests of clients: opening, closing and waiting for sockets.

use alloc::vec::Vec;

use motte_interfaces::error::IoError;
use motte_interfaces::net::{Address, Buffers, Family, Ip, Net, NetAdmin, dispatch_net, dispatch_net_admin};
use motte_interfaces::{Cap, Outcome, Reader, Replier, ReplyToken, Responder, Sender, Writer, badge, interface};
use motte_netdev::{Driver, Memory};

use crate::session::{Machine, Session};
use crate::stack::{Kind, Stack, Waiter};

/// Label of `client_gone` in the stream interface, by which every service hears that a client vanishes.
pub const CLIENT_GONE: u64 = 0x109;
/// The most pages that all clients may lend for slots; one may lend half of them.
const MOST_PAGES: usize = 12288;
/// Labels of [`NetAdmin`] begin here.
pub const ADMIN_BASE: u64 = 0x200;

/// What is left of the stream interface where there are no streams.
#[interface("lifecycle", base = 0x109)]
pub trait Lifecycle {
    /// A client is gone. Accepted only from those who may say so ([`motte_interfaces::badge::LIFECYCLE`]).
    #[idempotent]
    fn client_gone(&self, client: u64) -> Result<(), IoError>;
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Stack<R, M, D, P> {
    /// Takes a request apart and answers it; the outcome is the generated code's.
    pub fn request(
        &mut self,
        sender: &Sender,
        label: u64,
        request: &mut Reader<'_>,
        reply: &mut Writer<'_>,
        defer: &mut dyn FnMut() -> ReplyToken,
    ) -> Outcome
    where
        Self: Net + NetAdmin + Lifecycle,
    {
        self.bury();
        match label {
            CLIENT_GONE => dispatch_lifecycle(self, sender, label, request, reply, defer),
            ADMIN_BASE.. => dispatch_net_admin(self, sender, label, request, reply, defer),
            _ => dispatch_net(self, sender, label, request, reply, defer),
        }
    }

    /// The session of whoever sent a request.
    pub(crate) fn session(&mut self, sender: &Sender) -> Result<(u64, &mut Session<M>), IoError> {
        let client = badge::client(sender.badge);
        let session = self.sessions.get_mut(&client).ok_or(IoError::ServiceRestarted)?;
        Ok((client, session))
    }

    /// Ends the sessions of clients whose memory is gone, without touching it. Before anything that would.
    pub(crate) fn bury(&mut self) {
        let gone = |stack: &Self| {
            let mut sessions = stack.sessions.iter();
            sessions.find(|(_, session)| !session.is_alive(&stack.machine)).map(|(&client, _)| client)
        };
        while let Some(client) = gone(self) {
            let numbers = self.sessions.get(&client).map(Session::all_sockets).unwrap_or_default();
            for number in numbers {
                if let Some(socket) = self.socket(number) {
                    socket.ends = None;
                }
                self.close_socket(number, true);
            }
            self.forget_session(client);
        }
    }

    /// Ends a session: everything of the client's is closed.
    fn end(&mut self, client: u64) {
        let Some(session) = self.sessions.get(&client) else { return };
        for number in session.all_sockets() {
            self.close_socket(number, false);
        }
        // Before its memory goes.
        self.serve_all();
        self.forget_session(client);
    }

    fn forget_session(&mut self, client: u64) {
        if let Some(mut session) = self.sessions.remove(&client) {
            for responder in core::mem::take(&mut session.watching) {
                responder.answer(&mut self.replier, Err(IoError::ServiceRestarted));
            }
            session.end(&mut self.machine);
        }
    }

    fn close_socket(&mut self, number: u32, abort: bool) {
        match self.socket(number).map(|socket| &socket.kind) {
            Some(Kind::Listener(_)) => self.close_listener(number),
            Some(Kind::Stream(_)) => self.close_stream(number, abort),
            Some(Kind::Datagram(_)) => self.close_datagram(number),
            None => {}
        }
    }

    /// Joins a new socket to its slot; it is closed again if that fails.
    fn join(&mut self, client: u64, slot: u64, number: u32, buffers: Buffers) -> Result<(), IoError> {
        let Some(session) = self.sessions.get_mut(&client) else { return Err(IoError::ServiceRestarted) };
        let ends = session.join(&mut self.machine, client, slot, number, buffers)?;
        if let Some(socket) = self.sockets[number as usize].as_mut() {
            socket.ends = Some(ends);
        }
        self.mark(number);
        Ok(())
    }

    fn join_or_close(&mut self, client: u64, slot: u64, number: u32, buffers: Buffers) -> Result<(), IoError> {
        let joined = self.join(client, slot, number, buffers);
        if joined.is_err() {
            self.close_socket(number, true);
        }
        joined
    }

    fn give_up(&mut self, sender: &Sender, slot: u64, abort: bool) -> Result<(), IoError> {
        let (_, session) = self.session(sender)?;
        let number = session.socket(slot).ok_or(IoError::BadHandle)?;
        self.close_socket(number, abort);
        Ok(())
    }
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Lifecycle for Stack<R, M, D, P> {
    fn client_gone(&mut self, sender: &Sender, client: u64) -> Result<(), IoError> {
        if sender.badge & badge::LIFECYCLE == 0 {
            return Err(IoError::PermissionDenied);
        }
        self.end(badge::client(client));
        Ok(())
    }
}

impl<R: Replier, M: Machine, D: Driver, P: Memory> Net for Stack<R, M, D, P> {
    fn begin(&mut self, sender: &Sender, page: Cap) -> Result<Cap, IoError> {
        let client = badge::client(sender.badge);
        self.end(client);
        let page = self.machine.map_words(page)?;
        let rules = self.machine.rules(client);
        self.sessions.insert(client, Session::new(page, rules));
        Ok(self.machine.doorbell())
    }

    fn lend_headers(&mut self, sender: &Sender, index: u64, page: Cap) -> Result<(), IoError> {
        let client = badge::client(sender.badge);
        match self.sessions.get_mut(&client) {
            Some(session) => session.lend_headers(&mut self.machine, index, page),
            None => {
                self.machine.release(page);
                Err(IoError::ServiceRestarted)
            }
        }
    }

    fn lend(&mut self, sender: &Sender, place: (u64, u64), a: Cap, b: Cap, c: Cap, d: Cap) -> Result<(), IoError> {
        let client = badge::client(sender.badge);
        let pages = [a, b, c, d];
        // Each takes a slot of the stack's capability table.
        let all: usize = self.sessions.values().map(|session| session.pages).sum();
        let lent = match self.sessions.get_mut(&client) {
            Some(session) if session.pages >= MOST_PAGES / 2 || all >= MOST_PAGES => Err(IoError::OutOfMemory),
            Some(session) => session.lend(&mut self.machine, place, pages),
            None => Err(IoError::ServiceRestarted),
        };
        if lent.is_err() {
            pages.into_iter().for_each(|page| self.machine.release(page));
        }
        lent
    }

    fn wake_by(&mut self, sender: &Sender, notification: Cap) -> Result<(), IoError> {
        let former = match self.session(sender) {
            Ok((client, session)) => {
                let former = session.wake_by(notification);
                self.told.push(client);
                former
            }
            Err(error) => {
                self.machine.release(notification);
                return Err(error);
            }
        };
        former.into_iter().for_each(|former| self.machine.release(former));
        Ok(())
    }

    fn watch(&mut self, sender: &Sender, responder: Responder<(), IoError>) {
        match self.session(sender) {
            Ok((_, session)) if session.watching.len() < 4 => session.watching.push(responder),
            Ok(_) => responder.answer(&mut self.replier, Err(IoError::Busy)),
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn connect(&mut self, sender: &Sender, slot: u64, remote: Address, buffers: Buffers) -> Result<Address, IoError> {
        let (client, session) = self.session(sender)?;
        if !session.rules.may_connect(remote.0) {
            return Err(IoError::PermissionDenied);
        }
        let (number, local) = self.begin(client, remote.0, buffers)?;
        self.join_or_close(client, slot, number, buffers)?;
        Ok(Address(local))
    }

    fn listen(
        &mut self,
        sender: &Sender,
        slot: u64,
        local: Address,
        backlog: u64,
        buffers: Buffers,
    ) -> Result<Address, IoError> {
        let (client, session) = self.session(sender)?;
        if !session.rules.may_listen(local.0.port()) {
            return Err(IoError::PermissionDenied);
        }
        let (number, local) = self.listen(client, local.0, backlog, buffers)?;
        self.join_or_close(client, slot, number, Buffers::NONE)?;
        Ok(Address(local))
    }

    fn accept(
        &mut self,
        sender: &Sender,
        listener: u64,
        slot: u64,
        buffers: Buffers,
    ) -> Result<(Address, Address), IoError> {
        let (client, session) = self.session(sender)?;
        let listening = session.socket(listener).ok_or(IoError::BadHandle)?;
        let number = self.next_waiting(listening).ok_or(IoError::WouldBlock)?;
        if let Err(error) = self.join(client, slot, number, buffers) {
            self.wait_again(listening, number);
            return Err(error);
        }
        match self.socket(number).map(|socket| &socket.kind) {
            Some(Kind::Stream(stream)) => {
                let flow = stream.flow;
                let (local, remote) = ((flow.local, flow.local_port), (flow.remote, flow.remote_port));
                Ok((Address(local.into()), Address(remote.into())))
            }
            _ => Err(IoError::WouldBlock),
        }
    }

    fn bind(&mut self, sender: &Sender, slot: u64, local: Address, buffers: Buffers) -> Result<Address, IoError> {
        let (client, session) = self.session(sender)?;
        if !session.rules.may_bind(local.0.port()) {
            return Err(IoError::PermissionDenied);
        }
        let (number, local) = self.open_datagram(client, local.0)?;
        self.join_or_close(client, slot, number, buffers)?;
        Ok(Address(local))
    }

    fn echo(&mut self, sender: &Sender, slot: u64, buffers: Buffers) -> Result<(), IoError> {
        let (client, session) = self.session(sender)?;
        if !session.rules.may_ping() {
            return Err(IoError::PermissionDenied);
        }
        let number = self.open_echo(client)?;
        self.join_or_close(client, slot, number, buffers)
    }

    fn wait(&mut self, sender: &Sender, slot: u64, what: u64, timeout_ns: u64, responder: Responder<u64, IoError>) {
        let number = match self.session(sender) {
            Ok((_, session)) => session.socket(slot).ok_or(IoError::BadHandle),
            Err(error) => Err(error),
        };
        let now = self.now.total_micros() as u64;
        let deadline = if timeout_ns == u64::MAX { u64::MAX } else { now.saturating_add(timeout_ns / 1000) };
        match number {
            Ok(number) => {
                self.mark(number);
                match self.socket(number) {
                    // Whether it is ready already is looked at when it is served, which is at once.
                    Some(socket) => socket.waiters.push(Waiter { what, deadline, responder }),
                    None => responder.answer(&mut self.replier, Err(IoError::BadHandle)),
                }
            }
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }

    fn close(&mut self, sender: &Sender, slot: u64) -> Result<(), IoError> {
        self.give_up(sender, slot, false)
    }

    fn abort(&mut self, sender: &Sender, slot: u64) -> Result<(), IoError> {
        self.give_up(sender, slot, true)
    }

    fn lookup(&mut self, sender: &Sender, name: &str, family: Family, responder: Responder<Vec<Ip>, IoError>) {
        match self.session(sender) {
            Ok((_, session)) if session.rules.may_resolve() => self.look_up(name, family, responder),
            Ok(_) => responder.answer(&mut self.replier, Err(IoError::PermissionDenied)),
            Err(error) => responder.answer(&mut self.replier, Err(error)),
        }
    }
}

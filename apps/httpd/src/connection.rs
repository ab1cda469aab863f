//! One connection: bytes in, bytes out, and nothing else. Whoever drives it asks for the next [`Step`], does it, and says so.
//!
//! Requests are answered in the order in which they came; several that arrived together are answered together, as far as there is memory for
//! them. Nothing is read while an answer waits to be sent, so a peer that does not read cannot make the server keep what it writes.
//!
//! | limit | what happens |
//! |---|---|
//! | a head is not complete 10 s after it was begun, or after the connection was opened | 408, or nothing if nothing came, and the end |
//! | nothing comes for 60 s between two requests | the end |
//! | an answer is taken more slowly than 1 kB/s, after 20 s | the end |
//! | a head of more than 8 KiB or 64 fields | 414 or 431, and the end |
//! | a body of more than 4 KiB | 413, and the end |

mod answers;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::calls::{self, Call, Refused, Reply};
use crate::folder::{Folder, FolderError};
use crate::media;
use crate::output::{Broken, Output, Piece};
use crate::request::{self, MOST_BODY, MOST_HEAD, Method, Request, Unread};
use crate::site::{Found, Site};
use crate::status::Status;
use crate::target;

const SECOND: u64 = 1_000_000_000;
/// Within this time a request arrives.
const HEAD_TIME: u64 = 10 * SECOND;
/// So long a connection may be idle.
const IDLE_TIME: u64 = 60 * SECOND;
/// So long an answer may take, beside the time for its bytes.
const SEND_TIME: u64 = 20 * SECOND;
/// More time for each byte that was sent: 1 kB/s.
const BYTE_TIME: u64 = SECOND / 1000;
/// So long the other side may go on sending after it was refused.
const LINGER_TIME: u64 = 2 * SECOND;
/// So much it may send then.
const LINGER_BYTES: usize = 256 << 10;
/// Pieces that may wait to be sent before the next request is looked at.
const MOST_PIECES: usize = 16;
/// The largest request: head, and body with what lies between its chunks.
const MOST_INPUT: usize = MOST_HEAD + 4 * MOST_BODY as usize;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read, and say what came: [`Connection::received`], or [`Connection::ended`].
    Read,
    /// Write [`Connection::output`], and say how much went: [`Connection::sent`].
    Write,
    /// Ask the dashboard, and give the answer: [`Connection::answer`].
    Ask(Call),
    /// Wait for the next event: [`Connection::event`].
    Watch,
    /// Say that nothing more will be written: [`Connection::finished`]. What the peer still sends is then read.
    Finish,
    /// Close.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A request is awaited.
    Open,
    /// The dashboard was or is to be asked; for the head of its answer only, if `true`.
    Asking { head_only: bool },
    /// Events go out; in chunks, if `true`.
    Watching { chunked: bool },
    /// After the output, the end. If `true`, the peer is not done and would not see the answer if its words met a closed door.
    Ending { lingers: bool },
    /// Nothing more is written; what comes is thrown away.
    Lingering { bytes: usize },
    /// Done.
    Closed,
}

/// How the answer to the request in hand is framed.
#[derive(Clone, Copy, Debug)]
struct Manner {
    is_1_1: bool,
    keep_alive: bool,
    head_only: bool,
}

/// A connection.
pub struct Connection<F> {
    state: State,
    input: Vec<u8>,
    /// How much of the input was used.
    used: usize,
    output: Output<F>,
    call: Option<Call>,
    /// Whether the client was told to send the body of the request in hand.
    told_to_continue: bool,
    manner: Manner,
    /// Whether `/`, `/api/` and `/metrics` belong to the dashboard.
    has_dashboard: bool,
    deadline: u64,
    /// Requests answered so far.
    requests: u64,
}

impl<F> Connection<F> {
    /// A connection that was opened now.
    pub fn new(now_ns: u64, has_dashboard: bool) -> Self {
        Self {
            state: State::Open,
            input: Vec::new(),
            used: 0,
            output: Output::default(),
            call: None,
            told_to_continue: false,
            manner: Manner { is_1_1: true, keep_alive: true, head_only: false },
            has_dashboard,
            deadline: now_ns + HEAD_TIME,
            requests: 0,
        }
    }

    /// When [`Connection::expire`] is due, in nanoseconds of the monotonic clock.
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Whether it waits for a request of which nothing has come yet.
    pub fn is_idle(&self) -> bool {
        self.state == State::Open && self.output.is_empty() && self.used == self.input.len()
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Bytes came.
    pub fn received(&mut self, bytes: &[u8], now_ns: u64) {
        match &mut self.state {
            State::Lingering { bytes: sum } => {
                *sum += bytes.len();
                if *sum > LINGER_BYTES {
                    self.state = State::Closed;
                }
            }
            State::Open | State::Asking { .. } => {
                if self.is_idle() {
                    self.deadline = now_ns + HEAD_TIME;
                }
                if self.used > 0 {
                    self.input.drain(..self.used);
                    self.used = 0;
                }
                self.input.extend_from_slice(bytes);
            }
            _ => {}
        }
    }

    /// The peer will send nothing more.
    pub fn ended(&mut self) {
        self.state = match self.state {
            // What it asked for it may still read.
            State::Open if !self.output.is_empty() => State::Ending { lingers: false },
            State::Asking { .. } => {
                self.manner.keep_alive = false;
                return;
            }
            _ => State::Closed,
        };
    }

    /// The deadline has come.
    pub fn expire(&mut self, date: &str, now_ns: u64) {
        if self.state == State::Open && self.output.is_empty() && self.used < self.input.len() {
            self.refuse(Status::REQUEST_TIMEOUT, date);
            self.deadline = now_ns + SEND_TIME;
        } else {
            self.state = State::Closed;
        }
    }

    /// What is to be done next.
    pub fn step<D: Folder<File = F>>(&mut self, site: &mut Site<D>) -> Step {
        if self.state == State::Closed {
            return Step::Close;
        }
        while self.state == State::Open && self.used < self.input.len() && self.output.len() < MOST_PIECES {
            if !self.take_request(site) {
                break;
            }
        }
        if let Some(call) = self.call.take() {
            self.deadline = site.now_ns() + SEND_TIME;
            return Step::Ask(call);
        }
        if !self.output.is_empty() {
            return Step::Write;
        }
        match self.state {
            State::Open => Step::Read,
            State::Asking { .. } | State::Watching { .. } => Step::Watch,
            State::Ending { lingers: true } => Step::Finish,
            State::Lingering { .. } => Step::Read,
            State::Ending { lingers: false } | State::Closed => Step::Close,
        }
    }

    /// The bytes to write. If a file ends before its time, so does the connection.
    pub fn output<'a, D: Folder<File = F>>(&'a mut self, site: &'a mut Site<D>) -> &'a [u8] {
        match self.output.bytes(site) {
            Ok(bytes) => bytes,
            Err(Broken) => {
                self.state = State::Closed;
                &[]
            }
        }
    }

    /// So many of them were written.
    pub fn sent(&mut self, count: usize, now_ns: u64) {
        self.output.sent(count);
        if !self.output.is_empty() {
            self.deadline += count as u64 * BYTE_TIME;
        } else if self.used == self.input.len() {
            self.rest(now_ns);
        } else {
            self.deadline = now_ns + HEAD_TIME;
        }
    }

    /// Between two requests, or two events.
    fn rest(&mut self, now_ns: u64) {
        self.deadline = match self.state {
            State::Watching { .. } => u64::MAX,
            _ => now_ns + IDLE_TIME,
        };
        if self.input.capacity() > 1024 {
            self.input = Vec::new();
        } else {
            self.input.clear();
        }
        self.used = 0;
    }

    /// [`Step::Finish`] was done.
    pub fn finished(&mut self, now_ns: u64) {
        self.state = State::Lingering { bytes: 0 };
        self.deadline = now_ns + LINGER_TIME;
    }

    /// Takes one request from the input, if it is all there, and sets about its answer.
    fn take_request<D: Folder<File = F>>(&mut self, site: &mut Site<D>) -> bool {
        let input = core::mem::take(&mut self.input);
        let taken = self.answer_first(&input[self.used..], site);
        self.input = input;
        match taken {
            Ok(Some(length)) => {
                self.used += length;
                self.requests += 1;
                self.deadline = site.now_ns() + SEND_TIME;
                true
            }
            Ok(None) => false,
            Err(status) => {
                self.requests += 1;
                self.deadline = site.now_ns() + SEND_TIME;
                self.refuse(status, site.date());
                false
            }
        }
    }

    /// Answers the first request; returns its length.
    fn answer_first<D: Folder<File = F>>(&mut self, bytes: &[u8], site: &mut Site<D>) -> Result<Option<usize>, Status> {
        let Some((head, request)) = request::parse(bytes)? else { return Ok(None) };
        let (body, ended) = Unread::new(request.body).take(&bytes[head..])?;
        if !ended {
            if request.expects_continue && bytes.len() == head && !core::mem::replace(&mut self.told_to_continue, true)
            {
                self.output.push(Piece::Fixed(b"HTTP/1.1 100 Continue\r\n\r\n"));
            }
            return if bytes.len() > MOST_INPUT { Err(Status::CONTENT_TOO_LARGE) } else { Ok(None) };
        }
        self.told_to_continue = false;
        self.manner = Manner {
            is_1_1: request.is_1_1,
            keep_alive: request.keep_alive,
            head_only: request.method == Method::Head,
        };
        self.answer_request(&request, site);
        if !self.manner.keep_alive && self.state == State::Open {
            self.state = State::Ending { lingers: bytes.len() > head + body };
        }
        Ok(Some(head + body))
    }

    fn answer_request<D: Folder<File = F>>(&mut self, request: &Request<'_>, site: &mut Site<D>) {
        if request.method == Method::Options && request.target == "*" {
            return self.put_empty(Status::NO_CONTENT, "Allow: GET, HEAD, POST, OPTIONS\r\n", site.date());
        }
        let Some(path) = target::path(request.target) else {
            return self.put_sentence(Status::BAD_REQUEST, "", site.date());
        };
        if self.has_dashboard {
            match calls::of_request(request, &path) {
                Ok(None) => {}
                Ok(Some(call)) => {
                    self.call = Some(call);
                    self.state = State::Asking { head_only: self.manner.head_only };
                    return;
                }
                Err(Refused::Status(status)) => return self.put_sentence(status, "", site.date()),
                Err(Refused::Method(methods)) => return self.put_allowed(request, methods, site.date()),
            }
        }
        if !matches!(request.method, Method::Get | Method::Head) {
            return self.put_allowed(request, "GET, HEAD", site.date());
        }
        match site.find(&path) {
            Ok(Found::Kept(kept)) => self.put_kept(request, kept, site.date()),
            Ok(Found::File(file, meta)) => self.put_file(request, file, &meta, site.date()),
            Ok(Found::Directory) => self.put_listing(&path, site),
            Ok(Found::NeedsSlash) => {
                let mut location = Vec::from(b"Location: ".as_slice());
                target::encode(&path, &mut location);
                location.extend_from_slice(b"/\r\n");
                let location = String::from_utf8(location).unwrap_or_default();
                self.put_sentence(Status::MOVED_PERMANENTLY, &location, site.date());
            }
            Err(FolderError::NotFound) => self.put_sentence(Status::NOT_FOUND, "", site.date()),
            Err(FolderError::Forbidden) => self.put_sentence(Status::FORBIDDEN, "", site.date()),
            Err(FolderError::Unavailable) => {
                self.put_sentence(Status::UNAVAILABLE, "Retry-After: 1\r\n", site.date());
            }
        }
    }

    /// The dashboard's answer.
    pub fn answer(&mut self, reply: Reply, date: &str, now_ns: u64) {
        let State::Asking { head_only } = self.state else { return };
        let mut head = self.head(reply.status, date);
        let _ = write!(
            head,
            "Content-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
            reply.media,
            reply.body.len()
        );
        if reply.media == media::HTML {
            head.push_str(PAGE_FIELDS);
        }
        self.put_head(head);
        if !head_only {
            self.output.push(Piece::Shared(reply.body));
        }
        self.answered(now_ns);
    }

    fn answered(&mut self, now_ns: u64) {
        self.deadline = now_ns + SEND_TIME;
        let lingers = self.used < self.input.len();
        self.state = if self.manner.keep_alive { State::Open } else { State::Ending { lingers } };
    }

    /// The dashboard has events: from now on [`Connection::event`] sends them.
    pub fn answer_with_events(&mut self, date: &str, now_ns: u64) {
        let State::Asking { head_only } = self.state else { return };
        let chunked = self.manner.is_1_1;
        self.manner.keep_alive &= chunked;
        let mut head = self.head(Status::OK, date);
        let _ = write!(head, "Content-Type: {}\r\nCache-Control: no-store\r\n", media::EVENTS);
        if chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        }
        self.put_head(head);
        self.answered(now_ns);
        if !head_only {
            self.state = State::Watching { chunked };
        }
    }

    /// Sends an event: its bytes as they are in the stream. Whoever has not taken the last one yet does without this one.
    pub fn event(&mut self, bytes: &Arc<[u8]>, now_ns: u64) {
        let State::Watching { chunked } = self.state else { return };
        if !self.output.is_empty() {
            return;
        }
        self.deadline = now_ns + SEND_TIME;
        if chunked {
            self.output.push(Piece::Own(format!("{:x}\r\n", bytes.len()).into_bytes()));
        }
        self.output.push(Piece::Shared(bytes.clone()));
        if chunked {
            self.output.push(Piece::Fixed(b"\r\n"));
        }
    }
}

/// Fields of the page: it needs nothing from elsewhere, is framed by nobody, and tells nobody its address.
const PAGE_FIELDS: &str = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n";

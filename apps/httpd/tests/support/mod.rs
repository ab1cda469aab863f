//! A folder in memory, and a peer that is connected by nothing but memory.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use motte_httpd::calls::{Call, Reply};
use motte_httpd::connection::{Connection, Step};
use motte_httpd::folder::{Entry, Folder, FolderError, Info};
use motte_httpd::site::Site;
use motte_httpd::status::Status;

/// Seconds since 1970 when the monotonic clock shows 0.
pub const EPOCH: u64 = 1_700_000_000;

#[derive(Default)]
pub struct Memory {
    pub files: BTreeMap<String, (Vec<u8>, i64)>,
    /// Attributes asked for, files opened.
    pub looks: usize,
    pub opens: usize,
    pub fails: bool,
}

impl Memory {
    pub fn put(&mut self, path: &str, contents: &[u8], modified: i64) {
        self.files.insert(path.into(), (contents.to_vec(), modified));
    }

    fn is_directory(&self, path: &str) -> bool {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        self.files.keys().any(|file| file.starts_with(&prefix))
    }

    fn of(&self, path: &str) -> Result<Info, FolderError> {
        if self.fails {
            return Err(FolderError::Unavailable);
        }
        if self.is_directory(path) {
            return Ok(Info { is_directory: true, size: 0, modified: 0, changed: 0, inode: 1 });
        }
        let (contents, modified) = self.files.get(path).ok_or(FolderError::NotFound)?;
        Ok(Info { is_directory: false, size: contents.len() as u64, modified: *modified, changed: *modified, inode: 2 })
    }
}

impl Folder for Memory {
    type File = String;

    fn info(&mut self, path: &str) -> Result<Info, FolderError> {
        self.looks += 1;
        self.of(path)
    }

    fn open(&mut self, path: &str) -> Result<(String, Info), FolderError> {
        self.opens += 1;
        Ok((path.into(), self.of(path)?))
    }

    fn read(&mut self, file: &mut String, at: u64, into: &mut [u8]) -> Result<usize, FolderError> {
        let (contents, _) = self.files.get(file).ok_or(FolderError::NotFound)?;
        let rest = &contents[(at as usize).min(contents.len())..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn list(&mut self, path: &str, most: usize) -> Result<(Vec<Entry>, bool), FolderError> {
        let mut entries = BTreeMap::new();
        for name in self.files.keys().filter_map(|file| file.strip_prefix(path)) {
            match name.split_once('/') {
                Some((directory, _)) => entries.insert(directory.to_owned(), true),
                None => entries.insert(name.to_owned(), false),
            };
        }
        let more = entries.len() > most;
        let entry = |(name, is_directory)| Entry { name, is_directory };
        Ok((entries.into_iter().map(entry).take(most).collect(), more))
    }
}

/// A site with a few files.
pub fn site() -> Site<Memory> {
    let mut memory = Memory::default();
    let long = EPOCH as i64 - 1000;
    memory.put("/index.html", b"<h1>index</h1>", long);
    memory.put("/hello.txt", b"hello, world", long);
    memory.put("/empty", b"", long);
    memory.put("/docs/a.css", b"a{}", long);
    memory.put("/docs/b <&>.txt", b"b", long);
    memory.put("/docs/sub/index.html", b"sub", long);
    memory.put("/large.bin", &(0..300_000u32).flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>()[..300_000], long);
    let mut site = Site::new(memory, 1 << 20, EPOCH * 1_000_000_000);
    site.set_time(0);
    site
}

/// A client of one connection.
pub struct Peer {
    pub connection: Connection<String>,
    pub sent: Vec<u8>,
    pub closed: bool,
    pub finished: bool,
    pub calls: Vec<Call>,
    /// Bytes that the peer takes of each write.
    pub takes: usize,
}

impl Peer {
    pub fn new(has_dashboard: bool) -> Self {
        let connection = Connection::new(0, has_dashboard);
        Self { connection, sent: Vec::new(), closed: false, finished: false, calls: Vec::new(), takes: usize::MAX }
    }

    /// Has the connection do all it can.
    pub fn run(&mut self, site: &mut Site<Memory>) {
        loop {
            match self.connection.step(site) {
                Step::Write => {
                    let now = site.now_ns();
                    let bytes = self.connection.output(site);
                    let count = bytes.len().min(self.takes);
                    self.sent.extend_from_slice(&bytes[..count]);
                    self.connection.sent(count, now);
                }
                Step::Ask(Call::Events) => self.connection.answer_with_events("DATE", site.now_ns()),
                Step::Ask(call) => {
                    self.calls.push(call.clone());
                    let reply = Reply::sentence(Status::OK, &format!("{call:?}"));
                    self.connection.answer(reply, "DATE", site.now_ns());
                }
                Step::Read | Step::Watch => return,
                Step::Finish => {
                    self.finished = true;
                    self.connection.finished(site.now_ns());
                }
                Step::Close => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    pub fn send(&mut self, bytes: &[u8], site: &mut Site<Memory>) {
        self.connection.received(bytes, site.now_ns());
        self.run(site);
    }
}

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Takes answers apart, strictly. `heads_only` are the numbers of those that have no body whatever they say.
pub fn answers(mut bytes: &[u8], heads_only: &[usize]) -> Vec<Answer> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head's end");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).expect(first);
        let fields: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).expect(line))
            .collect();
        let mut answer = Answer { status, fields, body: Vec::new() };
        if heads_only.contains(&all.len()) || matches!(status, 100 | 204 | 304) {
        } else if answer.field("Transfer-Encoding") == Some("chunked") {
            loop {
                let line = bytes.windows(2).position(|two| two == b"\r\n").expect("a chunk's size");
                let size =
                    usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).expect("hexadecimal");
                bytes = &bytes[line + 2..];
                answer.body.extend_from_slice(&bytes[..size]);
                assert_eq!(&bytes[size..size + 2], b"\r\n");
                bytes = &bytes[size + 2..];
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.field("Content-Length") {
            let length: usize = length.parse().unwrap();
            answer.body = bytes[..length].to_vec();
            bytes = &bytes[length..];
        } else {
            answer.body = bytes.to_vec();
            bytes = &[];
        }
        all.push(answer);
    }
    all
}

/// One request, and the answer to it.
pub fn ask(site: &mut Site<Memory>, request: &str) -> Answer {
    let mut peer = Peer::new(false);
    peer.send(request.as_bytes(), site);
    let heads: &[usize] = if request.starts_with("HEAD") { &[0] } else { &[] };
    let mut all = answers(&peer.sent, heads);
    assert_eq!(all.len(), 1, "{request}");
    all.remove(0)
}

/// A request for a path, with further fields.
pub fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

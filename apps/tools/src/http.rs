//! What a client needs of HTTP/1.1: addresses, and answers taken apart as they come (RFC 9110, RFC 9112).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::sys::io::{self, Error, ErrorKind, Read};

/// The most bytes of an answer's head.
const MOST_HEAD: usize = 64 * 1024;
/// The most fields in it.
const MOST_FIELDS: usize = 100;
/// The most bytes of a line between chunks.
const MOST_LINE: usize = 4096;

/// An address such as `http://example.org:8080/a/b?c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Name or address of the server; an address of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What to ask for, with the leading `/`.
    pub path: String,
}

impl Url {
    /// Reads an address; `http://` may be left out. Else why it cannot be used, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => return Err("there is no encryption here yet; only http:// can be fetched"),
            Some(_) => return Err("only http:// can be fetched"),
            None => text,
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a name and a password in an address are not sent");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("a ']' is missing")?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 80,
            Some("") => 80,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("its port is no number from 1 to 65535")?,
            None => return Err("what follows the ']' is no port"),
        };
        if host.is_empty() {
            return Err("it names no server");
        }
        if rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err("it has blanks or control characters in it");
        }
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Self { host: host.to_string(), port, path })
    }

    /// Where a redirection leads from here.
    pub fn join(&self, location: &str) -> Result<Self, &'static str> {
        if location.contains("://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(rest);
        }
        let own = self.path.split('?').next().unwrap_or("/");
        let path = match location.chars().next() {
            Some('/') => location.to_string(),
            Some('?') => format!("{own}{location}"),
            _ => format!("{}/{location}", own.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Self::parse(&format!("http://{}{path}", self.authority()))
    }

    /// Server and port as they are named to the server.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// What a file is to be called that is fetched from here.
    pub fn file_name(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or("");
        match path.rsplit('/').next() {
            Some(name) if !name.is_empty() && name != "." && name != ".." => name,
            _ => "index.html",
        }
    }
}

/// An answer's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// What the server says of it.
    pub reason: String,
    /// Fields, with names in small letters.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes are left of this chunk; the flag tells whether a line end is due before the next.
    Chunk(u64, bool),
    /// It ends with the connection.
    Close,
    /// It is over.
    Over,
}

/// An answer that is read from a connection.
pub struct Answer<R> {
    /// Its head.
    pub head: Head,
    input: R,
    /// Bytes that came with the head.
    early: Vec<u8>,
    body: Body,
}

fn bad(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

impl<R: Read> Answer<R> {
    /// Reads the head of the answer to a request; to `HEAD`, no body follows.
    pub fn read(mut input: R, to_head: bool) -> io::Result<Self> {
        let mut early = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = input.read(&mut piece)?;
            if count == 0 {
                return Err(match early.is_empty() {
                    true => Error::new(ErrorKind::UnexpectedEof, "the server closed the connection without an answer"),
                    false => Error::new(ErrorKind::UnexpectedEof, "the server's answer breaks off in its head"),
                });
            }
            early.extend_from_slice(&piece[..count]);
            while let Some((head, length)) = parse_head(&early)? {
                early.drain(..length);
                // Answers of the hundreds come before the one that counts.
                if head.status >= 200 {
                    let body = if to_head { Body::Over } else { body_of(&head)? };
                    return Ok(Self { head, input, early, body });
                }
            }
            if early.len() > MOST_HEAD {
                return Err(bad("the head of the server's answer is too long"));
            }
        }
    }

    /// Bytes of the body, where the server said so.
    pub fn length(&self) -> Option<u64> {
        if let Body::Length(length) = self.body { Some(length) } else { None }
    }

    fn raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.early.is_empty() {
            return self.input.read(buffer);
        }
        let count = self.early.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.early[..count]);
        self.early.drain(..count);
        Ok(count)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            if self.raw(&mut byte)? == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the answer breaks off between two chunks"));
            }
            if byte[0] == b'\n' {
                break;
            }
            line.push(byte[0]);
            if line.len() > MOST_LINE {
                return Err(bad("a line between two chunks is too long"));
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(|_| bad("a line between two chunks is no text"))
    }

    /// Goes on to the next chunk.
    fn next_chunk(&mut self, line_is_due: bool) -> io::Result<()> {
        if line_is_due && !self.line()?.is_empty() {
            return Err(bad("a chunk is longer than it says"));
        }
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or("").trim();
        let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| digits);
        match size.ok_or_else(|| bad("the size of a chunk is no number"))? {
            0 => {
                // Fields may follow the last chunk.
                while !self.line()?.is_empty() {}
                self.body = Body::Over;
            }
            size => self.body = Body::Chunk(size, true),
        }
        Ok(())
    }
}

impl<R: Read> Read for Answer<R> {
    /// The next bytes of the body; 0 at its end. A body that breaks off is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Body::Chunk(0, line_is_due) = self.body {
            self.next_chunk(line_is_due)?;
        }
        let left = match self.body {
            Body::Over | Body::Length(0) => return Ok(0),
            Body::Close => return self.raw(buffer),
            Body::Length(left) | Body::Chunk(left, _) => left,
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.raw(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                format!("{left} bytes before its end the answer breaks off"),
            ));
        }
        if let Body::Length(left) | Body::Chunk(left, _) = &mut self.body {
            *left -= count as u64;
        }
        Ok(count)
    }
}

/// The head at the start of `bytes` and its length; `None` if it is not whole yet.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|error| bad(&format!("the server's answer is not HTTP: {error}")))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let fields = response
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).trim().to_string()));
    let head = Head {
        status: response.code.unwrap_or(0),
        reason: response.reason.unwrap_or("").to_string(),
        fields: fields.collect(),
    };
    Ok(Some((head, length)))
}

fn body_of(head: &Head) -> io::Result<Body> {
    if matches!(head.status, 204 | 304) {
        return Ok(Body::Over);
    }
    if let Some(coding) = head.field("transfer-encoding") {
        return match coding.eq_ignore_ascii_case("chunked") {
            true => Ok(Body::Chunk(0, false)),
            false => Err(bad(&format!("the server encodes its answer as '{coding}', which is not known here"))),
        };
    }
    match head.field("content-length") {
        None => Ok(Body::Close),
        Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Body::Length(length.parse().map_err(|_| bad("the length of the answer is no number"))?))
        }
        Some(_) => Err(bad("the length of the answer is no number")),
    }
}

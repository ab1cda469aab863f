//! A request's head: parsed by httparse, then held against what would let two readers see two different requests (RFC 9112, section 6.3
//! and 11.2). What is doubtful is refused.

use core::mem::MaybeUninit;

use crate::status::Status;

/// The most bytes of a head.
pub const MOST_HEAD: usize = 8192;
/// The most fields of a head.
pub const MOST_FIELDS: usize = 64;
/// The most bytes of a body. Nothing here uses one.
pub const MOST_BODY: u64 = 4096;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 9110")]
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    /// One that nothing here takes.
    Other,
}

/// How the body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes, or none.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// A request, without its body.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method,
    /// To what.
    pub target: &'a str,
    /// HTTP/1.1, not 1.0.
    pub is_1_1: bool,
    /// Whether the connection stays open.
    pub keep_alive: bool,
    /// The body.
    pub body: Body,
    /// Whether the client waits to be told before it sends the body.
    pub expects_continue: bool,
    /// `Range`.
    pub range: Option<&'a str>,
    /// `If-Range`.
    pub if_range: Option<&'a str>,
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a str>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a str>,
    /// What stands behind `Bearer` in `Authorization`.
    pub token: Option<&'a str>,
}

/// Reads a head. `Ok(None)`: it is not all there yet; else how many bytes it takes.
pub fn parse(bytes: &[u8]) -> Result<Option<(usize, Request<'_>)>, Status> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let length = match head.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MOST_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MOST_HEAD => return Ok(None),
        Ok(_) if !bytes[..MOST_HEAD.min(bytes.len())].contains(&b'\n') => return Err(Status::URI_TOO_LONG),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Status::HEADER_TOO_LARGE),
        Err(httparse::Error::Version) => return Err(Status::VERSION_NOT_SUPPORTED),
        Err(_) => return Err(Status::BAD_REQUEST),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Err(Status::BAD_REQUEST);
    };
    let mut request = Request {
        method: match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            "PUT" | "DELETE" | "PATCH" | "TRACE" | "CONNECT" => Method::Other,
            _ => return Err(Status::NOT_IMPLEMENTED),
        },
        target,
        is_1_1: version == 1,
        keep_alive: version == 1,
        body: Body::Length(0),
        expects_continue: false,
        range: None,
        if_range: None,
        if_match: None,
        if_none_match: None,
        if_modified_since: None,
        if_unmodified_since: None,
        token: None,
    };
    request.read_fields(head.headers)?;
    Ok(Some((length, request)))
}

impl<'a> Request<'a> {
    fn read_fields(&mut self, fields: &[httparse::Header<'a>]) -> Result<(), Status> {
        let (mut hosts, mut length, mut coding) = (0, None, None);
        for field in fields {
            let value = || core::str::from_utf8(field.value).map(str::trim).map_err(|_| Status::BAD_REQUEST);
            // By the length first: most fields are none of these.
            match field.name.len() {
                4 if is(field, "host") => hosts += 1,
                5 if is(field, "range") => once(&mut self.range, value()?)?,
                6 if is(field, "expect") => {
                    if !value()?.eq_ignore_ascii_case("100-continue") {
                        return Err(Status::EXPECTATION_FAILED);
                    }
                    self.expects_continue = self.is_1_1;
                }
                8 if is(field, "if-range") => once(&mut self.if_range, value()?)?,
                8 if is(field, "if-match") => once(&mut self.if_match, value()?)?,
                10 if is(field, "connection") => {
                    for option in value()?.split(',').map(str::trim) {
                        if option.eq_ignore_ascii_case("close") {
                            self.keep_alive = false;
                        } else if option.eq_ignore_ascii_case("keep-alive") && !self.is_1_1 {
                            self.keep_alive = true;
                        }
                    }
                }
                13 if is(field, "if-none-match") => once(&mut self.if_none_match, value()?)?,
                13 if is(field, "authorization") => {
                    let value = value()?;
                    self.token = value
                        .split_once(' ')
                        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                        .map(|(_, token)| token.trim());
                }
                14 if is(field, "content-length") => once(&mut length, value()?)?,
                17 if is(field, "transfer-encoding") => once(&mut coding, value()?)?,
                17 if is(field, "if-modified-since") => once(&mut self.if_modified_since, value()?)?,
                19 if is(field, "if-unmodified-since") => once(&mut self.if_unmodified_since, value()?)?,
                _ => {}
            }
        }
        if hosts > 1 || hosts == 0 && self.is_1_1 {
            return Err(Status::BAD_REQUEST);
        }
        self.body = match (length, coding) {
            (None, None) => Body::Length(0),
            // Two lengths, or a coding that only one of two readers knows: somebody else may see another end of this request.
            (Some(_), Some(_)) => return Err(Status::BAD_REQUEST),
            (None, Some(_)) if !self.is_1_1 => return Err(Status::BAD_REQUEST),
            (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Body::Chunked,
            (None, Some(_)) => return Err(Status::NOT_IMPLEMENTED),
            (Some(length), None) => {
                if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Status::BAD_REQUEST);
                }
                match length.parse() {
                    Ok(length) if length <= MOST_BODY => Body::Length(length),
                    _ => return Err(Status::CONTENT_TOO_LARGE),
                }
            }
        };
        Ok(())
    }
}

fn is(field: &httparse::Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// Takes a value that may be given once.
fn once<'a>(place: &mut Option<&'a str>, value: &'a str) -> Result<(), Status> {
    if place.replace(value).is_some() { Err(Status::BAD_REQUEST) } else { Ok(()) }
}

/// A chunked body as it arrives: it is checked and thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// So many bytes are still to come.
    Bytes(u64),
    /// The next chunk's size, or the end; so many bytes came so far.
    ChunkSize(u64),
    /// Of a chunk and of the line end behind it, so many bytes are still to come; and so many bytes came so far.
    Chunk(u64, u64),
    /// The lines behind the last chunk, of so many bytes so far.
    Trailer(usize),
}

impl Unread {
    /// What is to be read of a body.
    pub fn new(body: Body) -> Self {
        match body {
            Body::Length(length) => Self::Bytes(length),
            Body::Chunked => Self::ChunkSize(0),
        }
    }

    /// Takes bytes of the body; returns how many, and whether it has ended.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Status> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match *self {
                Self::Bytes(0) => return Ok((at, true)),
                Self::Bytes(left) => {
                    let count = left.min(rest.len() as u64);
                    at += count as usize;
                    *self = Self::Bytes(left - count);
                    if left > count {
                        return Ok((at, false));
                    }
                }
                Self::ChunkSize(sum) => match httparse::parse_chunk_size(rest) {
                    Ok(httparse::Status::Partial) if rest.len() > 256 => return Err(Status::BAD_REQUEST),
                    Ok(httparse::Status::Partial) => return Ok((at, false)),
                    Ok(httparse::Status::Complete((line, 0))) => {
                        at += line;
                        *self = Self::Trailer(0);
                    }
                    Ok(httparse::Status::Complete((line, size))) => {
                        at += line;
                        let sum = sum.saturating_add(size);
                        if sum > MOST_BODY {
                            return Err(Status::CONTENT_TOO_LARGE);
                        }
                        *self = Self::Chunk(size + 2, sum);
                    }
                    Err(_) => return Err(Status::BAD_REQUEST),
                },
                Self::Chunk(left, sum) => {
                    let Some(&byte) = rest.first() else { return Ok((at, false)) };
                    let count = match left {
                        2 if byte != b'\r' => return Err(Status::BAD_REQUEST),
                        1 if byte != b'\n' => return Err(Status::BAD_REQUEST),
                        1 | 2 => 1,
                        more => (more - 2).min(rest.len() as u64),
                    };
                    at += count as usize;
                    *self = if left == count { Self::ChunkSize(sum) } else { Self::Chunk(left - count, sum) };
                }
                Self::Trailer(seen) => {
                    let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                        return if seen + rest.len() > MOST_HEAD {
                            Err(Status::HEADER_TOO_LARGE)
                        } else {
                            Ok((at, false))
                        };
                    };
                    at += end + 1;
                    if matches!(&rest[..end], b"" | b"\r") {
                        *self = Self::Bytes(0);
                    } else if seen + end > MOST_HEAD {
                        return Err(Status::HEADER_TOO_LARGE);
                    } else {
                        *self = Self::Trailer(seen + end + 1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn refused(head: &str) -> Option<u16> {
        parse(head.as_bytes()).err().map(|status| status.0)
    }

    #[test]
    fn shapes_that_two_readers_may_read_differently_are_refused() {
        for (fields, status) in [
            ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
            ("Content-Length: 3\r\nContent-Length: 4", 400),
            ("Content-Length: 3\r\nContent-Length: 3", 400),
            ("Content-Length: 3, 3", 400),
            ("Content-Length: +3", 400),
            ("Content-Length: 0x3", 400),
            ("Content-Length: -1", 400),
            ("Content-Length:", 400),
            ("Content-Length: 99999999999999999999999999", 413),
            ("Content-Length: 4097", 413),
            ("Content-Length : 3", 400),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding: xchunked", 501),
            ("Transfer-Encoding:\x0bchunked", 400),
            ("Transfer-Encoding: identity", 501),
            ("X: 1\r\n folded: 2", 400),
            ("Host: other", 400),
            ("Range: bytes=0-1\r\nRange: bytes=2-3", 400),
            ("X\0Y: 1", 400),
            ("X: \0", 400),
            ("Expect: magic", 417),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
            assert_eq!(refused(&head), Some(status), "{fields}");
        }
        assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(400));
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Some(400), "no host");
    }

    #[test]
    fn what_is_too_large_unknown_or_of_another_version_has_its_status() {
        assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000))), Some(414));
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "a".repeat(9000))), Some(431));
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(9000))), Some(431));
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65))), Some(431));
        assert_eq!(refused("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), Some(501));
        assert_eq!(refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), Some(505));
        assert_eq!(refused("\x16\x03\x01\x02\0\x01"), Some(400), "TLS");
        assert_eq!(refused("GET /\r\n"), Some(400), "HTTP/0.9");
    }

    #[test]
    fn a_connection_stays_open_as_the_version_and_the_client_say() {
        for (head, open) in [
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ] {
            let (length, request) = parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!((length, request.keep_alive), (head.len(), open), "{head}");
        }
    }

    #[test]
    fn a_body_in_chunks_ends_where_it_ends_however_it_arrives() {
        let body = b"3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET";
        for step in 1..body.len() {
            let (mut unread, mut from, mut to) = (Unread::new(Body::Chunked), 0, 0);
            let end = loop {
                to = (to + step).min(body.len());
                let (count, ended) = unread.take(&body[from..to]).unwrap();
                from += count;
                if ended {
                    break from;
                }
            };
            assert_eq!(&body[end..], b"GET", "step {step}");
        }
        for (wrong, status) in [("x\r\n", 400), ("3\r\nabcd\r\n", 400), ("3\r\nabc\rX", 400), ("FFFFFF\r\n", 413)] {
            assert_eq!(Unread::new(Body::Chunked).take(wrong.as_bytes()).unwrap_err().0, status, "{wrong}");
        }
    }
}

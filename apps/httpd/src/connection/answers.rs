//! Answers: heads, files and parts of them, listings, and sentences for people.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write;
use core::ops::Range;

use super::{Connection, Manner, State};
use crate::conditions::{self, Verdict};
use crate::folder::Folder;
use crate::media;
use crate::output::{LAST_CHUNK, Piece, chunk, escaped};
use crate::range::{self, Wanted};
use crate::request::{Method, Request};
use crate::site::{Kept, Meta, Site};
use crate::status::Status;

/// Names in a listing, at the most.
const MOST_LISTED: usize = 1000;

impl<F> Connection<F> {
    pub(super) fn put_allowed(&mut self, request: &Request<'_>, methods: &str, date: &str) {
        let field = format!("Allow: {methods}, OPTIONS\r\n");
        match request.method {
            Method::Options => self.put_empty(Status::NO_CONTENT, &field, date),
            _ => self.put_sentence(Status::METHOD_NOT_ALLOWED, &field, date),
        }
    }

    /// A head up to its last field.
    pub(super) fn head(&self, status: Status, date: &str) -> String {
        let mut head = String::with_capacity(320);
        let _ = write!(head, "HTTP/1.1 {} {}\r\nDate: {date}\r\n", status.0, status.phrase());
        match self.manner {
            Manner { keep_alive: false, .. } => head.push_str("Connection: close\r\n"),
            Manner { is_1_1: false, .. } => head.push_str("Connection: keep-alive\r\n"),
            _ => {}
        }
        head
    }

    pub(super) fn put_head(&mut self, mut head: String) {
        head.push_str("\r\n");
        self.output.push(Piece::Own(head.into_bytes()));
    }

    /// An answer without a body.
    pub(super) fn put_empty(&mut self, status: Status, fields: &str, date: &str) {
        let mut head = self.head(status, date);
        head.push_str(fields);
        self.put_head(head);
    }

    /// An answer that is a sentence for a person.
    pub(super) fn put_sentence(&mut self, status: Status, fields: &str, date: &str) {
        let body = format!("{} {}: {}\n", status.0, status.phrase(), status.sentence());
        let mut head = self.head(status, date);
        let _ = write!(head, "{fields}Content-Type: {}\r\nContent-Length: {}\r\n\r\n", media::TEXT, body.len());
        if !self.manner.head_only {
            head.push_str(&body);
        }
        self.output.push(Piece::Own(head.into_bytes()));
    }

    /// Answers what is no request, or too much of one, and ends.
    pub(super) fn refuse(&mut self, status: Status, date: &str) {
        self.manner = Manner { is_1_1: true, keep_alive: false, head_only: false };
        self.put_sentence(status, "", date);
        self.state = State::Ending { lingers: true };
    }

    /// Whether the file is to be sent, and then which parts of it. Else the answer is given.
    pub(super) fn judge(&mut self, request: &Request<'_>, meta: &Meta, date: &str) -> Option<Wanted> {
        match conditions::verdict(request, meta) {
            Verdict::NotModified => {
                let mut head = self.head(Status::NOT_MODIFIED, date);
                meta.put_fields(&mut head);
                self.put_head(head);
                return None;
            }
            Verdict::Failed => {
                self.put_sentence(Status::PRECONDITION_FAILED, "", date);
                return None;
            }
            Verdict::Send => {}
        }
        let wanted = match request.range {
            Some(header) if !self.manner.head_only && conditions::allow_part(request, meta) => {
                range::parse(header, meta.size)
            }
            _ => Wanted::All,
        };
        if wanted == Wanted::Nothing {
            let field = format!("Content-Range: bytes */{}\r\n", meta.size);
            self.put_sentence(Status::RANGE_NOT_SATISFIABLE, &field, date);
            return None;
        }
        Some(wanted)
    }

    pub(super) fn put_kept(&mut self, request: &Request<'_>, kept: Rc<Kept>, date: &str) {
        let conditional = request.range.or(request.if_none_match).or(request.if_modified_since);
        let conditional = conditional.or(request.if_match).or(request.if_unmodified_since).is_some();
        if !conditional && self.manner.keep_alive && self.manner.is_1_1 {
            // As nearly always: the answer lies ready.
            let end = if self.manner.head_only { kept.head } else { kept.bytes.len() };
            return self.output.push(Piece::Kept(kept, 0..end));
        }
        let Some(wanted) = self.judge(request, &kept.meta, date) else { return };
        let contents = kept.head;
        let meta = kept.meta.clone();
        self.put_parts(&meta, wanted, date, |part| {
            Piece::Kept(kept.clone(), contents + part.start as usize..contents + part.end as usize)
        });
    }

    pub(super) fn put_file(&mut self, request: &Request<'_>, file: F, meta: &Meta, date: &str) {
        let Some(wanted) = self.judge(request, meta, date) else { return };
        let file = Rc::new(RefCell::new(file));
        self.put_parts(meta, wanted, date, |part| Piece::File(file.clone(), part));
    }

    /// A file, or parts of it, which `piece` makes pieces of.
    pub(super) fn put_parts(
        &mut self,
        meta: &Meta,
        wanted: Wanted,
        date: &str,
        piece: impl Fn(Range<u64>) -> Piece<F>,
    ) {
        match wanted {
            Wanted::All | Wanted::Nothing => {
                let mut head = self.head(Status::OK, date);
                let _ = write!(head, "Content-Length: {}\r\n", meta.size);
                meta.put_fields(&mut head);
                self.put_head(head);
                if !self.manner.head_only {
                    self.output.push(piece(0..meta.size));
                }
            }
            Wanted::Parts(parts) if parts.len() == 1 => {
                let Range { start, end } = parts[0];
                let mut head = self.head(Status::PARTIAL_CONTENT, date);
                let _ = write!(head, "Content-Range: bytes {start}-{}/{}\r\n", end - 1, meta.size);
                let _ = write!(head, "Content-Length: {}\r\n", end - start);
                meta.put_fields(&mut head);
                self.put_head(head);
                self.output.push(piece(start..end));
            }
            Wanted::Parts(parts) => {
                // Tags are made from the contents: text that has its own tag in it would be a rare thing.
                let tag: String = meta.tag.chars().filter(char::is_ascii_alphanumeric).collect();
                let boundary = format!("part-of-{tag}");
                let heads = parts.iter().map(|Range { start, end }| {
                    format!(
                        "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\r\n",
                        meta.media,
                        end - 1,
                        meta.size
                    )
                });
                let heads: Vec<String> = heads.collect();
                let end = format!("\r\n--{boundary}--\r\n");
                let lengths = heads.iter().zip(&parts);
                let length = lengths.map(|(head, part)| head.len() as u64 + part.end - part.start).sum::<u64>();
                let mut head = self.head(Status::PARTIAL_CONTENT, date);
                let _ = write!(head, "Content-Length: {}\r\n", length + end.len() as u64);
                let part = Meta { media: "", ..meta.clone() };
                let _ = write!(head, "Content-Type: multipart/byteranges; boundary={boundary}\r\n");
                let mut fields = String::new();
                part.put_fields(&mut fields);
                head.push_str(fields.trim_start_matches("Content-Type: \r\n"));
                self.put_head(head);
                for (head, part) in heads.into_iter().zip(parts) {
                    self.output.push(Piece::Own(head.into_bytes()));
                    self.output.push(piece(part));
                }
                self.output.push(Piece::Own(end.into_bytes()));
            }
        }
    }

    /// What lies in a directory.
    pub(super) fn put_listing<D: Folder<File = F>>(&mut self, path: &str, site: &mut Site<D>) {
        let (mut entries, more) = match site.folder.list(path, MOST_LISTED) {
            Ok(listed) => listed,
            Err(_) => return self.put_sentence(Status::UNAVAILABLE, "Retry-After: 1\r\n", site.date()),
        };
        entries.sort_by(|a, b| (!a.is_directory, &a.name).cmp(&(!b.is_directory, &b.name)));
        let chunked = self.manner.is_1_1;
        if !chunked {
            // Only the connection's end can say where the listing ends.
            self.manner.keep_alive = false;
        }
        let mut head = self.head(Status::OK, site.date());
        let _ = write!(head, "Content-Type: {}\r\nCache-Control: no-cache\r\n", media::HTML);
        if chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        }
        self.put_head(head);
        if self.manner.head_only {
            return;
        }
        let title = escaped(path);
        let top = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{title}</title>\n<style>:root {{ color-scheme: light dark }} body {{ font: 1rem/1.6 system-ui, sans-serif; \
             margin: 2rem }}</style>\n<h1>{title}</h1>\n<ul>\n{}",
            if path == "/" { "" } else { "<li><a href=\"../\">../</a></li>\n" }
        );
        let rest = if more { "<p>There is more than is listed.\n" } else { "" };
        let bottom = format!("</ul>\n{rest}</html>\n");
        let framed = |text: String| Piece::Own(if chunked { chunk(text.as_bytes()) } else { text.into_bytes() });
        self.output.push(framed(top));
        self.output.push(Piece::Listing(entries.into_iter(), chunked));
        self.output.push(framed(bottom));
        if chunked {
            self.output.push(Piece::Fixed(LAST_CHUNK));
        }
    }
}

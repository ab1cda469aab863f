//! Conditional requests (RFC 9110, section 13).

use crate::date;
use crate::request::Request;
use crate::site::Meta;

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file is to be sent.
    Send,
    /// The client has it.
    NotModified,
    /// It is not as the client wants it to be.
    Failed,
}

/// Evaluates the conditions in the order of section 13.2.2.
pub fn verdict(request: &Request<'_>, meta: &Meta) -> Verdict {
    let since = |text: &str| date::parse(text).map(|date| meta.modified <= date);
    let holds = match (request.if_match, request.if_unmodified_since) {
        (Some(tags), _) => matches(tags, &meta.tag, true),
        (None, Some(date)) => since(date).unwrap_or(true),
        (None, None) => true,
    };
    if !holds {
        return Verdict::Failed;
    }
    let unchanged = match (request.if_none_match, request.if_modified_since) {
        (Some(tags), _) => matches(tags, &meta.tag, false),
        (None, Some(date)) => since(date).unwrap_or(false),
        (None, None) => false,
    };
    if unchanged { Verdict::NotModified } else { Verdict::Send }
}

/// Whether a part of the file may be sent, as far as `If-Range` goes: only if the client's other parts are of the same file.
pub fn allow_part(request: &Request<'_>, meta: &Meta) -> bool {
    match request.if_range {
        None => true,
        Some(tag) if tag.starts_with('"') || tag.starts_with("W/") => matches(tag, &meta.tag, true),
        // A weak tag says that the file may have been changed in the very second of its date.
        Some(text) => !meta.tag.starts_with("W/") && date::parse(text) == Some(meta.modified),
    }
}

/// Whether a list of tags has one. By the strong comparison a weak tag is like no other.
fn matches(list: &str, tag: &str, strong: bool) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).len();
    let same = |candidate: &str| {
        let weak = candidate.starts_with("W/") || tag.starts_with("W/");
        !(strong && weak) && candidate[candidate.len() - opaque(candidate)..] == tag[tag.len() - opaque(tag)..]
    };
    list.trim() == "*" || list.split(',').any(|candidate| same(candidate.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::parse;

    fn meta(tag: &str) -> Meta {
        Meta { size: 1, modified: 784_111_777, tag: tag.into(), media: "" }
    }

    fn judge(fields: &str, tag: &str) -> Verdict {
        let head = alloc::format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        verdict(&parse(head.as_bytes()).unwrap().unwrap().1, &meta(tag))
    }

    #[test]
    fn tags_and_dates_decide_in_the_order_of_the_standard() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        use Verdict::{Failed, NotModified, Send};
        for (fields, expected) in [
            ("If-None-Match: \"a\"", NotModified),
            ("If-None-Match: W/\"a\"", NotModified),
            ("If-None-Match: \"b\", \"a\"", NotModified),
            ("If-None-Match: *", NotModified),
            ("If-None-Match: \"b\"", Send),
            ("If-None-Match: a", Send),
            ("If-Match: \"a\"", Send),
            ("If-Match: W/\"a\"", Failed),
            ("If-Match: \"b\"", Failed),
            (&alloc::format!("If-Modified-Since: {DATE}"), NotModified),
            (&alloc::format!("If-Modified-Since: {BEFORE}"), Send),
            (&alloc::format!("If-Unmodified-Since: {BEFORE}"), Failed),
            (&alloc::format!("If-None-Match: \"b\"\r\nIf-Modified-Since: {DATE}"), Send),
            (&alloc::format!("If-Match: \"a\"\r\nIf-Unmodified-Since: {BEFORE}"), Send),
            ("If-Modified-Since: yesterday", Send),
        ] {
            assert_eq!(judge(fields, "\"a\""), expected, "{fields}");
        }
        assert_eq!(judge("If-None-Match: \"a\"", "W/\"a\""), NotModified);
        assert_eq!(judge("If-Match: \"a\"", "W/\"a\""), Failed);
    }
}

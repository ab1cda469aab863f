//! From a request's target to a path in the folder.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// The path of a target in origin form or absolute form (RFC 9112, section 3.2), without its query. Decoded; it begins with a slash, has
/// no empty part, and none that is `.` or `..`. `None` if it is not one: what is left of dots by clients, which resolve them, is no
/// mistake.
pub fn path(target: &str) -> Option<Cow<'_, str>> {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            if !scheme.eq_ignore_ascii_case("http") {
                return None;
            }
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let path = &target[..target.find(['?', '#']).unwrap_or(target.len())];
    if !path.starts_with('/') {
        return None;
    }
    let decoded = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    let mut before = b'x';
    for (at, byte) in decoded.bytes().enumerate() {
        let rest = &decoded.as_bytes()[at + 1..];
        let dots =
            byte == b'/' && (rest == b"." || rest == b".." || rest.starts_with(b"./") || rest.starts_with(b"../"));
        if byte < 0x20 || byte == 0x7f || dots || byte == b'/' && before == b'/' {
            return None;
        }
        before = byte;
    }
    Some(decoded)
}

/// Resolves `%XX`. A slash that is written so is refused: it would not mean what it says.
fn decode(text: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match digit(bytes.next()?)? << 4 | digit(bytes.next()?)? {
                b'/' => return None,
                byte => byte,
            },
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// A name as a part of a link: what is not plain is written as `%XX`.
pub fn encode(name: &str, into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => into.push(byte),
            _ => into.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_taken_as_it_is_and_others_are_decoded() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b.html?x=/../y", "/a/b.html"),
            ("/a%20b", "/a b"),
            ("/caf%C3%A9/", "/café/"),
            ("http://host:8080/x", "/x"),
            ("http://host", "/"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a..b", "/a..b"),
        ] {
            assert_eq!(path(target).as_deref(), Some(expected), "{target}");
        }
    }

    #[test]
    fn nothing_leads_up_and_nothing_hides() {
        for target in [
            "",
            "*",
            "x",
            "/..",
            "/../etc/passwd",
            "/a/../b",
            "/a/./b",
            "/%2e%2e/x",
            "/.%2E/",
            "/a/..",
            "//",
            "/a//b",
            "/a%2fb",
            "/a%2F..%2fb",
            "/%00",
            "/%0d%0a",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
            "ftp://host/x",
            "/a/.",
            "host:80",
        ] {
            assert_eq!(path(target), None, "{target}");
        }
    }

    #[test]
    fn an_encoded_name_is_decoded_to_itself() {
        let name = "/a b?#%/é\"<";
        let mut link = Vec::new();
        encode(name, &mut link);
        assert_eq!(path(core::str::from_utf8(&link).unwrap()).as_deref(), Some(name));
    }
}

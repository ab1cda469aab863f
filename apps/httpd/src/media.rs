//! Media types by the ending of a name.

/// The media type of a file, as for `Content-Type`.
pub fn of_name(name: &str) -> &'static str {
    let last = name.rsplit('/').next().unwrap_or(name);
    let Some((_, ending)) = last.rsplit_once('.') else { return PLAIN_BYTES };
    let mut lower = [0; 8];
    let Some(lower) = lower.get_mut(..ending.len()) else { return PLAIN_BYTES };
    lower.copy_from_slice(ending.as_bytes());
    lower.make_ascii_lowercase();
    match &*lower {
        b"html" | b"htm" => HTML,
        b"txt" | b"log" | b"toml" | b"rs" | b"sh" => TEXT,
        b"md" => "text/markdown; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" | b"mjs" => "text/javascript; charset=utf-8",
        b"csv" => "text/csv; charset=utf-8",
        b"xml" => "text/xml; charset=utf-8",
        b"json" => JSON,
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"avif" => "image/avif",
        b"ico" => "image/x-icon",
        b"woff" => "font/woff",
        b"woff2" => "font/woff2",
        b"ttf" => "font/ttf",
        b"wasm" => "application/wasm",
        b"pdf" => "application/pdf",
        b"zip" => "application/zip",
        b"gz" => "application/gzip",
        b"tar" => "application/x-tar",
        b"mp3" => "audio/mpeg",
        b"ogg" => "audio/ogg",
        b"wav" => "audio/wav",
        b"mp4" => "video/mp4",
        b"webm" => "video/webm",
        _ => PLAIN_BYTES,
    }
}

/// A page.
pub const HTML: &str = "text/html; charset=utf-8";
/// Text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// JSON.
pub const JSON: &str = "application/json";
/// Server-sent events.
pub const EVENTS: &str = "text/event-stream";
/// Nothing is known of it.
pub const PLAIN_BYTES: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_in_either_case() {
        assert_eq!(of_name("/a/index.html"), HTML);
        assert_eq!(of_name("PHOTO.JPEG"), "image/jpeg");
        assert_eq!(of_name("archive.tar.gz"), "application/gzip");
        for unknown in ["README", "a.b/c", "x.", "x.averylongending", "x.é"] {
            assert_eq!(of_name(unknown), PLAIN_BYTES, "{unknown}");
        }
    }
}

//! Status codes (RFC 9110, section 15), and what a person is told with each.

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u16);

#[allow(missing_docs, reason = "the names are those of RFC 9110")]
impl Status {
    pub const OK: Self = Self(200);
    pub const NO_CONTENT: Self = Self(204);
    pub const PARTIAL_CONTENT: Self = Self(206);
    pub const MOVED_PERMANENTLY: Self = Self(301);
    pub const NOT_MODIFIED: Self = Self(304);
    pub const BAD_REQUEST: Self = Self(400);
    pub const UNAUTHORIZED: Self = Self(401);
    pub const FORBIDDEN: Self = Self(403);
    pub const NOT_FOUND: Self = Self(404);
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    pub const REQUEST_TIMEOUT: Self = Self(408);
    pub const CONFLICT: Self = Self(409);
    pub const PRECONDITION_FAILED: Self = Self(412);
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    pub const URI_TOO_LONG: Self = Self(414);
    pub const RANGE_NOT_SATISFIABLE: Self = Self(416);
    pub const EXPECTATION_FAILED: Self = Self(417);
    pub const HEADER_TOO_LARGE: Self = Self(431);
    pub const INTERNAL_ERROR: Self = Self(500);
    pub const NOT_IMPLEMENTED: Self = Self(501);
    pub const BAD_GATEWAY: Self = Self(502);
    pub const UNAVAILABLE: Self = Self(503);
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);

    /// The phrase that stands beside the number.
    pub const fn phrase(self) -> &'static str {
        match self.0 {
            200 => "OK",
            204 => "No Content",
            206 => "Partial Content",
            301 => "Moved Permanently",
            304 => "Not Modified",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            414 => "URI Too Long",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "Internal Server Error",
        }
    }

    /// One sentence for a person.
    pub const fn sentence(self) -> &'static str {
        match self.0 {
            301 => "it is at the address with a slash at its end",
            400 => "the request is not HTTP as it should be",
            401 => "this needs the token that was printed at the console",
            403 => "this may not be read, or the token is wrong",
            404 => "there is nothing of that name here",
            405 => "this cannot be done with that method",
            408 => "the request took too long to arrive",
            412 => "it is not as the request wants it to be",
            413 => "the request's body is too large",
            414 => "the address is too long",
            416 => "none of these bytes exist",
            417 => "what the request expects is not known here",
            431 => "the request's header is too large",
            501 => "this method or transfer coding is not known here",
            502 => "the component behind this did not answer as it should",
            503 => "this is not to be had at the moment; try again",
            505 => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            _ => "something went wrong here",
        }
    }
}

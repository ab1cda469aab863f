//! The network tools, on the host's loopback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use motte_tools::http::{Answer, Url};

use crate::common::ours;

/// A server that answers each request on a connection of its own with one of `answers`, and returns the requests' first lines.
fn serve(answers: &'static [&'static str]) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            requests.push(String::from_utf8(request).unwrap().lines().next().unwrap().to_string());
        }
        requests
    });
    (port, server)
}

#[test]
fn wget_saves_what_the_server_sends_and_goes_where_it_is_sent() {
    let (port, server) = serve(&[
        "HTTP/1.1 302 Found\r\nLocation: /b/file.txt?x=1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more that does not count",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    ]);
    let script = format!(
        "$T/wget -q 127.0.0.1:{port}/a/name; cat name; echo; $T/wget -O - http://127.0.0.1:{port}/; echo; \
         $T/wget -qO- http://127.0.0.1:{port}; echo; $T/wget -q --spider http://127.0.0.1:{port}/big; echo $?"
    );
    let (out, err, status) = ours("wget", &script);
    assert_eq!((out.as_str(), err.as_str(), status), ("hello\nabcdefg\nuntil the end\n0\n", "", 0));
    let expected = [
        "GET /a/name HTTP/1.1",
        "GET /b/file.txt?x=1 HTTP/1.1",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1",
        "HEAD /big HTTP/1.1",
    ];
    assert_eq!(server.join().unwrap(), expected);
}

#[test]
fn wget_says_what_went_wrong() {
    let (port, server) = serve(&[
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "SSH-2.0-nonsense\r\n",
        "",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n",
    ]);
    let expected = [
        (8, "the server answers 404 Not Found"),
        (4, "5 bytes before its end the answer breaks off"),
        (4, "the server's answer is not HTTP"),
        (4, "the server closed the connection without an answer"),
        (4, "the size of a chunk is no number"),
    ];
    for (status, text) in expected {
        let (out, err, found) = ours("wget-errors", &format!("$T/wget -O /dev/null http://127.0.0.1:{port}/x"));
        assert_eq!((out.as_str(), found), ("", status), "{err}");
        assert!(
            err.starts_with(&format!("wget: cannot fetch 'http://127.0.0.1:{port}/x': ")) && err.contains(text),
            "{err}"
        );
    }
    server.join().unwrap();
    let (_, err, status) = ours("wget-errors", &format!("$T/wget http://127.0.0.1:{port}/"));
    assert_eq!(status, 4, "{err}");
    let (_, err, status) = ours("wget-errors", "$T/wget https://example.org/");
    assert_eq!((err.contains("no encryption"), status), (true, 1), "{err}");
}

#[test]
fn nc_passes_bytes_both_ways_and_ends_with_the_other_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        stream.write_all(text.to_uppercase().as_bytes()).unwrap();
    });
    let (out, err, status) = ours("nc", &format!("echo hello | $T/nc 127.0.0.1 {port}"));
    assert_eq!((out.as_str(), err.as_str(), status), ("HELLO\n", "", 0));
    server.join().unwrap();
    let (_, err, status) = ours("nc", &format!("$T/nc -zv 127.0.0.1 {port}"));
    assert_eq!(status, 1, "{err}");
    assert!(err.contains(&format!("port {port} of 127.0.0.1: ")), "{err}");
    for (args, complaint) in
        [("", "name a host and a port"), ("-l", "name the port"), ("127.0.0.1 http", "'http' is no port")]
    {
        let (_, err, status) = ours("nc", &format!("$T/nc {args}"));
        assert!(status == 1 && err.contains(complaint), "{args}: {err}");
    }
}

#[test]
fn what_ip_does_not_understand_it_says() {
    for (args, complaint) in [
        ("addr add 10.0.0.1", "lacks the length of its prefix"),
        ("addr add 10.0.0.1/33", "'33' is no length of a prefix"),
        ("addr add fe80::/129", "'129' is no length of a prefix"),
        ("route add default via here", "'here' is no address"),
        ("dhcp maybe", "'dhcp maybe' is not understood"),
        ("addr add 10.0.0.1/8 eth0", "'eth0' is not understood"),
    ] {
        let (_, err, status) = ours("ip", &format!("$T/ip {args}"));
        assert!(status == 1 && err.contains(complaint), "{args}: {err}");
    }
}

#[test]
fn urls_are_taken_apart() {
    let url = |host: &str, port, path: &str| Ok(Url { host: host.into(), port, path: path.into() });
    assert_eq!(Url::parse("http://a.b/c?d#e"), url("a.b", 80, "/c?d"));
    assert_eq!(Url::parse("a.b:8080"), url("a.b", 8080, "/"));
    assert_eq!(Url::parse("http://[::1]:81?q"), url("::1", 81, "/?q"));
    for wrong in [
        "",
        "http://",
        "http://:80/",
        "ftp://a",
        "http://a:0/",
        "http://a:x/",
        "http://u@a/",
        "http://[::1/",
        "http://[::1]x/",
        "http://a/b c",
        "http://a/\r\nX: y",
    ] {
        assert!(Url::parse(wrong).is_err(), "{wrong}");
    }
    let base = Url::parse("http://[::1]:81/a/b?c").unwrap();
    assert_eq!(base.authority(), "[::1]:81");
    assert_eq!(base.join("/x"), url("::1", 81, "/x"));
    assert_eq!(base.join("x?y"), url("::1", 81, "/a/x?y"));
    assert_eq!(base.join("?y"), url("::1", 81, "/a/b?y"));
    assert_eq!(base.join("http://other/"), url("other", 80, "/"));
    assert_eq!((base.file_name(), Url::parse("a").unwrap().file_name()), ("b", "index.html"));
}

/// Gives a text in pieces that end at every multiple of `step`.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn an_answer_is_understood_however_it_is_cut() {
    let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    for step in 1..text.len() {
        let mut answer = Answer::read(Pieces(text, step), false).unwrap();
        assert_eq!((answer.head.status, answer.head.field("x")), (200, Some("y")));
        let mut body = String::new();
        answer.read_to_string(&mut body).unwrap();
        assert_eq!(body, "hello!", "{step}");
    }
    for end in 0..text.len() - 2 {
        let whole =
            Answer::read(Pieces(&text[..end], 7), false).and_then(|mut answer| answer.read_to_end(&mut Vec::new()));
        assert!(whole.is_err(), "{end}");
    }
}

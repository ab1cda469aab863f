//! What a client sees, whoever it is and however its bytes arrive.

mod support;

use motte_httpd::calls::Call;
use motte_httpd::connection::Step;
use motte_interfaces::dashboard::Action;
use proptest::prelude::*;
use support::{Answer, Peer, answers, ask, get, site};

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_file_is_sent_with_what_is_known_of_it() {
    let mut site = site();
    let answer = ask(&mut site, &get("/hello.txt", ""));
    assert_eq!((answer.status, &*answer.body), (200, b"hello, world".as_slice()));
    assert_eq!(answer.field("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.field("Last-Modified"), Some("Tue, 14 Nov 2023 21:56:40 GMT"));
    assert_eq!(answer.field("Date"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    assert_eq!(ask(&mut site, &get("/", "")).body, b"<h1>index</h1>");
    assert_eq!(ask(&mut site, &get("/empty", "")).body, b"");
    let large = ask(&mut site, &get("/large.bin", ""));
    assert_eq!((large.status, large.body.len()), (200, 300_000));
    assert_eq!(large.body, site.folder.files["/large.bin"].0);
    let head = ask(&mut site, "HEAD /large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(head.field("Content-Length"), Some("300000"));
}

#[test]
fn a_directory_is_its_index_or_a_listing() {
    let mut site = site();
    assert_eq!(ask(&mut site, &get("/docs/sub/", "")).body, b"sub");
    let moved = ask(&mut site, &get("/docs/sub?x", ""));
    assert_eq!((moved.status, moved.field("Location")), (301, Some("/docs/sub/")));
    let listing = ask(&mut site, &get("/docs/", ""));
    assert_eq!(listing.field("Transfer-Encoding"), Some("chunked"));
    let text = String::from_utf8(listing.body).unwrap();
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle} in {text}"));
    assert!(at("../") < at("\"./sub/\"") && at("\"./sub/\"") < at("\"./a.css\""));
    assert!(at("\"./b%20%3C%26%3E.txt\">b &lt;&amp;&gt;.txt</a>") > at("a.css"));
    // An old client cannot read chunks: the end of the connection is the end of the listing.
    let old = ask(&mut site, "GET /docs/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((old.field("Connection"), &*old.body), (Some("close"), text.as_bytes()));
    for number in 0..1500 {
        site.folder.put(&format!("/many/{number:04}"), b"", 0);
    }
    let many = String::from_utf8(ask(&mut site, &get("/many/", "")).body).unwrap();
    assert_eq!(many.matches("<li>").count(), 1001);
    assert!(many.contains("There is more") && many.contains("0999") && !many.contains("1000"));
}

#[test]
fn what_is_not_there_or_not_asked_for_rightly_has_its_status() {
    let mut site = site();
    for (request, status) in [
        (get("/nothing", ""), 404),
        (get("/hello.txt/", ""), 404),
        (get("/../hello.txt", ""), 400),
        (get("/%2e%2e/hello.txt", ""), 400),
        (get("/docs", ""), 301),
        ("DELETE /hello.txt HTTP/1.1\r\nHost: h\r\n\r\n".into(), 405),
        ("POST /hello.txt HTTP/1.1\r\nHost: h\r\n\r\n".into(), 405),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".into(), 204),
        ("OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n".into(), 204),
    ] {
        let answer = ask(&mut site, &request);
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.field("Allow").is_some(), matches!(status, 204 | 405), "{request}");
    }
    site.folder.fails = true;
    assert_eq!(ask(&mut site, &get("/hello.txt", "")).status, 503);
}

#[test]
fn parts_are_sent_of_small_files_and_of_large_ones() {
    let mut site = site();
    for path in ["/hello.txt", "/large.bin"] {
        let contents = site.folder.files[path].0.clone();
        let size = contents.len();
        let one = ask(&mut site, &get(path, "Range: bytes=3-8\r\n"));
        assert_eq!((one.status, &*one.body), (206, &contents[3..9]));
        assert_eq!(one.field("Content-Range"), Some(&*format!("bytes 3-8/{size}")));
        let last = ask(&mut site, &get(path, "Range: bytes=-4\r\n"));
        assert_eq!((last.status, &*last.body), (206, &contents[size - 4..]));
        let none = ask(&mut site, &get(path, "Range: bytes=999999-\r\n"));
        assert_eq!((none.status, none.field("Content-Range")), (416, Some(&*format!("bytes */{size}"))));
        let several = ask(&mut site, &get(path, "Range: bytes=0-1,4-5,-1\r\n"));
        let media = several.field("Content-Type").unwrap();
        let boundary = media.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let body = &several.body;
        let mut expected = Vec::new();
        for (start, end) in [(0, 2), (4, 6), (size - 1, size)] {
            let head = format!("Content-Range: bytes {start}-{}/{size}\r\n\r\n", end - 1);
            assert!(body.windows(head.len()).any(|window| window == head.as_bytes()), "{head}");
            expected.extend_from_slice(&contents[start..end]);
        }
        assert_eq!(several.status, 206);
        assert!(body.ends_with(format!("\r\n--{boundary}--\r\n").as_bytes()));
        // If the parts that the client has are of another version, it gets the whole.
        let tag = one.field("ETag").unwrap();
        let same = ask(&mut site, &get(path, &format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n")));
        let other = ask(&mut site, &get(path, "Range: bytes=0-0\r\nIf-Range: \"other\"\r\n"));
        assert_eq!((same.status, other.status, other.body.len()), (206, 200, size));
        let kept = ask(&mut site, &get(path, &format!("If-None-Match: {tag}\r\n")));
        assert_eq!((kept.status, kept.body.len(), kept.field("ETag")), (304, 0, Some(tag)));
    }
}

#[test]
fn a_kept_file_is_looked_at_every_tenth_of_a_second_and_read_when_it_changed() {
    let mut site = site();
    for _ in 0..100 {
        assert_eq!(ask(&mut site, &get("/hello.txt", "")).body, b"hello, world");
    }
    let (looks, opens) = (site.folder.looks, site.folder.opens);
    assert_eq!(opens, 1);
    site.set_time(SECOND / 10);
    ask(&mut site, &get("/hello.txt", ""));
    ask(&mut site, &get("/hello.txt", ""));
    assert_eq!((site.folder.looks, site.folder.opens), (looks + 1, opens));
    // Changed, and changed again within the same second and to the same length.
    let now = (support::EPOCH + 5) as i64;
    site.set_time(5 * SECOND);
    site.folder.put("/hello.txt", b"hello, there", now);
    assert_eq!(ask(&mut site, &get("/hello.txt", "")).body, b"hello, there");
    site.set_time(5 * SECOND + SECOND / 5);
    site.folder.put("/hello.txt", b"hello, again", now);
    let answer = ask(&mut site, &get("/hello.txt", ""));
    assert_eq!(answer.body, b"hello, again");
    assert_eq!(answer.field("Date"), Some("Tue, 14 Nov 2023 22:13:25 GMT"));
    // When that second is over it is kept, with the date of the answer.
    site.set_time(60 * SECOND);
    ask(&mut site, &get("/hello.txt", ""));
    let opens = site.folder.opens;
    site.set_time(61 * SECOND);
    let answer = ask(&mut site, &get("/hello.txt", ""));
    assert_eq!((site.folder.opens, answer.field("Date")), (opens, Some("Tue, 14 Nov 2023 22:14:21 GMT")));
    site.folder.files.remove("/hello.txt");
    site.set_time(62 * SECOND);
    assert_eq!(ask(&mut site, &get("/hello.txt", "")).status, 404);
}

/// Requests of every kind, one behind the other, as one client may send them.
fn conversation() -> (Vec<u8>, Vec<usize>) {
    let requests = [
        get("/hello.txt", ""),
        "HEAD /docs/ HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        get("/nothing", "X: y\r\n"),
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /".into(),
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n1;a=b\r\n/\r\n0\r\nX: y\r\n\r\n"
            .into(),
        get("/docs/", ""),
        get("/large.bin", "Range: bytes=1-20000\r\n"),
        get("/../..", ""),
        get("/", "Range: bytes=0-0,2-3\r\n"),
        "OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n".into(),
        get("/empty", "Connection: close\r\n"),
    ];
    (requests.concat().into_bytes(), vec![1])
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[test]
fn requests_are_answered_alike_wherever_they_are_split() {
    let (bytes, heads) = conversation();
    let mut whole = Peer::new(false);
    whole.send(&bytes, &mut site());
    let expected = answers(&whole.sent, &heads);
    assert_eq!(statuses(&expected), [200, 200, 404, 405, 405, 200, 206, 400, 206, 204, 200]);
    assert!(whole.closed);
    for at in 0..bytes.len() {
        let (mut site, mut peer) = (site(), Peer::new(false));
        peer.send(&bytes[..at], &mut site);
        peer.send(&bytes[at..], &mut site);
        assert_eq!(answers(&peer.sent, &heads), expected, "split at {at}");
    }
    let (mut site, mut peer) = (site(), Peer::new(false));
    bytes.chunks(1).for_each(|byte| peer.send(byte, &mut site));
    assert_eq!(answers(&peer.sent, &heads), expected);
}

proptest! {
    #[test]
    fn requests_are_answered_alike_however_they_arrive_and_are_taken(
        cuts in prop::collection::vec(1usize..400, 1..40),
        takes in 1usize..30_000,
    ) {
        let (bytes, heads) = conversation();
        let mut whole = Peer::new(false);
        whole.send(&bytes, &mut site());
        let (mut site, mut peer) = (site(), Peer::new(false));
        peer.takes = takes.max(3);
        let mut rest = &*bytes;
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(cut.min(rest.len()));
            peer.send(now, &mut site);
            rest = later;
        }
        prop_assert_eq!(answers(&peer.sent, &heads), answers(&whole.sent, &heads));
    }

    #[test]
    fn whatever_comes_is_answered_or_refused_and_never_more_than_that(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        flips in prop::collection::vec((0usize..2000, any::<u8>()), 0..4),
    ) {
        for input in [bytes, {
            let mut bytes = conversation().0;
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes
        }] {
            let (mut site, mut peer) = (site(), Peer::new(true));
            peer.send(&input, &mut site);
            peer.connection.ended();
            peer.run(&mut site);
            prop_assert!(peer.closed || peer.finished);
        }
    }
}

#[test]
fn what_smuggles_is_refused_and_nothing_behind_it_is_answered() {
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 5 \x0b\r\n",
    ] {
        let (mut site, mut peer) = (site(), Peer::new(false));
        let second = get("/hello.txt", "");
        let bytes = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n0\r\n\r\nX{second}");
        peer.send(bytes.as_bytes(), &mut site);
        let all = answers(&peer.sent, &[]);
        assert_eq!(all.len(), 1, "{fields}");
        assert!(matches!(all[0].status, 400 | 501), "{fields}: {}", all[0].status);
        assert!(peer.finished && !peer.closed, "its end is told, and what it still sends is thrown away");
    }
}

#[test]
fn a_refused_client_may_talk_on_for_a_while_and_then_no_more() {
    let (mut site, mut peer) = (site(), Peer::new(false));
    peer.send(&[b'a'; 9000], &mut site);
    assert_eq!(statuses(&answers(&peer.sent, &[])), [414]);
    for _ in 0..40 {
        peer.send(&[b'a'; 8192], &mut site);
    }
    assert!(peer.closed);
    let mut peer = Peer::new(false);
    peer.send(b"\0", &mut site);
    site.set_time(peer.connection.deadline());
    assert_eq!(site.now_ns(), 2 * SECOND);
    peer.connection.expire("DATE", site.now_ns());
    peer.run(&mut site);
    assert!(peer.closed);
}

#[test]
fn slow_clients_are_given_their_time_and_no_more() {
    let mut site = site();
    // Nothing at all.
    let mut silent = Peer::new(false);
    assert_eq!(silent.connection.deadline(), 10 * SECOND);
    silent.connection.expire("DATE", 10 * SECOND);
    silent.run(&mut site);
    assert!(silent.closed && silent.sent.is_empty());
    // A byte now and then does not put the end off.
    let mut slow = Peer::new(false);
    for (at, byte) in b"GET / HTTP/1.1".iter().enumerate() {
        site.set_time(at as u64 * SECOND / 2);
        slow.send(&[*byte], &mut site);
    }
    assert_eq!(slow.connection.deadline(), 10 * SECOND);
    slow.connection.expire("DATE", 10 * SECOND);
    slow.run(&mut site);
    assert_eq!(statuses(&answers(&slow.sent, &[])), [408]);
    // Between requests there is more time.
    site.set_time(0);
    let mut idle = Peer::new(false);
    idle.send(get("/hello.txt", "").as_bytes(), &mut site);
    assert!(idle.connection.is_idle());
    assert_eq!(idle.connection.deadline(), 60 * SECOND);
    // Who reads slowly has time for what he reads.
    let mut reader = Peer::new(false);
    reader.connection.received(get("/large.bin", "").as_bytes(), 0);
    assert_eq!(reader.connection.step(&mut site), Step::Write);
    assert_eq!(reader.connection.deadline(), 20 * SECOND);
    reader.connection.output(&mut site);
    reader.connection.sent(10_000, SECOND);
    assert_eq!(reader.connection.deadline(), 30 * SECOND);
    reader.connection.expire("DATE", 30 * SECOND);
    assert_eq!(reader.connection.step(&mut site), Step::Close);
}

#[test]
fn nothing_is_read_while_an_answer_waits() {
    let (mut site, mut peer) = (site(), Peer::new(false));
    let many = get("/hello.txt", "").repeat(100);
    peer.connection.received(many.as_bytes(), 0);
    let mut writes = 0;
    while peer.connection.step(&mut site) != Step::Read {
        let bytes = peer.connection.output(&mut site);
        let count = bytes.len();
        assert!(count <= 16 << 10);
        peer.sent.extend_from_slice(bytes);
        peer.connection.sent(count, 0);
        writes += 1;
    }
    assert_eq!(answers(&peer.sent, &[]).len(), 100);
    assert!(writes < 10, "what was asked for together is sent together: {writes}");
}

#[test]
fn a_file_that_ends_early_ends_the_connection() {
    let (mut site, mut peer) = (site(), Peer::new(false));
    peer.connection.received(get("/large.bin", "").as_bytes(), 0);
    assert_eq!(peer.connection.step(&mut site), Step::Write);
    let count = peer.connection.output(&mut site).len();
    peer.connection.sent(count, 0);
    site.folder.put("/large.bin", b"", 0);
    peer.run(&mut site);
    assert!(peer.closed && peer.sent.is_empty());
}

#[test]
fn a_body_is_asked_for_once_if_the_client_waits_for_that() {
    let (mut site, mut peer) = (site(), Peer::new(false));
    peer.send(b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", &mut site);
    peer.send(b"ab", &mut site);
    peer.send(b"c", &mut site);
    assert_eq!(statuses(&answers(&peer.sent, &[])), [100, 405]);
    let mut peer = Peer::new(false);
    peer.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 999999\r\n\r\n", &mut site);
    assert_eq!(statuses(&answers(&peer.sent, &[])), [413]);
}

#[test]
fn the_dashboard_is_asked_for_what_is_its_own() {
    let mut site = site();
    let mut asked = |request: &str| {
        let mut peer = Peer::new(true);
        peer.send(request.as_bytes(), &mut site);
        (peer.calls, answers(&peer.sent, &[])[0].status)
    };
    let post = |path: &str, token: &str| {
        format!("POST /api/components/{path} HTTP/1.1\r\nHost: h\r\n{token}Content-Length: 0\r\n\r\n")
    };
    assert_eq!(asked(&get("/", "")), (vec![Call::Page], 200));
    assert_eq!(asked(&get("/?token=x", "")), (vec![Call::Page], 200));
    assert_eq!(asked(&get("/api/log?from=7", "")), (vec![Call::Log { from: 7 }], 200));
    assert_eq!(asked(&get("/api/faults/3", "")), (vec![Call::Fault { number: 3 }], 200));
    assert_eq!(asked(&get("/api/faults/x", "")), (vec![], 404));
    assert_eq!(asked(&get("/api/other", "")), (vec![], 404));
    assert_eq!(asked(&get("/api/components/fs/kill", "")), (vec![], 405));
    assert_eq!(asked(&post("fs/kill", "")), (vec![], 401));
    assert_eq!(asked(&post("fs/explode", "Authorization: Bearer t\r\n")), (vec![], 404));
    let act = Call::Act { action: Action::Kill, component: "fs".into(), token: "t".into() };
    assert_eq!(asked(&post("fs/kill", "Authorization: bearer t\r\n")), (vec![act], 200));
    assert_eq!(asked("POST / HTTP/1.1\r\nHost: h\r\n\r\n"), (vec![], 405));
    // What is not the dashboard's is the folder's.
    assert_eq!(asked(&get("/index.html", "")), (vec![], 200));
}

#[test]
fn events_follow_one_another_and_who_does_not_read_misses_some() {
    let (mut site, mut peer) = (site(), Peer::new(true));
    peer.send(get("/api/events", "").as_bytes(), &mut site);
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        peer.connection.event(&event.as_bytes().to_vec().into(), site.now_ns());
        peer.run(&mut site);
    }
    let deadline = peer.connection.deadline();
    assert_eq!(deadline, u64::MAX, "nothing waits to be sent");
    for event in ["data: 3\n\n", "data: 4\n\n"] {
        site.set_time(site.now_ns() + 5 * SECOND);
        peer.connection.event(&event.as_bytes().to_vec().into(), site.now_ns());
    }
    assert_eq!(peer.connection.deadline(), 25 * SECOND, "the first that waits counts");
    peer.run(&mut site);
    let mut sent = peer.sent.clone();
    sent.extend_from_slice(b"0\r\n\r\n");
    let answer = &answers(&sent, &[])[0];
    assert_eq!(answer.field("Content-Type"), Some("text/event-stream"));
    assert_eq!(answer.body, b"data: 1\n\ndata: 2\n\ndata: 3\n\n");
    peer.connection.ended();
    peer.run(&mut site);
    assert!(peer.closed);
}

//! The web server and the page, from outside: over a port of the host, as a browser reaches them.

mod browser;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use motte_tests::{Bench, outside};
use xtask::machine::{Ending, Hardware};
use xtask::network::{Forward, HTTP, Network};
use xtask::session::Session;

/// How long an answer, or a change, may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with a web server that is reached at a port of the host.
struct Site {
    bench: Bench,
    session: Session,
    port: u16,
}

/// An answer: status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Site {
    fn boot() -> Self {
        let bench = Bench::new().unwrap();
        let disk = bench.disk("64M", &[]).unwrap();
        // Free now; whoever takes it in the next moment makes QEMU say so.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let network = Network::User(vec![Forward { host: port, guest: HTTP }]);
        let session = bench.boot_on(&Hardware { network, ..Hardware::default() }, Some(&disk)).unwrap();
        Self { bench, session, port }
    }

    /// Waits until it answers.
    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask("GET", "/index.html", "").is_none() {
            assert!(Instant::now() < deadline, "no answer\n{}", self.session.kernel_log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// One request on a connection of its own; `None` if the connection broke.
    fn ask(&self, method: &str, path: &str, fields: &str) -> Option<Answer> {
        let mut stream = self.connect().ok()?;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").unwrap_or_else(|| panic!("no answer to {path}\n{}", self.session.kernel_log()))
    }

    /// What the state says of a component, by the names of its members.
    fn component(&self, name: &str) -> Option<(String, u64)> {
        let state: serde_json::Value = serde_json::from_str(&self.get("/api/state").body).ok()?;
        let component = state["components"].as_array()?.iter().find(|component| component["name"] == name)?.clone();
        Some((component["state"].as_str()?.to_owned(), component["generation"].as_u64()?))
    }

    /// Bytes of memory that a component has.
    fn memory(&self, name: &str) -> u64 {
        let state: serde_json::Value = serde_json::from_str(&self.get("/api/state").body).unwrap();
        let components = state["components"].as_array().unwrap();
        let component = components.iter().find(|component| component["name"] == name);
        component.and_then(|component| component["memory"].as_u64()).expect("a component with memory")
    }

    /// Waits until the connections that were closed here have ended there, but for those that only wait for time to pass.
    fn wait_for_ends(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.session.run("netstat -s | grep 'sockets open'").unwrap().text;
            let open: Option<u32> = shown.split_whitespace().next().and_then(|number| number.parse().ok());
            if open.expect("a number of sockets") < 300 {
                return;
            }
            assert!(Instant::now() < deadline, "{shown}");
        }
    }

    /// Waits until a component runs, and was started so many times or more.
    fn expect(&self, name: &str, generation: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.component(name);
            if found.as_ref().is_some_and(|(state, starts)| state == "running" && *starts >= generation) {
                return;
            }
            assert!(Instant::now() < deadline, "{name}: {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The token, as it stands at the console.
    fn token(&mut self) -> String {
        // What was printed behind it is read with the next command.
        self.session.run("true").unwrap();
        token_in(&self.session.transcript(), self.port).expect("the address with a token at the console")
    }

    fn end(self) {
        let Self { bench, session, .. } = self;
        assert_eq!(session.shutdown().unwrap(), Ending::Shutdown(0));
        drop(bench);
    }
}

/// The token in the address that leads to the machine.
fn token_in(transcript: &str, port: u16) -> Option<String> {
    let (_, rest) = transcript.split_once(&format!("open http://127.0.0.1:{port}/?token="))?;
    let token = rest.get(..32)?;
    token.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| token.to_owned())
}

#[test]
fn files_are_served_and_components_are_killed_by_those_who_know_the_token() {
    let mut site = Site::boot();
    site.wait();
    let token = site.token();

    // Files of one folder, and nothing else.
    let file = site.get("/index.html");
    assert!(file.body.contains("This is Motte") && file.head.contains("Content-Type: text/html"), "{}", file.head);
    assert_eq!(site.get("/nothing").status, 404);
    site.session
        .run("echo new > /srv/www/new.txt; ln -s /etc/passwd /srv/www/passwd; ln -s ../../etc /srv/www/etc")
        .unwrap();
    assert_eq!(site.get("/new.txt").body, "new\n");
    for outside in ["/passwd", "/etc/passwd", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/etc/"] {
        let answer = site.get(outside);
        assert!(matches!(answer.status, 400 | 404), "{outside}: {}\n{}", answer.head, answer.body);
    }

    // Another one, of a program's own.
    site.session.run("cd /tmp; echo mine > mine.txt; httpd -p 8000 /tmp > /dev/null 2>&1 &").unwrap();
    let fetch = "until wget -q -O - http://127.0.0.1:8000/mine.txt 2> /dev/null; do sleep 0.1; done";
    assert_eq!(site.session.run(fetch).unwrap().text, "mine\n");

    // The page and what is beside it.
    assert!(site.get("/").body.starts_with("<!DOCTYPE html>"));
    assert_eq!(site.component("fs"), Some(("running".into(), 1)));
    assert!(site.get("/metrics").body.contains("motte_component_up{component=\"httpd\"} 1\n"));
    assert!(site.get("/api/log?from=0").body.contains("serving / at port 80"));

    // Without the token nothing is done.
    let kill = |fields: &str| site.ask("POST", "/api/components/virtio-blk/kill", fields).unwrap();
    assert_eq!(kill("").status, 401);
    assert_eq!(kill("Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n").status, 403);
    assert_eq!(site.component("virtio-blk"), Some(("running".into(), 1)));
    let right = format!("Authorization: Bearer {token}\r\n");
    let killed = kill(&right);
    assert_eq!((killed.status, killed.body.as_str()), (200, "{\"done\":true}\n"), "{}", killed.head);
    site.expect("virtio-blk", 2);
    assert!(site.get("/api/faults/1").body.contains("virtio-blk"));
    let none = site.ask("POST", "/api/components/nobody/kill", &right).unwrap();
    assert_eq!(none.status, 404);

    // The token outlives the dashboard, and the page the web server and the network stack.
    for name in ["dashboard", "httpd", "net"] {
        // Whoever kills what the answer comes through may not get it.
        let _ = site.ask("POST", &format!("/api/components/{name}/kill"), &right);
        site.wait();
        site.expect(name, 2);
    }
    assert_eq!(site.ask("POST", "/api/components/crash-demo/stop", &right).unwrap().status, 409);
    site.end();
}

#[test]
fn events_come_every_second_with_who_talks_to_whom() {
    let site = Site::boot();
    site.wait();
    let mut stream = site.connect().unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    let begin = Instant::now();
    // The first sample is in the second event, or the third.
    while !text.contains("\"from\":\"dashboard\",\"to\":\"supervisor\"") {
        let count = stream.read(&mut piece).expect("an event");
        assert!(count > 0 && begin.elapsed() < PATIENCE, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    assert!(text.contains("Content-Type: text/event-stream"), "{text}");
    drop(stream);
    site.end();
}

/// How long a burst may take on a slow machine. Who is turned away tries again after one second, three, seven, and so on.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn as_many_as_connect_at_the_same_moment_are_served_and_leave_nothing_behind() {
    let mut site = Site::boot();
    site.wait();
    let memory = |site: &Site| ["net", "httpd"].map(|name| site.memory(name));
    let burst = |site: &mut Site, count: usize| {
        let begin = Instant::now();
        let mut streams: Vec<TcpStream> = (0..count).map(|_| site.connect().unwrap()).collect();
        for stream in &mut streams {
            stream.write_all(b"GET /index.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("number {number} of {count}: {error}"));
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "number {number} of {count}: {} bytes", answer.len());
        }
        assert!(begin.elapsed() < AT_ONCE, "{count} took {:?}", begin.elapsed());
        drop(streams);
        site.wait_for_ends();
    };
    burst(&mut site, 200);
    // What a thousand at once need is there after the first time; how much that is depends on how they meet. So it may grow with the next
    // ten thousand, but what is lost grows with every ten thousand.
    burst(&mut site, 1000);
    let mut before = memory(&site);
    let is_kept = (0..3).any(|_| {
        (0..10).for_each(|_| burst(&mut site, 1000));
        let after = memory(&site);
        let is_same =
            before.iter().zip(after).all(|(&before, after)| before > 0 && after.abs_diff(before) * 100 <= before);
        before = after;
        is_same
    });
    assert!(is_kept, "with every ten thousand connections more memory is taken: {before:?} in the end");
    site.end();
}

#[test]
fn tools_that_others_wrote_find_nothing_wrong() {
    let site = Site::boot();
    site.wait();
    let url = format!("http://127.0.0.1:{}/index.html", site.port);
    let run = |program, arguments: &[&str]| outside::run(program, arguments, "").unwrap();
    if let Some(text) = run("curl", &["-sSi", "--max-time", "60", "-r", "0-14", "-H", "Accept: text/html", &url]) {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 206 ") && body == "<!DOCTYPE html>", "{text}");
    }
    if let Some(text) = run("wrk", &["-t1", "-c16", "-d2s", &url]) {
        let requests = text.lines().find(|line| line.contains("requests in")).expect(&text);
        assert!(!requests.trim().starts_with("0 "), "{text}");
        assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    }
    if let Some(text) = run("ab", &["-q", "-s", "60", "-n", "500", "-c", "16", "-k", &url]) {
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        for line in [["Complete", "requests:", "500"], ["Failed", "requests:", "0"]] {
            assert!(words.iter().any(|words| *words == line), "{text}");
        }
    }
    if let Some(text) = run("h2load", &["--h1", "-n", "500", "-c", "16", "-m", "4", &url]) {
        assert!(text.contains("500 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
    }
    // Where there is none, what a host's test parses as strictly is the same text.
    outside::run("promtool", &["check", "metrics"], &site.get("/metrics").body).unwrap();
    site.end();
}

#[test]
fn a_button_of_the_page_ends_a_component_and_the_page_shows_it_come_back() {
    let Some(mut browser) = browser::Browser::start() else {
        eprintln!("\n*** NOT TESTED: there is no chromium to open the page with ***\n");
        return;
    };
    let mut site = Site::boot();
    site.wait();
    let token = site.token();
    browser.open(&format!("http://127.0.0.1:{}/?token={token}", site.port));
    let row =
        "[...document.querySelectorAll('#rows tr')].find(tr => tr.querySelector('.name').textContent === 'virtio-blk')";
    browser.until(&format!("{row}.querySelector('.pill').textContent === 'running'"), PATIENCE);
    assert_eq!(browser.text("location.search"), "", "the token does not stay in the address");
    browser.evaluate(&format!("{row}.querySelector('button.kill').click()"));
    browser.until(&format!("{row}.querySelector('.generation').textContent === '2'"), PATIENCE);
    browser.until("document.querySelector('.faults summary').textContent.includes('virtio-blk')", PATIENCE);
    site.expect("virtio-blk", 2);
    if let Some(folder) = std::env::var_os("MOTTE_SCREENSHOTS") {
        browser.until("document.querySelectorAll('#graph .flow').length > 4", PATIENCE);
        browser.pictures(&PathBuf::from(folder));
    }
    assert_eq!(browser.errors(), Vec::<String>::new());
    site.end();
}

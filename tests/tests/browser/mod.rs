//! Chromium without a window, driven by its debugging protocol over a pipe: messages of JSON, each ended by a zero.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::process::RunDirectory;
use xtask::workspace;

/// Names under which it is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page. It ends with this.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    unread: Vec<u8>,
    session: String,
    messages: u64,
    errors: Vec<String>,
    _profile: RunDirectory,
}

impl Browser {
    /// Starts one; `None` if none is installed.
    pub fn start() -> Option<Self> {
        let found =
            |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
        let name = NAMES.iter().find(found)?;
        let profile = RunDirectory::create(&workspace::run_directory()).unwrap();
        // The protocol is spoken over descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", name])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (input, output) = (child.stdin.take()?, child.stdout.take()?);
        let mut browser = Self {
            child,
            input,
            output,
            unread: Vec::new(),
            session: String::new(),
            messages: 0,
            errors: Vec::new(),
            _profile: profile,
        };
        let targets = browser.call("Target.getTargets", json!({}));
        let page =
            targets["targetInfos"].as_array()?.iter().find(|target| target["type"] == "page")?["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": page, "flatten": true }));
        browser.session = attached["sessionId"].as_str()?.to_owned();
        for domain in ["Page", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.messages += 1;
        let mut message = json!({ "id": self.messages, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser listens");
        loop {
            let answer = self.receive();
            if answer["method"] == "Runtime.exceptionThrown" {
                self.errors.push(answer["params"]["exceptionDetails"].to_string());
            }
            if answer["id"] == self.messages {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn receive(&mut self) -> Value {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&message[..end]).expect("the browser speaks JSON");
            }
            let mut piece = [0; 16384];
            let count = self.output.read(&mut piece).expect("the browser speaks");
            assert!(count > 0, "the browser ended");
            self.unread.extend_from_slice(&piece[..count]);
        }
    }

    /// Opens a page.
    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
    }

    /// What an expression comes to in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        result["result"]["value"].clone()
    }

    /// A text that an expression comes to.
    pub fn text(&mut self, expression: &str) -> String {
        self.evaluate(expression).as_str().unwrap_or("none").to_owned()
    }

    /// Waits until an expression is true; one that fails is not.
    pub fn until(&mut self, expression: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.evaluate(expression) != true {
            assert!(Instant::now() < deadline, "never: {expression}\n{}", self.text("document.body.innerText"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Exceptions that the page did not catch.
    pub fn errors(&self) -> Vec<String> {
        self.errors.clone()
    }

    /// Pictures of the page: light, dark, and on a phone.
    pub fn pictures(&mut self, folder: &Path) {
        for (name, scheme, width, height) in
            [("page-light", "light", 1440, 1150), ("page-dark", "dark", 1440, 1150), ("page-phone", "light", 400, 860)]
        {
            let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700 });
            self.call("Emulation.setDeviceMetricsOverride", size);
            let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
            self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
            // The graph is drawn anew with the next event.
            std::thread::sleep(Duration::from_millis(2500));
            let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
            let bytes = base64(picture["data"].as_str().expect("a picture"));
            std::fs::write(folder.join(format!("{name}.png")), bytes).expect("the picture can be written");
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads base 64 (RFC 4648, section 4).
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for value in text.bytes().filter_map(|byte| ALPHABET.iter().position(|digit| *digit == byte)) {
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

//! The machine at a tap device, in a network namespace that is the test's own. It needs root; without, it is skipped and says so.

use std::path::Path;
use std::process::{Command, Stdio};

use xtask::workspace;

/// Runs a command of the host; whether it went well.
fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A network namespace with a tap device; gone when dropped.
struct Namespace(String);

impl Namespace {
    /// `None` where this user, or this host, cannot make one.
    fn new() -> Option<Self> {
        let name = format!("motte-test-{}", std::process::id());
        if !Path::new("/dev/net/tun").exists() || !succeeds("ip", &["netns", "add", &name]) {
            return None;
        }
        let namespace = Self(name);
        let set_up =
            ["tuntap add tap0 mode tap", "addr add 192.168.7.1/24 dev tap0", "link set tap0 up", "link set lo up"];
        let is_set_up = set_up.iter().all(|words| {
            let arguments: Vec<&str> = ["-n", &namespace.0].into_iter().chain(words.split_whitespace()).collect();
            succeeds("ip", &arguments)
        });
        is_set_up.then_some(namespace)
    }

    /// A command that runs in it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        succeeds("ip", &["netns", "del", &self.0]);
    }
}

/// With a card that fills in and checks checksums, which QEMU's user network does not have.
#[test]
fn machine_and_host_reach_each_other_over_a_tap_device() {
    let Some(namespace) = Namespace::new() else {
        eprintln!("skipped: a network namespace with a tap device needs root, and the command `ip`");
        return;
    };
    let commands = "ip addr add 192.168.7.2/24; ping -c 2 -i 0.1 192.168.7.1; \
                    for i in 1 2 3; do kill virtio-net; ping -c 1 192.168.7.1 > /dev/null || echo lost; done; \
                    nc -l 7 > /tmp/got; sha256sum < /tmp/got; log | grep -o 'virtio-net.*checksums' | sort -u";
    let cargo = workspace::cargo();
    let mut machine = namespace.command(&cargo.get_program().to_string_lossy());
    machine.current_dir(workspace::root());
    machine.args(["xtask", "run", "--no-disk", "--net", "tap=tap0", "--timeout", "120", "-c", commands]);
    // The host scans two ports, where it can, and then sends a megabyte, as soon as the machine listens.
    let scans = succeeds("nmap", &["--version"]);
    if !scans {
        eprintln!("\n*** NOT TESTED with nmap: there is none here ***\n");
    }
    let scan =
        "until nmap -n -Pn -sS -p 7,8 192.168.7.2 | tee /dev/stderr | grep -q '^7/tcp *open'; do sleep 0.1; done; ";
    let send = "until (yes hello | head -c 1000000 > /dev/tcp/192.168.7.2/7) 2> /dev/null; do sleep 0.1; done";
    let mut host = namespace
        .command("timeout")
        .args(["120", "bash", "-c", &format!("{}{send}", if scans { scan } else { "" })])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = machine.output().unwrap();
    let _ = host.kill();
    let scanned = String::from_utf8_lossy(&host.wait_with_output().unwrap().stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("2 sent, 2 answered"), "{printed}");
    let closed = |line: &str| line.starts_with("8/tcp") && line.contains("closed");
    assert!(!scans || scanned.lines().any(closed), "{scanned}");
    assert!(!printed.contains("lost\n"), "{printed}");
    let sum = Command::new("sh").args(["-c", "yes hello | head -c 1000000 | sha256sum"]).output().unwrap();
    let sum = String::from_utf8_lossy(&sum.stdout);
    assert!(printed.contains(sum.split_whitespace().next().unwrap()), "{printed}");
    assert!(printed.contains("with checksums"), "{printed}");
}

//! Whole-system tests that need more than a session at the console: many files from the host, many operations, power cuts, the
//! command `cargo xtask run -c`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use motte_tests::Bench;
use motte_tests::command::{self, motte};
use sha2::{Digest, Sha256};
use xtask::campaign::gdb::Gdb;
use xtask::campaign::guest::{Guest, KernelPlaces};
use xtask::disk;
use xtask::machine::{Ending, Hardware};
use xtask::session::Session;
use xtask::{elf, powercut, torture};

/// How long the slow commands here may take.
const LONG: Duration = Duration::from_secs(900);

/// Numbers that look random and are the same every time (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_command_prints_its_output_and_nothing_else() {
    let output = motte(&["--no-disk"], "echo hello").unwrap();
    assert_eq!(output, command::Output { stdout: "hello\n".into(), stderr: String::new(), status: 0 });
}

#[test]
fn a_command_without_terminal_has_its_status_and_its_standard_error() {
    let output = motte(&["--no-disk"], "echo out; cat /nothing; exit 42").unwrap();
    assert_eq!(output.stdout, "out\n");
    assert!(output.stderr.contains("/nothing"), "{}", output.stderr);
    assert_eq!(output.status, 42);
    assert_eq!(motte(&["--no-disk"], "exit 255").unwrap().status, 255);
    assert_eq!(motte(&["--no-disk"], "false").unwrap().status, 1);
}

#[test]
fn bench_counts_every_operation() {
    let output = motte(&["--no-disk", "--icount", "--system", "system/bench.toml"], "bench").unwrap();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    for name in motte_bench::NAMES {
        let needs_disk = ["file/", "disk/", "recover/copy"];
        if needs_disk.iter().any(|beginning| name.starts_with(beginning)) || name.ends_with("_first_answer") {
            let line = format!("skip {name} there is no disk with ext4\n");
            assert!(output.stdout.contains(&line), "{name}\n{}", output.stdout);
            continue;
        }
        let beginning = format!("result {name} instructions ");
        let line = output.stdout.lines().find(|line| line.starts_with(&beginning)).unwrap_or_default();
        let figures: Vec<u64> = line.split(' ').skip(3).filter_map(|word| word.parse().ok()).collect();
        let [count, min, median, max] = figures[..] else { panic!("{name}: `{line}`\n{}", output.stdout) };
        assert!(count > 0 && 0 < min && min <= median && median <= max, "{line}");
    }
}

#[test]
fn no_interrupt_is_left_by_one_measurement_for_the_next() {
    /// More ticks than from an interrupt to its driver, and fewer than since the machine was switched on, which is what is measured
    /// when the driver wakes for an interrupt of before.
    const LIMIT: u64 = 400_000_000;
    let again = "bench kernel/interrupt; bench kernel/interrupt; bench kernel/interrupt";
    let output = motte(&["--no-disk", "--system", "system/bench.toml"], again).unwrap();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let lines = output.stdout.lines();
    let most: Vec<u64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    // The host may hold one of them up.
    assert!(most.len() == 3 && most[1].min(most[2]) < LIMIT, "{}", output.stdout);
}

#[test]
fn bench_leaves_out_what_the_system_does_not_let_it_measure() {
    let output = motte(&["--no-disk"], "bench kernel/interrupt; bench growth; bench disk; bench ipx").unwrap();
    assert_eq!(output.status, 2, "{}", output.stderr);
    let skipped: Vec<&str> = output.stdout.lines().filter_map(|line| line.strip_prefix("skip ")).collect();
    assert_eq!(output.stdout.lines().count(), skipped.len(), "{}", output.stdout);
    for name in
        ["kernel/interrupt this system", "growth this system", "disk/read_per_mib there", "disk/write_per_mib there"]
    {
        assert!(skipped.iter().any(|line| line.starts_with(name)), "{name}\n{}", output.stdout);
    }
    assert!(output.stderr.contains("`ipx` is neither a group nor an operation"), "{}", output.stderr);
}

#[test]
fn quotes_and_lines_reach_the_shell_as_they_are() {
    let output = motte(&["--no-disk"], "echo \"a'b\" 'c\"d'\necho '$x' \\\\\nprintf '%s\\n' é").unwrap();
    assert_eq!(output.stdout, "a'b c\"d\n$x \\\né\n");
    assert_eq!(output.status, 0);
}

#[test]
fn a_wrong_disk_is_refused_with_one_sentence() {
    let output = motte(&["--disk", "/no/such/disk.img"], "true").unwrap();
    assert_eq!(output.status, 1);
    assert_eq!(output.stdout, "");
    assert_eq!(
        output.stderr.lines().next(),
        Some(
            "motte: there is no disk image /no/such/disk.img; make one with: cargo xtask image --out /no/such/disk.img"
        )
    );
}

#[test]
fn two_thousand_files_of_the_host_have_the_same_sums_inside() {
    let bench = Bench::new().unwrap();
    let files = bench.directory().join("files");
    let mut random = Random(0x5eed);
    let mut expected = String::new();
    for number in 0..2000_u64 {
        let folder = format!("d{:02}", number % 40);
        fs::create_dir_all(files.join(&folder)).unwrap();
        // Sizes from nothing over one block to some hundred KiB, as in a source tree.
        let size = match number % 10 {
            0 => random.below(300_000),
            1..=3 => random.below(30_000),
            _ => random.below(5000),
        };
        let contents = random.bytes(size as usize);
        let name = format!("{folder}/file-{number:04}");
        expected += &format!("{}  /{name}\n", hexadecimal(&Sha256::digest(&contents)));
        fs::write(files.join(name), contents).unwrap();
    }
    fs::write(files.join("sums"), sorted(&expected)).unwrap();
    let disk = bench.disk_from("1G", &files).unwrap();
    let mut session = bench.boot(Some(&disk)).unwrap();
    let command = "find /d* -type f | sort | xargs sha256sum | sort -k 2 > /found; sort -k 2 /sums | cmp - /found";
    let output = session.run_within(command, LONG).unwrap();
    assert_eq!((output.text.as_str(), output.status), ("", 0));
    assert_eq!(session.shutdown().unwrap(), Ending::Shutdown(0));
    disk::check(&disk, &["-fn"]).unwrap();
    let found = String::from_utf8(disk::read_file(&disk, "/found").unwrap()).unwrap();
    assert_eq!(sorted(&found), sorted(&expected));
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn five_hundred_operations_leave_a_clean_file_system_with_the_right_bytes() {
    let bench = Bench::new().unwrap();
    let disk = bench.disk("256M", &[]).unwrap();
    let mut random = Random(0x0b5e_55ed);
    // What should be there, file by file; the script does the same inside.
    let mut model: BTreeMap<String, String> = BTreeMap::new();
    let mut script = String::from("mkdir /many; cd /many\n");
    for number in 0..500 {
        let name = format!("f{:03}", random.below(120));
        match random.below(6) {
            0 | 1 => {
                let count = random.below(3000);
                script += &format!("seq 1 {count} > {name}\n");
                model.insert(name, numbers(count));
            }
            2 => {
                script += &format!("echo line {number} >> {name}\n");
                *model.entry(name).or_default() += &format!("line {number}\n");
            }
            3 if model.contains_key(&name) => {
                let target = format!("r{number:03}");
                script += &format!("mv {name} {target}\n");
                let contents = model.remove(&name).unwrap();
                model.insert(target, contents);
            }
            4 if model.contains_key(&name) => {
                script += &format!("rm {name}\n");
                model.remove(&name);
            }
            _ => {
                script += &format!(": > {name}\n");
                model.insert(name, String::new());
            }
        }
    }
    let files = bench.directory().join("script");
    fs::write(&files, &script).unwrap();
    put_file(&disk, &files, "/script");
    let mut session = bench.boot(Some(&disk)).unwrap();
    let output = session.run_within("sh /script", LONG).unwrap();
    assert_eq!((output.text.as_str(), output.status), ("", 0));
    let listing = session.run("ls -1 /many").unwrap().text;
    let names: Vec<&str> = listing.split_whitespace().collect();
    assert_eq!(names, model.keys().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(session.shutdown().unwrap(), Ending::Shutdown(0));
    disk::check(&disk, &["-fn"]).unwrap();
    for (name, contents) in &model {
        let found = disk::read_file(&disk, &format!("/many/{name}")).unwrap();
        assert_eq!(found, contents.as_bytes(), "{name}");
    }
}

fn numbers(count: u64) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

/// Puts one file of the host onto an image that no machine uses.
fn put_file(image: &Path, file: &Path, name: &str) {
    let request = format!("write {} {name}", file.display());
    let mut command = xtask::prepare::Tool::DebugFileSystem.command();
    let output = command::output(command.args(["-w", "-R", &request]).arg(image)).unwrap();
    assert_eq!(output.status, 0, "{}", output.stderr);
}

#[test]
fn what_was_synced_survives_power_cuts() {
    let options = powercut::Options { cuts: 5, seed: 1, quiet: true };
    powercut::run(&options).unwrap();
}

#[test]
fn the_system_goes_on_whichever_component_is_killed() {
    let components = torture::COMPONENTS.split(',').map(str::to_owned).collect();
    let outcomes = torture::torture(&torture::Options { kills: 2, seed: 1, components, report: None }).unwrap();
    let failures: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(outcomes.iter().all(|outcome| outcome.kills == 2 && outcome.under_load == 1));
}

#[test]
fn every_program_of_the_multi_call_binary_has_its_name_in_bin() {
    let bench = Bench::new().unwrap();
    let mut session = bench.boot(None).unwrap();
    for application in &bench.system.applications {
        for name in std::iter::once(&application.name).chain(&application.links) {
            let output = session.run(&format!("test -x '/bin/{name}'")).unwrap();
            assert_eq!(output.status, 0, "/bin/{name} is missing");
        }
    }
}

/// How long the shell may take to come back.
const SHELL_LIMIT: Duration = Duration::from_secs(20);

#[test]
fn the_shell_at_the_console_is_killed_and_comes_back() {
    let bench = Bench::new().unwrap();
    let disk = bench.disk("64M", &[]).unwrap();
    let mut session = bench.boot(Some(&disk)).unwrap();
    session.type_keys("cd /etc\r").unwrap();
    session.expect("/etc# ", SHELL_LIMIT).unwrap();
    session.type_keys("kill shell\r").unwrap();
    // The new one begins at home, and knows what was typed before.
    session.expect("~# ", SHELL_LIMIT).unwrap();
    assert_eq!(session.run("pwd; services | grep -c 'shell .*running'").unwrap().text, "/root\n1\n");
    assert_eq!(session.run("history | grep -c 'cd /etc$'").unwrap().text, "1\n");
    // A program in front, here one that a subshell left behind, ends with its shell and takes no key from the next one.
    session.type_keys("(sleep 1; kill shell) & (cat & cat); echo not reached\r").unwrap();
    session.expect("~# ", SHELL_LIMIT).unwrap();
    session.expect("~# ", SHELL_LIMIT).unwrap();
    for number in 0..5 {
        assert_eq!(session.run(&format!("echo {number}")).unwrap().text, format!("{number}\n"));
    }
    assert_eq!(session.run("ps | grep -c -e cat -e sleep").unwrap().text, "1\n", "grep alone");
    assert_eq!(session.shutdown().unwrap(), Ending::Shutdown(0));
}

#[test]
fn a_line_that_is_being_typed_goes_on_after_a_restart_of_the_console() {
    let bench = Bench::new().unwrap();
    let mut session = bench.boot(None).unwrap();
    session.type_keys("(sleep 1; kill console) & echo rea''dy; cat\r").unwrap();
    session.expect("\nready\r\n", SHELL_LIMIT).unwrap();
    session.type_keys("half of a lime").unwrap();
    session.expect("half of a lime", SHELL_LIMIT).unwrap();
    let started = Instant::now();
    while !session.kernel_log().contains("console was restarted") {
        assert!(started.elapsed() < SHELL_LIMIT, "{}", session.kernel_log());
        session.watch(Duration::from_millis(20)).unwrap();
    }
    // What was typed before can be erased after it.
    session.type_keys("\x7f\x7fne\r").unwrap();
    session.expect("\nhalf of a line\r\n", SHELL_LIMIT).unwrap();
    session.type_keys("\x04").unwrap();
    assert_eq!(session.run("echo on").unwrap().text, "on\n");
    assert_eq!(session.shutdown().unwrap(), Ending::Shutdown(0));
}

#[test]
fn a_component_that_fails_too_often_takes_those_along_who_need_it_once() {
    let script = "services start companion dependent base; sleep 3
        for name in base companion dependent; do services show $name | grep -e state -e generation; done";
    let output = motte(&["--no-disk", "--system", "tests/systems/escalation.toml"], script).unwrap();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    // Started, restarted, restarted with everything that needs it, restarted, left.
    assert_eq!(words[..4], ["state", "quarantined", "generation", "4"]);
    // After each of the three restarts.
    assert_eq!(words[4..8], ["state", "running", "generation", "4"]);
    // After the one that everything takes part in.
    assert_eq!(words[8..], ["state", "running", "generation", "2"]);
}

#[test]
fn a_component_that_fails_too_often_takes_those_along_whom_it_needs_once() {
    let script = "services start support leaning
        until services show leaning | grep -q quarantined; do sleep 0.02; done
        for name in leaning support; do services show $name | grep -e state -e generation; done";
    let output = motte(&["--no-disk", "--system", "tests/systems/escalation.toml"], script).unwrap();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(words[..4], ["state", "quarantined", "generation", "4"]);
    assert_eq!(words[4..], ["state", "running", "generation", "2"]);
}

#[test]
fn a_new_supervisor_knows_how_often_a_component_failed() {
    const EXPECTED: &str = "  state       running\n  generation  2\n  state       quarantined\n  generation  3\n";
    let state = "services show counted | grep -e state -e generation";
    let until = |words: &str| {
        format!("for i in $(seq 200); do {state} | tr -s '\\n ' ' ' | grep -q '{words}' && break; sleep 0.05; done")
    };
    let script = [
        "services start counted; kill counted".into(),
        until("running generation 2"),
        "kill supervisor".into(),
        until("running generation 2"),
        "kill counted".into(),
        until("running generation 3"),
        "kill counted".into(),
        until("quarantined generation 3"),
        "services show supervisor counted | grep -e state -e generation".into(),
    ];
    let options = ["--no-disk", "--system", "tests/systems/escalation.toml"];
    let output = motte(&options, &script.join("\n")).unwrap();
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (0, EXPECTED, ""));
}

#[test]
fn a_clock_that_runs_and_lies_is_found_out_and_started_anew() {
    let script = "for i in $(seq 200); do faults | grep -q clock && break; sleep 0.1; done
        faults 1 | grep -e cause -e generation
        until services show clock | grep -q running; do sleep 0.05; done
        date +%H";
    let output = motte(&["--no-disk", "--system", "tests/systems/lying-clock.toml"], script).unwrap();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[0], "fault 1: clock (generation 1)");
    let (cause, right) = lines[1].split_once(" s since 1970, where the hardware shows ").unwrap();
    let seconds = |text: &str| text.trim_end_matches(" s").parse::<u64>().unwrap();
    let said = cause.strip_prefix("  cause: health: it answered ").unwrap();
    assert_eq!(seconds(said) + 3600, seconds(right));
    // In the first hour of the year.
    assert_eq!(lines[2..], ["00"]);
}

#[test]
fn a_server_that_is_never_done_is_ended_and_those_whom_it_keeps_waiting_are_not() {
    let script =
        "services start never-done; sleep 2; faults | tail -n +2 | wc -l; faults 1 | grep -e '^fault' -e cause";
    let output = motte(&["--no-disk", "--system", "tests/systems/never-done.toml"], script).unwrap();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["1", "fault 1: never-done (generation 1)"]);
    let cause = lines[2].strip_prefix("cause: no processor time left for ").unwrap();
    assert!(cause.ends_with(" for 1000 ms"), "{cause}");
}

/// A component whose function of which `is` says that it is meant begins with other instructions from here on.
struct Changed {
    /// Held, so that the machine keeps its debugger.
    _guest: Guest,
    address: u64,
}

fn change(
    bench: &Bench,
    session: &mut Session,
    component: &str,
    is: impl Fn(&str) -> bool,
    instructions: &[u8],
) -> Changed {
    let stub = Gdb::connect(session.take_stub().unwrap()).unwrap();
    let mut guest = Guest::new(stub, &KernelPlaces::read(&bench.system.kernel).unwrap()).unwrap();
    let functions = elf::functions(&fs::read(bench.system.programs().join(component)).unwrap()).unwrap();
    let address = functions.iter().find(|function| is(&function.name)).unwrap().address;
    guest.stop().unwrap();
    let found = guest.component(component).unwrap().unwrap();
    guest.change_code(found.root, address, instructions).unwrap().unwrap();
    guest.resume().unwrap();
    Changed { _guest: guest, address }
}

#[test]
fn a_supervisor_that_hangs_is_ended_by_its_guardian() {
    /// A jump to itself.
    const LOOP: [u8; 2] = [0xeb, 0xfe];
    let bench = Bench::new().unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, None).unwrap();
    let changed = change(&bench, &mut session, "supervisor", |name| name.ends_with("::end_by_request"), &LOOP);
    let output =
        session.run_within("kill nobody; services show supervisor | grep -e state -e generation", LONG).unwrap();
    assert!(output.text.ends_with("  state       running\n  generation  2\n"), "{}", output.text);
    assert!(session.kernel_log().contains("guardian: the supervisor failed: no heartbeat for 2000 ms"));
    // The loop that it was in.
    let record = session.run("faults 1").unwrap().text;
    let first = format!("  #0 {:#x} supervisor::requests::", changed.address);
    assert!(record.lines().any(|line| line.starts_with(&first) && line.contains(" at ")), "{record}");
}

#[test]
fn a_registry_that_forgets_requests_is_told_so_and_started_anew() {
    /// Returns at once.
    const RETURN: [u8; 1] = [0xc3];
    let bench = Bench::new().unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, None).unwrap();
    let _changed = change(&bench, &mut session, "registry", |name| name.ends_with("reports::Reports::tell"), &RETURN);
    // The process server tells of its end.
    assert_eq!(session.run_within("cat /dev/null; echo ended", LONG).unwrap().text, "ended\n");
    let record = session.run("faults 1").unwrap().text;
    assert!(record.starts_with("fault 1: registry (generation 1)\n"), "{record}");
    assert!(record.contains(" was forgotten"), "{record}");
}

#[test]
fn a_file_server_that_says_that_the_disk_fails_is_doubted_once() {
    /// Returns the second variant.
    const RETURN_ERROR: [u8; 6] = [0xb8, 1, 0, 0, 0, 0xc3];
    let bench = Bench::new().unwrap();
    let image = bench.disk("64M", &[]).unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, Some(&image)).unwrap();
    // From here on their programs are in memory.
    session.run("sync; services show fs | grep -q nothing; sleep 0.1; cat /dev/null").unwrap();
    let _changed = change(
        &bench,
        &mut session,
        "fs",
        |name| name.contains("RingDisk") && name.ends_with("::submit"),
        &RETURN_ERROR,
    );
    let output = session.run_within("echo kept > /root/kept; sync; cat /root/kept", LONG).unwrap().text;
    assert_eq!(output, "kept\n");
    let record = session.run("faults 1").unwrap().text;
    assert!(record.starts_with("fault 1: fs (generation 1)\n"), "{record}");
    assert!(record.contains("the journal cannot be continued ("), "{record}");
}

#[test]
fn a_server_that_is_never_done_with_a_request_is_found_though_it_computes_on_its_clients_time() {
    /// `inc rax`, and again.
    const LOOP: [u8; 5] = [0x48, 0xff, 0xc0, 0xeb, 0xfb];
    let bench = Bench::new().unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, None).unwrap();
    // It has asked the supervisor by then.
    let _changed = change(&bench, &mut session, "dashboard", |name| name.ends_with("::to_metrics"), &LOOP);
    session.run_within("wget -q -T 3 -O /dev/null http://127.0.0.1/metrics", LONG).unwrap();
    let until = "until services show dashboard | grep -q 'generation  2'; do sleep 0.1; done";
    assert_eq!(session.run_within(&format!("{until}; echo found"), LONG).unwrap().text, "found\n");
    let record = session.run("faults 1").unwrap().text;
    assert!(record.starts_with("fault 1: dashboard (generation 1)\n  cause: no heartbeat for 5000 ms\n"), "{record}");
}

#[test]
fn a_supervisor_whose_tasks_do_not_run_any_more_ends() {
    /// Returns the second variant: not yet.
    const RETURN_PENDING: [u8; 6] = [0xb8, 1, 0, 0, 0, 0xc3];
    let bench = Bench::new().unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, None).unwrap();
    let _changed = change(
        &bench,
        &mut session,
        "supervisor",
        |name| name.contains("tasks::Sleep") && name.ends_with("::poll"),
        &RETURN_PENDING,
    );
    // It answers all the same.
    let until = "until services show supervisor | grep -q 'generation  2'; do sleep 0.1; done; services kill clock; date +%Y > /dev/null";
    assert_eq!(session.run_within(&format!("{until}; echo goes on"), LONG).unwrap().text, "goes on\n");
    let log = session.kernel_log();
    assert!(log.contains("guardian: the supervisor failed: panicked at services/supervisor/src/requests.rs:"), "{log}");
    assert!(log.contains("its own tasks do not run any more"), "{log}");
}

#[test]
fn a_disk_driver_that_understands_nothing_any_more_is_complained_of() {
    /// Returns the third variant: there is no such method.
    const RETURN_UNKNOWN: [u8; 6] = [0xb8, 2, 0, 0, 0, 0xc3];
    let bench = Bench::new().unwrap();
    let image = bench.disk("64M", &[]).unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, Some(&image)).unwrap();
    // From here on their programs are in memory.
    session.run("sync; services show fs | grep -q nothing; sleep 0.1; cat /dev/null").unwrap();
    let _changed = change(&bench, &mut session, "virtio-blk", |name| name.ends_with("dispatch_block"), &RETURN_UNKNOWN);
    let output = session.run_within("echo kept > /root/kept; sync; cat /root/kept", LONG).unwrap().text;
    assert_eq!(output, "kept\n");
    let record = session.run("faults 1").unwrap().text;
    assert!(record.starts_with("fault 1: virtio-blk (generation 1)\n"), "{record}");
    assert!(record.contains("  cause: fs: it answered an error, or nothing\n"), "{record}");
}

#[test]
fn a_bus_that_hides_the_disk_is_started_anew_by_the_failures_of_the_driver() {
    /// Returns 0: nobody drives the device.
    const RETURN_ZERO: [u8; 3] = [0x31, 0xc0, 0xc3];
    let bench = Bench::new().unwrap();
    let image = bench.disk("64M", &[]).unwrap();
    let mut session = bench.boot_on(&Hardware { has_stub: true, ..Hardware::default() }, Some(&image)).unwrap();
    // From here on their programs are in memory.
    session.run("sync; services show fs | grep -q nothing; sleep 0.1; cat /dev/null").unwrap();
    let _changed = change(&bench, &mut session, "pci", |name| name.ends_with("Claims::driver"), &RETURN_ZERO);
    let script = "services restart virtio-blk; for i in $(seq 100); do echo kept > /root/kept && sync && break; sleep 0.1; done; \
                  cat /root/kept; services show pci | grep generation";
    let output = session.run_within(script, LONG).unwrap().text;
    assert!(output.ends_with("kept\n  generation  2\n"), "{output}");
}

/// What each component uses, to the page; the whole machine's, and the kernel's; the supervisor's slots.
const USAGE: &str = "services -b | tr -s ' ' | cut -d ' ' -f 1,2,5; free -b | tail -n 1 | tr -s ' ' | cut -d ' ' -f 1,6; \
                     free -b | tail -n 1 | tr -s ' ' | cut -d ' ' -f 3; services show supervisor | tr -s ' ' | grep slots";

#[test]
fn components_that_were_restarted_fifty_times_leave_nothing_behind() {
    /// Heaps grow in steps; the supervisor's holds what happened lately.
    const SLACK: u64 = 256 << 10;
    /// A step of a heap, with the table that holds its pages.
    const STEP: u64 = 80 << 10;
    /// What the log takes when it is full, and a new one has read all of it. How full it is depends on how much went on.
    const FULL_LOG: u64 = 512 << 10;
    const NAMES: &str = "registry log fault-log console pci virtio-blk clock pipe fs process";
    let bench = Bench::new().unwrap();
    let disk = bench.disk("64M", &[]).unwrap();
    let mut session = bench.boot(Some(&disk)).unwrap();
    // It starts a program every second, whose memory would be counted now and then.
    assert_eq!(session.run("services stop health").unwrap().status, 0);
    let mut rounds = |count: u32| {
        let wait = format!("until ! services {NAMES} | grep state | grep -qv running; do sleep 0.02; done");
        let script = format!("for i in $(seq {count}); do services restart {NAMES}; {wait}; done");
        let output = session.run_within(&script, LONG).unwrap();
        assert_eq!((output.text.as_str(), output.status), ("", 0));
        let faults = session.run("for number in $(seq 5); do faults $number 2> /dev/null; done").unwrap().text;
        assert!(faults.is_empty(), "{faults}");
        let usage = session.run(USAGE).unwrap().text;
        let (lines, last): (Vec<_>, Vec<_>) =
            usage.lines().partition(|line| line.contains(char::is_alphabetic) && !line.starts_with(" slots"));
        let slots: u64 = last[1].split(' ').find_map(|word| word.parse().ok()).unwrap();
        let usage: BTreeMap<String, u64> = lines
            .into_iter()
            .filter_map(|line| Some((line.split(' ').next()?.to_owned(), line.rsplit(' ').next()?.parse().ok()?)))
            .collect();
        (usage, last[0].parse::<u64>().unwrap(), slots)
    };
    // Some memory is taken at first use and kept: the second time it is there.
    let (before, used, slots) = rounds(10);
    let (after, used_after, slots_after) = rounds(40);
    assert!(before.contains_key("Mem:"), "the kernel's memory is not among {before:?}");
    let restarted: Vec<&str> = NAMES.split(' ').collect();
    for (name, &bytes) in &before {
        match (name.as_str(), after[name]) {
            ("log", after) => {
                assert!(bytes <= FULL_LOG && after <= FULL_LOG, "the log took {bytes} bytes, and {after} now")
            }
            ("supervisor" | "process", _) => {}
            // What it takes depends on what it has done since its last start.
            (name, after) if restarted.contains(&name) => {
                assert!(after <= bytes + STEP, "{name} took {bytes} bytes, and {after} now")
            }
            (name, after) => assert_eq!(bytes, after, "{name}"),
        }
    }
    // Of all others, what nobody of them accounts for included.
    let theirs = |usage: &BTreeMap<String, u64>| -> u64 {
        restarted.iter().filter(|&&name| name != "process").map(|&name| usage[name]).sum()
    };
    let (used, used_after) = (used - theirs(&before), used_after - theirs(&after));
    assert!(used_after <= used + SLACK, "{used} bytes were in use, and {used_after} are: {before:?}, {after:?}");
    assert!(slots_after <= slots + 2, "the supervisor used {slots} slots, and {slots_after} now");
}

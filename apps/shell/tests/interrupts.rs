//! Ctrl-C ends what runs in the foreground, and nothing else.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use motte_shell::shell::{Flow, Shell};
use motte_shell::sys;

/// There is one console, so one test at a time may type at it.
static CONSOLE: Mutex<()> = Mutex::new(());

/// Runs `script` and types Ctrl-C a moment later.
fn interrupted(script: &str) -> (Result<i32, Flow>, Shell) {
    let _console = CONSOLE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    sys::INTERRUPT.store(false, Ordering::Relaxed);
    let mut shell = Shell::new("sh", std::env::vars().collect());
    shell.interrupts = Some(sys::Interrupts::new());
    let typist = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(100));
        sys::INTERRUPT.store(true, Ordering::Relaxed);
    });
    let result = shell.run_text(script);
    typist.join().expect("type Ctrl-C");
    (result, shell)
}

#[test]
fn an_endless_loop_ends() {
    let (result, _) = interrupted("while :; do :; done");
    assert_eq!(result, Err(Flow::Interrupted));
    let (result, _) = interrupted("f() { until false; do x=1; done; }; f; y=2");
    assert_eq!(result, Err(Flow::Interrupted));
}

#[test]
fn a_program_ends_and_what_follows_does_not_run() {
    let (result, shell) = interrupted("x=1; /bin/sleep 30; x=2");
    assert_eq!(result, Err(Flow::Interrupted));
    assert_eq!(shell.variable("x"), Some("1"));
    assert_eq!(shell.status, 130);
}

#[test]
fn sleeping_ends() {
    let (result, _) = interrupted("sleep 30");
    assert_eq!(result, Err(Flow::Interrupted));
}

#[test]
fn a_trap_answers_and_the_script_goes_on() {
    let (result, shell) = interrupted("trap 'caught=yes' INT; until [ \"$caught\" ]; do :; done; after=1");
    assert_eq!(result, Ok(0));
    assert_eq!(shell.variable("after"), Some("1"));
}

#[test]
fn the_state_is_whole_after_an_interrupt() {
    let (result, mut shell) = interrupted("x=out; f() { local x=in; (while :; do :; done) >/dev/null; }; f a b");
    assert_eq!(result, Err(Flow::Interrupted));
    assert_eq!(shell.variable("x"), Some("out"));
    assert!(shell.state.positional.is_empty());
    assert_eq!((shell.state.loops, shell.state.calls, shell.state.tested), (0, 0, 0));
    assert_eq!(shell.run_text("true"), Ok(0));
}

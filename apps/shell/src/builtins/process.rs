//! Builtins about processes and jobs.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::{misuse, print};
use crate::ast::{Simple, Word};
use crate::jobs::Stage;
use crate::print::quote;
use crate::shell::{Flow, Outcome, Shell};
use crate::sys;

/// `exec command`: the program runs, and with it the shell ends.
pub fn exec(shell: &mut Shell, fields: &[String]) -> Outcome {
    let fields = &fields[1..];
    if super::exists(&fields[0]) {
        let status = super::run(shell, fields)?;
        return Err(Flow::Exit(status));
    }
    let words = fields.iter().map(|field| Word::quoted(field)).collect();
    let simple = Simple { words, ..Simple::default() };
    let status = shell.run_program(&simple, fields)?;
    shell.state.traps.remove("EXIT");
    Err(Flow::Exit(status))
}

/// `jobs`
pub fn jobs(shell: &mut Shell, fields: &[String]) -> Outcome {
    let mut text = String::new();
    let only_pids = fields.get(1).is_some_and(|field| field == "-p");
    shell.jobs.list.retain_mut(|job| {
        let status = job.poll();
        let how = match status {
            None => "running".to_string(),
            Some(0) => "done".to_string(),
            Some(status) => format!("exit {status}"),
        };
        if only_pids {
            text.push_str(&format!("{}\n", job.pid));
            return true;
        }
        text.push_str(&format!("[{}] {} {how}\t{}\n", job.number, job.pid, job.text));
        status.is_none()
    });
    print(shell, text.as_bytes())
}

/// `wait`
pub fn wait(shell: &mut Shell, fields: &[String]) -> Outcome {
    if fields.len() == 1 {
        while !shell.jobs.list.is_empty() {
            shell.wait_for_job(0)?;
        }
        return Ok(0);
    }
    let mut status = 0;
    for name in &fields[1..] {
        status = match shell.jobs.find(name) {
            Some(index) => shell.wait_for_job(index)?,
            None => 127,
        };
    }
    Ok(status)
}

/// `fg`
pub fn fg(shell: &mut Shell, fields: &[String]) -> Outcome {
    let name = fields.get(1).map_or("%%", String::as_str);
    let Some(index) = shell.jobs.find(name) else {
        shell.complain(&format!("fg: there is no job '{name}'"));
        return Ok(1);
    };
    let text = format!("{}\n", shell.jobs.list[index].text);
    print(shell, text.as_bytes())?;
    shell.wait_for_job(index)
}

/// `kill`
pub fn kill(shell: &mut Shell, fields: &[String]) -> Outcome {
    let mut signal = 15;
    let mut index = 1;
    while let Some(option) = fields.get(index).filter(|field| field.starts_with('-')) {
        let mut name = option.trim_start_matches('-').to_string();
        index += 1;
        if name == "s" {
            name = fields.get(index).cloned().unwrap_or_default();
            index += 1;
        }
        if option == "--" {
            break;
        }
        signal = match name.to_ascii_uppercase().trim_start_matches("SIG") {
            "L" => return print(shell, b"INT KILL TERM\n"),
            "9" | "KILL" => 9,
            "15" | "TERM" => 15,
            "2" | "INT" => 2,
            "1" | "HUP" => 1,
            number => match number.parse() {
                Ok(number @ 0..=64) => number,
                _ => return misuse(shell, &format!("kill: unknown signal '{name}'")),
            },
        };
    }
    if index >= fields.len() {
        return misuse(shell, "kill: whom? Give a process's number, %job, or a component's name");
    }
    let mut status = 0;
    for target in &fields[index..] {
        if let Err(message) = kill_one(shell, target, signal) {
            shell.complain(&format!("kill: {message}"));
            status = 1;
        }
    }
    Ok(status)
}

fn kill_one(shell: &mut Shell, target: &str, signal: i32) -> Result<(), String> {
    let explain = |error: sys::io::Error| match error.kind() {
        sys::io::ErrorKind::NotFound => format!("there is no process {target}"),
        _ => format!("cannot end {target}: {}", sys::describe(&error)),
    };
    if target.starts_with('%') {
        let Some(index) = shell.jobs.find(target) else { return Err(format!("there is no job '{target}'")) };
        for stage in &shell.jobs.list[index].stages {
            if let Stage::Running(child, _) = stage {
                sys::kill(child.id(), signal).map_err(explain)?;
            }
        }
        return Ok(());
    }
    match target.parse() {
        Ok(pid) => sys::kill(pid, signal).map_err(explain),
        Err(_) => sys::kill_component(target),
    }
}

/// `sleep`
pub fn sleep(shell: &mut Shell, fields: &[String]) -> Outcome {
    let Some(mut left) = fields.get(1).and_then(|text| duration(text)) else {
        return misuse(shell, "sleep: wants a number of seconds");
    };
    let step = Duration::from_millis(50);
    while shell.interrupts.is_some() && left > step {
        sys::sleep(step);
        left -= step;
        shell.check_interrupt()?;
    }
    sys::sleep(left);
    Ok(0)
}

/// Seconds with an optional fraction, and an optional unit `s`, `m`, `h`, `d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1),
        'm' => (&text[..text.len() - 1], 60),
        'h' => (&text[..text.len() - 1], 3600),
        'd' => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Duration::new(seconds, digits.parse().ok()?).checked_mul(unit)
}

/// `trap`
pub fn trap(shell: &mut Shell, fields: &[String]) -> Outcome {
    let arguments = match fields.get(1).map(String::as_str) {
        Some("--") => &fields[2..],
        _ => &fields[1..],
    };
    let Some((action, events)) = arguments.split_first() else {
        let mut text = String::new();
        for (event, action) in &shell.state.traps {
            text.push_str(&format!("trap -- {} {event}\n", quote(action)));
        }
        return print(shell, text.as_bytes());
    };
    // With a single argument, or a number first, the events return to what they were.
    let reset = events.is_empty() || action == "-" || action.parse::<u32>().is_ok();
    let events = if events.is_empty() || action.parse::<u32>().is_ok() { arguments } else { events };
    for event in events {
        let name = match event.to_ascii_uppercase().trim_start_matches("SIG") {
            "0" | "EXIT" => "EXIT",
            "2" | "INT" => "INT",
            // These never reach a program here; a script that minds them still works.
            "1" | "HUP" | "3" | "QUIT" | "13" | "PIPE" | "15" | "TERM" => continue,
            _ => {
                shell.complain(&format!("trap: unknown event '{event}' (known: EXIT INT)"));
                return Ok(1);
            }
        };
        if reset {
            shell.state.traps.remove(name);
        } else {
            shell.state.traps.insert(name.into(), action.clone());
        }
    }
    Ok(0)
}

//! date, sleep, uptime.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args::{self, Opt};
use crate::calendar::{now, parse_date, strftime};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::time::Duration;
use crate::sys::{fs, process, system, thread};
use crate::text::{clock, nanoseconds};

pub const DATE: Tool = Tool {
    name: "date",
    about: "print the date and time",
    help: "Usage: date [-u] [-d DATE] [-r FILE] [-I[seconds]] [-R] [+FORMAT]
Prints the date and time, in UTC.
  -d DATE  this moment: '2026-11-21 07:30', '@1700000000'   -r FILE  when the file was written
  -I  as 2026-11-21; -Iseconds with the time   -R  as in mail
  +FORMAT  %Y %m %d %H %M %S, %F date, %T time, %s seconds since 1970, %N nanoseconds, %a %A day, %b %B month, %j
Example: date '+%F %T'",
    run: date,
};

pub const SLEEP: Tool = Tool {
    name: "sleep",
    about: "wait",
    help: "Usage: sleep TIME...
Waits for the sum of the times: seconds, or with s, m, h, d behind; with a point too.
Example: sleep 0.5",
    run: sleep,
};

pub const UPTIME: Tool = Tool {
    name: "uptime",
    about: "print how long the system has run",
    help: "Usage: uptime [-p] [-s]
Prints the time, how long the system has run, and how many programs run.
  -p  in words   -s  since when
Example: uptime -p",
    run: uptime,
};

fn date(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('u', "utc"),
        Opt::Value('d', "date"),
        Opt::Value('r', "reference"),
        Opt::Flag('R', "rfc-email"),
        Opt::Attached('I', "iso-8601"),
    ];
    // The value of -I may stand right behind it.
    let args: alloc::vec::Vec<String> = args
        .iter()
        .map(|argument| match argument.strip_prefix("-I") {
            Some(form) if !form.is_empty() => format!("--iso-8601={form}"),
            _ => argument.clone(),
        })
        .collect();
    let parsed = args::parse(context, &args, &known)?;
    let (seconds, nanos) = if let Some(text) = parsed.value('d') {
        match parse_date(text) {
            Some(seconds) => (seconds, 0),
            None => {
                return Err(Failure::new(1, format_args!("'{text}' is no date; try '2026-11-21 07:30'")));
            }
        }
    } else if let Some(path) = parsed.value('r') {
        let metadata = fs::metadata(path).map_err(|error| {
            Failure::new(1, format_args!("cannot read the time of '{path}': {}", describe(&error)))
        })?;
        (metadata.mtime(), 0)
    } else {
        now()
    };
    let format = match (parsed.operands.as_slice(), parsed.value('I')) {
        ([], Some("" | "date")) => "%Y-%m-%d".to_string(),
        ([], Some("hours")) => "%Y-%m-%dT%H+00:00".to_string(),
        ([], Some("minutes")) => "%Y-%m-%dT%H:%M+00:00".to_string(),
        ([], Some("seconds")) => "%Y-%m-%dT%H:%M:%S+00:00".to_string(),
        ([], Some("ns")) => "%Y-%m-%dT%H:%M:%S,%N+00:00".to_string(),
        ([], Some(other)) => return Err(args::misuse(context, format_args!("'{other}' is no form of '-I'"))),
        ([], None) if parsed.has('R') => "%a, %d %b %Y %H:%M:%S +0000".to_string(),
        ([], None) => "%a %b %e %H:%M:%S UTC %Y".to_string(),
        ([format], None) if format.starts_with('+') => format[1..].to_string(),
        ([other, ..], _) => {
            return Err(args::misuse(context, format_args!("'{other}' is no format; it begins with '+'")));
        }
    };
    put!(context, "{}\n", strftime(&format, seconds, nanos));
    Ok(0)
}

fn sleep(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no time to wait for"));
    }
    let mut total = 0u64;
    for text in &parsed.operands {
        match nanoseconds(text) {
            Some(nanos) => total = total.saturating_add(nanos),
            None => return Err(args::misuse(context, format_args!("'{text}' is no time such as 0.5 or 2m"))),
        }
    }
    thread::sleep(Duration::from_nanos(total));
    Ok(0)
}

fn uptime(context: &mut Context, args: &[String]) -> Outcome {
    let parsed = args::parse(context, args, &[Opt::Flag('p', "pretty"), Opt::Flag('s', "since")])?;
    let up = system::uptime();
    let minutes = up.as_secs() / 60;
    if parsed.has('s') {
        let since = now().0 - i64::try_from(up.as_secs()).unwrap_or(0);
        put!(context, "{}\n", strftime("%F %T", since, 0));
    } else if parsed.has('p') {
        let units = [(minutes / 1_440, "day"), (minutes / 60 % 24, "hour"), (minutes % 60, "minute")];
        let mut parts: alloc::vec::Vec<String> = units
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        if parts.is_empty() {
            parts.push(format!("{} seconds", up.as_secs()));
        }
        put!(context, "up {}\n", parts.join(", "));
    } else {
        let time = strftime("%T", now().0, 0);
        let nanos = u64::try_from(up.as_nanos()).unwrap_or(u64::MAX);
        put!(context, "{time} up {}", clock(nanos));
        match process::list() {
            Ok(list) => put!(context, ", {} processes\n", list.len()),
            Err(_) => put!(context, "\n"),
        }
    }
    Ok(0)
}

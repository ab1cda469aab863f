//! top.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Tool;
use super::processes::{cpu_time, print_table};
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::time::{Duration, Instant};
use crate::sys::{process, system, terminal, thread};
use crate::text::{clock, human, nanoseconds};

pub const TOP: Tool = Tool {
    name: "top",
    about: "show what uses the processor",
    help: "Usage: top [-b] [-n N] [-d SECONDS]
Shows again and again which components and programs use the processor and the memory. Ctrl-C ends it.
  -b  one table after another, without moving the cursor   -n N  only N times   -d SECONDS  so often (2)
Example: top -b -n 1",
    run: top,
};

struct Row {
    id: String,
    name: String,
    state: String,
    memory: u64,
    cpu_ns: u64,
}

fn top(context: &mut Context, args: &[String]) -> Outcome {
    let known = [Opt::Flag('b', "batch"), Opt::Value('n', "iterations"), Opt::Value('d', "delay")];
    let parsed = args::parse(context, args, &known)?;
    let batch = parsed.has('b') || !context.out.is_terminal();
    let times = match parsed.value('n').map(|text| (text, text.parse::<u64>())) {
        None if batch => 1,
        None => u64::MAX,
        Some((_, Ok(times))) => times,
        Some((text, Err(_))) => return Err(args::misuse(context, format_args!("'{text}' is no number"))),
    };
    let delay = match parsed.value('d').map(|text| (text, nanoseconds(text))) {
        None => 2_000_000_000,
        Some((_, Some(delay))) => delay.max(100_000_000),
        Some((text, None)) => return Err(args::misuse(context, format_args!("'{text}' is no time"))),
    };
    let mut before: BTreeMap<String, u64> = BTreeMap::new();
    let mut since: Option<Instant> = None;
    for round in 0..times {
        if round > 0 {
            thread::sleep(Duration::from_nanos(delay));
        }
        let rows = rows()?;
        let elapsed = match &since {
            Some(since) => since.elapsed(),
            None => system::uptime(),
        };
        since = Some(Instant::now());
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
        show(context, &rows, &before, elapsed, batch);
        before = rows.into_iter().map(|row| (row.id, row.cpu_ns)).collect();
        context.out.flush();
        if context.out.is_broken() {
            break;
        }
    }
    Ok(0)
}

fn rows() -> Result<Vec<Row>, Failure> {
    let failed = |what: &str, error: &crate::sys::io::Error| {
        Failure::new(1, format_args!("cannot list the {what}: {}", describe(error)))
    };
    let mut rows = Vec::new();
    for info in process::list().map_err(|error| failed("programs", &error))? {
        rows.push(Row {
            id: info.id.to_string(),
            name: if info.command.is_empty() { info.name.clone() } else { info.command.clone() },
            state: info.state.to_string(),
            memory: info.memory,
            cpu_ns: info.cpu_ns,
        });
    }
    for info in system::components().map_err(|error| failed("components", &error))? {
        rows.push(Row {
            id: format!("[{}]", info.name),
            name: info.name.clone(),
            state: info.state.to_string(),
            memory: info.memory,
            cpu_ns: info.cpu_ns,
        });
    }
    Ok(rows)
}

fn show(context: &mut Context, rows: &[Row], before: &BTreeMap<String, u64>, elapsed: u64, batch: bool) {
    if !batch {
        // To the upper left corner, and everything below erased.
        put!(context, "\x1b[H\x1b[J");
    }
    let up = u64::try_from(system::uptime().as_nanos()).unwrap_or(u64::MAX);
    put!(context, "up {}, {} tasks\n", clock(up), rows.len());
    if let Ok(memory) = system::memory() {
        put!(
            context,
            "memory {} total, {} used, {} free, {} cache, {} kernel\n",
            human(memory.total),
            human(memory.used),
            human(memory.free),
            human(memory.cache),
            human(memory.kernel)
        );
    }
    put!(context, "\n");
    let mut shares: Vec<(u64, &Row)> = rows
        .iter()
        .map(|row| {
            let used = row.cpu_ns.saturating_sub(before.get(&row.id).copied().unwrap_or(0));
            (u64::try_from(u128::from(used) * 1_000 / u128::from(elapsed)).unwrap_or(0), row)
        })
        .collect();
    shares.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.cpu_ns.cmp(&a.1.cpu_ns)));
    let height = match terminal::size() {
        Some((_, rows)) if !batch => usize::from(rows).saturating_sub(5).max(1),
        _ => usize::MAX,
    };
    let mut table = vec![["PID", "STATE", "MEM", "%CPU", "TIME", "COMMAND"].map(String::from).to_vec()];
    for (share, row) in shares.into_iter().take(height) {
        table.push(vec![
            row.id.clone(),
            row.state.clone(),
            human(row.memory),
            format!("{}.{}", share / 10, share % 10),
            cpu_time(row.cpu_ns),
            row.name.clone(),
        ]);
    }
    print_table(context, &table, &[false, true, false, false, false, true]);
}

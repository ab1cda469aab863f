//! services, start, stop, restart.

use alloc::format;
use alloc::string::{String, ToString};

use super::Tool;
use super::processes::{cpu_time, print_table};
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::context::put;
use crate::sys::io::{self, ErrorKind};
use crate::sys::system::{self, ComponentInfo};
use crate::text::{clock, human};

pub const SERVICES: Tool = Tool {
    name: "services",
    about: "list the components, and start or stop them",
    help: "Usage: services [-bl] [NAME]...
       services show|start|stop|restart|kill NAME...
       services -w [-n N] [NAME]...
Lists the components of the system: state, restarts, time since the last start, memory and quota, processor
time and its share of the time since the last start, and what they provide.
  -l  everything that is known of each, as 'show' does for some   -b  memory in bytes
  -w  go on with every change of a component's state: time, component, state, generation, and why it ended
  -n N  end after N changes
Example: services show virtio-blk; services restart virtio-blk; services -w -n 2",
    run: services,
};

pub const START: Tool = Tool {
    name: "start",
    about: "start components",
    help: "Usage: start NAME...
Starts components that were stopped.
Example: start clock",
    run: |context, args| command(context, args, "start"),
};

pub const STOP: Tool = Tool {
    name: "stop",
    about: "stop components",
    help: "Usage: stop NAME...
Stops components; they stay down until they are started.
Example: stop clock",
    run: |context, args| command(context, args, "stop"),
};

pub const RESTART: Tool = Tool {
    name: "restart",
    about: "restart components",
    help: "Usage: restart NAME...
Stops components and starts them anew; their clients go on.
Example: restart virtio-blk",
    run: |context, args| command(context, args, "restart"),
};

fn command(context: &mut Context, args: &[String], verb: &str) -> Outcome {
    let parsed = args::parse(context, args, &[])?;
    act(context, verb, &parsed.operands)
}

fn act(context: &mut Context, verb: &str, names: &[String]) -> Outcome {
    if names.is_empty() {
        return Err(args::misuse(context, format_args!("there is no component to {verb}")));
    }
    let action: fn(&str) -> io::Result<()> = match verb {
        "start" => |name| system::start(name),
        "stop" => |name| system::stop(name),
        "restart" => |name| system::restart(name),
        _ => |name| system::kill(name),
    };
    for name in names {
        if let Err(error) = action(name) {
            let reason = match error.kind() {
                ErrorKind::NotFound => "no component has that name; 'services' lists them".to_string(),
                _ => describe(&error),
            };
            context.error(format_args!("cannot {verb} '{name}': {reason}"));
        }
    }
    Ok(context.status)
}

fn services(context: &mut Context, args: &[String]) -> Outcome {
    let known = [Opt::Flag('l', "long"), Opt::Flag('b', "bytes"), Opt::Flag('w', "watch"), Opt::Value('n', "changes")];
    let parsed = args::parse(context, args, &known)?;
    if parsed.has('w') {
        return watch(context, &parsed);
    }
    let mut operands = parsed.operands.as_slice();
    if let Some((first, names)) = operands.split_first() {
        match first.as_str() {
            verb @ ("start" | "stop" | "restart" | "kill") => return act(context, verb, names),
            "list" | "status" | "show" => operands = names,
            _ => {}
        }
    }
    let mut components = system::components()
        .map_err(|error| Failure::new(1, format_args!("cannot list the components: {}", describe(&error))))?;
    for name in operands {
        if !components.iter().any(|component| component.name == *name) {
            context.error(format_args!("no component is named '{name}'; 'services' lists them all"));
        }
    }
    if !operands.is_empty() {
        components.retain(|component| operands.contains(&component.name));
    }
    if parsed.has('l') || !operands.is_empty() {
        for (position, component) in components.iter().enumerate() {
            if position > 0 {
                put!(context, "\n");
            }
            describe_component(context, component);
        }
        return Ok(context.status);
    }
    let size = |bytes: u64| if parsed.has('b') { bytes.to_string() } else { human(bytes) };
    let head = ["NAME", "STATE", "RESTARTS", "UP", "MEM", "QUOTA", "CPU", "SHARE", "PROVIDES"].map(String::from);
    let mut table = vec![head.to_vec()];
    for component in &components {
        table.push(vec![
            component.name.clone(),
            component.state.to_string(),
            component.restarts.to_string(),
            clock(component.uptime_ns),
            size(component.memory),
            size(component.memory_quota),
            cpu_time(component.cpu_ns),
            share(component),
            component.provides.join(","),
        ]);
    }
    print_table(context, &table, &[true, true, false, false, false, false, false, false, true]);
    Ok(context.status)
}

/// Its part of the processor's time since its last start.
fn share(component: &ComponentInfo) -> String {
    let permille = u128::from(component.cpu_ns) * 1000 / u128::from(component.uptime_ns.max(1));
    format!("{}.{}%", permille / 10, permille % 10)
}

/// Prints every change of a state from now on.
fn watch(context: &mut Context, parsed: &args::Parsed) -> Outcome {
    let failed = |error: io::Error| Failure::new(1, format_args!("cannot watch the components: {}", describe(&error)));
    let mut left = match parsed.value('n').map(|text| (text, text.parse::<u64>())) {
        None => u64::MAX,
        Some((_, Ok(count))) => count,
        Some((text, Err(_))) => return Err(args::misuse(context, format_args!("'{text}' is no number"))),
    };
    let known = system::changes(0).map_err(failed)?;
    let mut next = known.last().map_or(1, |change| change.number + 1);
    while left > 0 && !context.out.is_broken() {
        let change = system::next_change(next).map_err(failed)?;
        next = change.number + 1;
        if !parsed.operands.is_empty() && !parsed.operands.contains(&change.component) {
            continue;
        }
        left -= 1;
        let (seconds, millis) = (change.time_ns / 1_000_000_000, change.time_ns / 1_000_000 % 1000);
        put!(context, "[{seconds:5}.{millis:03}] {} {} (generation {})", change.component, change.state, change.generation);
        match change.reason.as_str() {
            reason if !reason.is_empty() && change.state != "running" => put!(context, ": {reason}\n"),
            _ => put!(context, "\n"),
        }
        context.out.flush();
    }
    Ok(0)
}

fn describe_component(context: &mut Context, component: &ComponentInfo) {
    let list = |names: &[String]| if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
    put!(context, "{}\n", component.name);
    put!(context, "  state       {}\n", component.state);
    if component.restart_in_ns > 0 {
        put!(context, "  starts in   {} ms\n", component.restart_in_ns.div_ceil(1_000_000));
    }
    if component.fault > 0 {
        put!(context, "  last fault  {}: {}\n", component.fault, component.reason);
    }
    put!(context, "  generation  {}\n", component.generation);
    put!(context, "  restarts    {}\n", component.restarts);
    put!(context, "  policy      {}\n", component.policy);
    put!(context, "  up          {}\n", clock(component.uptime_ns));
    put!(context, "  memory      {} of {}\n", human(component.memory), human(component.memory_quota));
    match component.slots_used {
        0 => put!(context, "  slots       {}\n", component.slots),
        used => put!(context, "  slots       {used} of {}\n", component.slots),
    }
    put!(context, "  processor   {}, {} of the time\n", cpu_time(component.cpu_ns), share(component));
    put!(context, "  provides    {}\n", list(&component.provides));
    put!(context, "  uses        {}\n", list(&component.uses));
}

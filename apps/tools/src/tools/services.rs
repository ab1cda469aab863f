//! services, start, stop, restart.

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
    help: "Usage: services [-l] [NAME]...
       services start|stop|restart|kill NAME...
Lists the components of the system: state, restarts, time since the last start, memory, and what they provide.
  -l  everything that is known of each
Example: services restart virtio-blk",
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
    let parsed = args::parse(context, args, &[Opt::Flag('l', "long")])?;
    let mut operands = parsed.operands.as_slice();
    if let Some((first, names)) = operands.split_first() {
        match first.as_str() {
            verb @ ("start" | "stop" | "restart" | "kill") => return act(context, verb, names),
            "list" | "status" => operands = names,
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
    let head = ["NAME", "STATE", "RESTARTS", "UP", "MEM", "QUOTA", "CPU", "PROVIDES"].map(String::from);
    let mut table = vec![head.to_vec()];
    for component in &components {
        table.push(vec![
            component.name.clone(),
            component.state.to_string(),
            component.restarts.to_string(),
            clock(component.uptime_ns),
            human(component.memory),
            human(component.memory_quota),
            cpu_time(component.cpu_ns),
            component.provides.join(","),
        ]);
    }
    print_table(context, &table, &[true, true, false, false, false, false, false, true]);
    Ok(context.status)
}

fn describe_component(context: &mut Context, component: &ComponentInfo) {
    let list = |names: &[String]| if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
    put!(context, "{}\n", component.name);
    put!(context, "  state       {}\n", component.state);
    put!(context, "  generation  {}\n", component.generation);
    put!(context, "  restarts    {}\n", component.restarts);
    put!(context, "  up          {}\n", clock(component.uptime_ns));
    put!(context, "  memory      {} of {}\n", human(component.memory), human(component.memory_quota));
    put!(context, "  processor   {}\n", cpu_time(component.cpu_ns));
    put!(context, "  provides    {}\n", list(&component.provides));
    put!(context, "  uses        {}\n", list(&component.uses));
}

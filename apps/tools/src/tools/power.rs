//! shutdown and reboot.

use alloc::string::String;

use super::Tool;
use crate::args::{self, Opt};
use crate::context::{Context, Failure, Outcome, describe};
use crate::sys::{fs, system};

pub const SHUTDOWN: Tool = Tool {
    name: "shutdown",
    about: "end the system",
    help: "Usage: shutdown [-s STATUS] [-r]
Brings everything written to the disk, unmounts it, and switches the machine off.
  -s STATUS  with this exit status for whoever started the machine   -r  start anew instead
Example: shutdown",
    run: shutdown,
};

pub const REBOOT: Tool = Tool {
    name: "reboot",
    about: "start the machine anew",
    help: "Usage: reboot
Brings everything written to the disk, unmounts it, and starts the machine anew.
Example: reboot",
    run: reboot,
};

fn shutdown(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Value('s', "status"),
        Opt::Flag('r', "reboot"),
        Opt::Flag('h', "halt"),
        Opt::Flag('P', "poweroff"),
    ];
    let parsed = args::parse(context, args, &known)?;
    let status = match parsed.value('s').map(|text| (text, text.parse::<u8>())) {
        None => 0,
        Some((_, Ok(status))) if status < 128 => status,
        Some((text, _)) => {
            return Err(args::misuse(context, format_args!("'{text}' is no status from 0 to 127")));
        }
    };
    match parsed.operands.as_slice() {
        [] => {}
        [only] if only == "now" => {}
        [other, ..] => return Err(args::misuse(context, format_args!("'{other}' is not understood"))),
    }
    if parsed.has('r') {
        return reboot(context, &[]);
    }
    context.out.flush();
    write_back(context);
    system::shutdown(status)
        .map_err(|error| Failure::new(1, format_args!("cannot end the system: {}", describe(&error))))?;
    Ok(0)
}

fn reboot(context: &mut Context, args: &[String]) -> Outcome {
    args::parse(context, args, &[Opt::Flag('f', "force")])?;
    context.out.flush();
    write_back(context);
    system::reboot()
        .map_err(|error| Failure::new(1, format_args!("cannot start the machine anew: {}", describe(&error))))?;
    Ok(0)
}

/// Brings everything to the disk; a failure is said but ends nothing.
fn write_back(context: &mut Context) {
    if let Err(error) = fs::sync() {
        context.note(format_args!("cannot bring everything to the disk: {}", describe(&error)));
    }
}

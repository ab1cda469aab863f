//! The tools, by name.

use alloc::string::String;

use crate::context::{Context, Outcome};

mod cat;
mod clock;
mod cmp;
mod copy;
mod cut;
mod dd;
mod digest;
mod dump;
mod ends;
mod environment;
mod expr;
mod find;
mod grep;
mod links;
mod list;
mod make;
mod manual;
mod mount;
mod names;
mod nc;
mod netstat;
mod output;
mod owners;
mod permissions;
mod power;
mod processes;
mod records;
mod remove;
mod resolve;
mod seq;
mod services;
mod sort;
mod space;
mod stat;
mod test;
mod top;
mod tr;
mod uniq;
mod wc;
mod wget;
mod xargs;

/// One tool.
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// What `--help` prints: how to call it, its options, an example.
    pub help: &'static str,
    /// Its work, from the arguments after its name to its exit status.
    pub run: fn(&mut Context, &[String]) -> Outcome,
}

/// Every tool, in the order of their names.
pub const TOOLS: &[Tool] = &[
    test::BRACKET,
    names::BASENAME,
    cat::CAT,
    permissions::CHMOD,
    manual::CLEAR,
    cmp::CMP,
    copy::CP,
    cut::CUT,
    clock::DATE,
    dd::DD,
    space::DF,
    names::DIRNAME,
    space::DU,
    output::ECHO,
    environment::ENV,
    expr::EXPR,
    output::FALSE,
    records::FAULTS,
    find::FIND,
    processes::FREE,
    grep::GREP,
    ends::HEAD,
    manual::HELP,
    dump::HEXDUMP,
    netstat::IP,
    processes::KILL,
    links::LN,
    records::LOG,
    list::LS,
    manual::MAN,
    digest::MD5SUM,
    make::MKDIR,
    mount::MOUNT,
    copy::MV,
    nc::NC,
    netstat::NETSTAT,
    resolve::NSLOOKUP,
    resolve::PING,
    output::PRINTF,
    processes::PS,
    names::PWD,
    names::READLINK,
    names::REALPATH,
    power::REBOOT,
    services::RESTART,
    remove::RM,
    remove::RMDIR,
    seq::SEQ,
    services::SERVICES,
    digest::SHA256SUM,
    power::SHUTDOWN,
    clock::SLEEP,
    sort::SORT,
    services::START,
    stat::STAT,
    services::STOP,
    mount::SYNC,
    ends::TAIL,
    cat::TEE,
    test::TEST,
    top::TOP,
    make::TOUCH,
    tr::TR,
    records::TRACE,
    output::TRUE,
    mount::UMOUNT,
    uniq::UNIQ,
    clock::UPTIME,
    wc::WC,
    wget::WGET,
    environment::WHICH,
    xargs::XARGS,
    output::YES,
];

/// The tool of that name.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

/// Runs a tool by its name (a path's last part counts) with the arguments after the name; its exit status.
/// The name `tools` takes the tool's name from the first argument.
pub fn run(name: &str, args: &[String]) -> i32 {
    let name = crate::paths::basename(name);
    if name == "tools" {
        return match args.split_first() {
            Some((first, rest)) if first != "tools" => run(first, rest),
            _ => run("help", &[]),
        };
    }
    match find(name) {
        Some(tool) => {
            let mut context = Context::new(tool.name);
            let outcome = (tool.run)(&mut context, args);
            context.finish(outcome)
        }
        None => {
            let message = format!("there is no tool '{name}'; 'help' lists them all");
            Context::new("tools").finish(Err(crate::context::Failure::new(127, message)))
        }
    }
}

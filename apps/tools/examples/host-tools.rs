//! The tools as an ordinary program of the host, for trying them out and for the tests.

use std::process::exit;

fn main() {
    let mut args = motte_tools::sys::env::args();
    let name = args.next().unwrap_or_default();
    let name = if name.ends_with("host-tools") { "tools".to_string() } else { name };
    exit(motte_tools::run(&name, &args.collect::<Vec<_>>()));
}

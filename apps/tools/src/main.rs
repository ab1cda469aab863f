//! The program of all tools: runs the one that it was called as.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

motte::entry!(main);

fn main() -> i32 {
    let mut args = motte::env::args();
    let name = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    motte_tools::run(&name, &args)
}

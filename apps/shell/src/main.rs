//! The program `sh`.
#![no_std]
#![no_main]

motte::entry!(main);

fn main() -> i32 {
    motte_shell::start::run()
}

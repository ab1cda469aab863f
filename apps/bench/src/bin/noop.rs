//! `bench-noop`: a program that does nothing, for `bench` to start.
#![no_std]
#![no_main]

motte::entry!(main);

fn main() {}

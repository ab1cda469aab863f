//! The example `hello`: what a program has from the runtime, in the shape of `std`.
//!
//! ```text
//! $ hello one two
//! ```
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use motte::io::{self, BufRead, BufReader, Write};
use motte::process::Command;
use motte::{env, fs};

motte::entry!(main);

/// Where the program leaves a file for a moment.
const FILE: &str = "/tmp/hello.txt";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => motte::println!("hello, whoever you are"),
        names => motte::println!("hello, {}", names.join(" and ")),
    }

    let path = env::var("PATH").unwrap_or_default();
    motte::println!("programs are looked for in {path}, and we are in {}", env::current_dir()?);

    let mut file = fs::File::create(FILE)?;
    for line in ["first", "second", "third"] {
        writeln!(file, "{line}")?;
    }
    drop(file);
    let lines = BufReader::new(fs::File::open(FILE)?).lines().count();
    motte::println!("{FILE} has {lines} lines and {} bytes", fs::metadata(FILE)?.len());

    let output = Command::new("wc").args(["-l", FILE]).output()?;
    motte::print!("wc says: {}", String::from_utf8_lossy(&output.stdout));
    motte::println!("and ended with {}", output.status);
    fs::remove_file(FILE)
}

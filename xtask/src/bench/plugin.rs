//! The plugin of QEMU that counts and traces (`bench/plugin`), seen from outside: built, tried, told where to write, read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::machine::escaped;
use crate::prepare::Tool;
use crate::workspace;

/// The plugin's package.
const PACKAGE: &str = "motte-bench-plugin";
/// The plugin's file, as cargo names it.
const FILE: &str = "libmotte_bench_plugin.so";

/// A marker that the guest executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub id: u16,
    /// Instructions that user code had executed before it.
    pub user: u64,
    /// Instructions that kernel code had executed before it.
    pub kernel: u64,
    /// The host's time since the machine's start.
    pub nanoseconds: u64,
}

impl Mark {
    /// Instructions executed before it.
    #[must_use]
    pub const fn instructions(&self) -> u64 {
        self.user + self.kernel
    }

    /// The host's time since the machine's start.
    #[must_use]
    pub const fn nanoseconds(&self) -> u64 {
        self.nanoseconds
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next()?.parse().ok()?;
        let mut number = || words.next()?.parse().ok();
        Some(Self { id, user: number()?, kernel: number()?, nanoseconds: number()? })
    }
}

/// An instruction that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Where it lies.
    pub address: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it is.
    pub text: String,
}

/// The plugin, built.
#[derive(Clone, Debug)]
pub struct Plugin {
    file: PathBuf,
}

impl Plugin {
    /// Builds the plugin and tries whether QEMU takes it; the error says why not.
    pub fn prepare() -> Result<Self> {
        let output = workspace::cargo()
            .args(["build", "--quiet", "--package", PACKAGE])
            .output()
            .context("cargo could not be started")?;
        if !output.status.success() {
            bail!("it does not build:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        let plugin = Self { file: workspace::target_directory().join("debug").join(FILE) };
        plugin.try_out()?;
        Ok(plugin)
    }

    /// Loads the plugin into a machine without anything, which is told to quit.
    fn try_out(&self) -> Result<()> {
        let mut command = Tool::Qemu.command();
        command.args(["-machine", "none", "-nodefaults", "-display", "none", "-monitor", "stdio"]);
        command.arg("-plugin").arg(self.option("count=off"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut qemu = command.spawn().context("QEMU could not be started")?;
        if let Some(mut monitor) = qemu.stdin.take() {
            // A QEMU that refuses the plugin has ended already.
            let _ = monitor.write_all(b"quit\n");
        }
        let output = qemu.wait_with_output()?;
        if !output.status.success() {
            bail!("QEMU does not take it: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn option(&self, options: &str) -> String {
        format!("file={},{options}", escaped(&self.file))
    }

    /// QEMU's option to count; the marks go into `marks`.
    #[must_use]
    pub fn counting(&self, marks: &Path) -> String {
        self.option(&format!("marks={}", escaped(marks)))
    }

    /// QEMU's option to note the time of marks only.
    #[must_use]
    pub fn timing(&self, marks: &Path) -> String {
        self.option(&format!("count=off,marks={}", escaped(marks)))
    }

    /// QEMU's option to count, and to tell who asks at this socket ([`Counter`]).
    #[must_use]
    pub fn answering(&self, socket: &Path) -> String {
        self.option(&format!("ask={}", escaped(socket)))
    }

    /// QEMU's option to trace what lies between the marks 1 and 2.
    #[must_use]
    pub fn tracing(&self, trace: &Path) -> String {
        self.option(&format!("trace={}", escaped(trace)))
    }
}

/// What a running machine has executed, for who asks from outside.
#[derive(Clone, Debug)]
pub struct Counter {
    /// The socket at which the plugin answers.
    pub socket: PathBuf,
}

impl Counter {
    /// Instructions executed so far.
    pub fn read(&self) -> Result<u64> {
        let mut text = String::new();
        let mut stream = UnixStream::connect(&self.socket).context("the counting plugin does not answer")?;
        stream.read_to_string(&mut text)?;
        let numbers = text.split_whitespace().map(str::parse::<u64>);
        numbers.sum::<Result<u64, _>>().with_context(|| format!("`{}` is no count", text.trim_end()))
    }
}

/// The marks that a machine left.
pub fn read_marks(file: &Path) -> Result<Vec<Mark>> {
    let text = fs::read_to_string(file).context("the counting plugin left no marks")?;
    let parse = |line| Mark::parse(line).with_context(|| format!("`{line}` is no mark of the counting plugin"));
    text.lines().map(parse).collect()
}

/// What a machine executed, in order: numbers of instructions, each of which is kept once.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The instructions that there were.
    pub instructions: Vec<Executed>,
    /// Which of them, one after the other.
    pub order: Vec<u32>,
}

impl Trace {
    /// The instructions in the order in which they were executed.
    pub fn executed(&self) -> impl Iterator<Item = &Executed> {
        self.order.iter().filter_map(|&number| self.instructions.get(number as usize))
    }
}

/// The instructions that a machine traced.
pub fn read_trace(file: &Path) -> Result<Trace> {
    let file = File::open(file).context("the plugin left no trace")?;
    let mut trace = Trace::default();
    let mut known: HashMap<String, u32> = HashMap::new();
    for line in BufReader::new(file).lines() {
        let line = line.context("the trace could not be read")?;
        let number = match known.get(&line) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(trace.instructions.len())?;
                trace.instructions.push(parse_executed(&line)?);
                known.insert(line, number);
                number
            }
        };
        trace.order.push(number);
    }
    Ok(trace)
}

fn parse_executed(line: &str) -> Result<Executed> {
    let parse = || {
        let mut parts = line.splitn(3, ' ');
        let address = u64::from_str_radix(parts.next()?, 16).ok()?;
        let digits = parts.next()?.as_bytes().chunks(2);
        let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let bytes = digits.map(byte).collect::<Option<_>>()?;
        Some(Executed { address, bytes, text: parts.next()?.trim().to_owned() })
    };
    parse().with_context(|| format!("`{line}` is no traced instruction"))
}

//! Hears a measuring machine out: its lines as they come, its end.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Count;
use super::plugin;
use super::protocol::{Line, Measurements};
use crate::machine::{Ending, Machine};

/// What a machine said.
#[derive(Debug)]
pub struct Heard {
    /// Everything on its console, and what went to standard error.
    pub output: String,
    /// The lines that are results.
    pub lines: Vec<Line>,
    /// How it ended.
    pub ending: Ending,
}

impl Heard {
    /// The results, with the marks that the plugin has written to `marks`.
    pub fn measurements(&self, marks: Option<&Path>, count: Count) -> Result<Measurements> {
        let marks = marks.map(plugin::read_marks).transpose()?;
        Measurements::gather(&self.lines, marks.as_deref(), count.of_mark())
    }
}

/// Reads the machine's console to its end, which comes within `limit`.
pub fn listen(mut machine: Machine, limit: Duration, mut on_line: impl FnMut(&Line)) -> Result<Heard> {
    let deadline = Instant::now() + limit;
    let console = machine.com1.take().context("the machine has no console")?;
    let errors = machine.com2.take().map(|mut stream| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    });
    let mut output = String::new();
    let mut lines = Vec::new();
    let mut console = BufReader::new(console);
    let mut bytes = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("the machine did not end within {} s; it said:\n{output}", limit.as_secs());
        }
        console.get_ref().set_read_timeout(Some(left))?;
        match console.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            // The time is over, or the machine went away: the next round sees which.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error).context("the machine's console could not be read"),
        }
        let text = String::from_utf8_lossy(&bytes);
        output.push_str(&text);
        if let Some(line) = Line::parse(&text) {
            on_line(&line);
            lines.push(line);
        }
        bytes.clear();
    }
    let ending = machine.wait_until(Some(deadline))?;
    let Some(ending) = ending else { bail!("the machine did not end; it said:\n{output}") };
    drop(machine);
    if let Some(errors) = errors {
        output.push_str(&errors.join().unwrap_or_default());
    }
    Ok(Heard { output, lines, ending })
}

//! dd.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args;
use crate::context::{Context, Failure, Outcome, describe};
use crate::input::Input;
use crate::sys::fs::{File, OpenOptions};
use crate::sys::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use crate::sys::time::Instant;
use crate::text::size;

pub const DD: Tool = Tool {
    name: "dd",
    about: "copy blocks of a file",
    help: "Usage: dd [if=FILE] [of=FILE] [bs=N] [count=N] [skip=N] [seek=N] [conv=WORDS] [status=none]
Copies blocks from standard input or a file to standard output or a file, and says on standard error how many.
  bs=N  bytes in a block (512); ibs, obs apart   count=N  only N blocks
  skip=N  without the first N of the input   seek=N  after N blocks of the output
  conv=  notrunc: keep the rest of the output; fsync, fdatasync: wait for the disk; sync: fill up short blocks;
         excl: the output must be new; nocreat: it must exist; noerror; swab; lcase; ucase
  iflag=, oflag=  fullblock, append, count_bytes, skip_bytes, seek_bytes   status=  none, noxfer, progress
N may have a unit: 4K, 1M, 512b, 2kB. A product is written 2x512.
Example: dd if=/bin/tools of=/tmp/copy bs=64K conv=fsync",
    run: dd,
};

enum Sink {
    Standard,
    File(File),
}

struct Settings {
    input: Option<String>,
    output: Option<String>,
    input_block: u64,
    output_block: u64,
    count: Option<u64>,
    skip: u64,
    seek: u64,
    conversions: String,
    flags: String,
    status: String,
}

impl Settings {
    fn converts(&self, word: &str) -> bool {
        self.conversions.split(',').any(|found| found == word)
    }

    fn flag(&self, word: &str) -> bool {
        self.flags.split(',').any(|found| found == word)
    }
}

/// A number with units and products: `2x512`, `4K`, `4KB`.
fn number(text: &str) -> Option<u64> {
    let mut product: u64 = 1;
    for factor in text.split('x') {
        let factor = factor.strip_suffix('B').filter(|rest| rest.bytes().all(|b| b.is_ascii_digit())).unwrap_or(factor);
        product = product.checked_mul(size(factor)?)?;
    }
    Some(product)
}

fn read_settings(context: &mut Context, args: &[String]) -> Result<Settings, Failure> {
    let mut settings = Settings {
        input: None,
        output: None,
        input_block: 512,
        output_block: 512,
        count: None,
        skip: 0,
        seek: 0,
        conversions: String::new(),
        flags: String::new(),
        status: String::new(),
    };
    let mut both = None;
    for argument in args.iter().filter(|argument| *argument != "--") {
        if argument == "--help" {
            return Err(args::help(context));
        }
        let Some((name, value)) = argument.split_once('=') else {
            return Err(args::misuse(context, format_args!("'{argument}' is not understood")));
        };
        let counted =
            || number(value).ok_or_else(|| args::misuse(context, format_args!("'{value}' is no number for '{name}'")));
        match name {
            "if" => settings.input = Some(value.to_string()),
            "of" => settings.output = Some(value.to_string()),
            "bs" => both = Some(counted()?),
            "ibs" => settings.input_block = counted()?,
            "obs" => settings.output_block = counted()?,
            "count" => settings.count = Some(counted()?),
            "skip" | "iseek" => settings.skip = counted()?,
            "seek" | "oseek" => settings.seek = counted()?,
            "conv" => settings.conversions = format!("{},{value}", settings.conversions),
            "iflag" | "oflag" => settings.flags = format!("{},{value}", settings.flags),
            "status" => settings.status = value.to_string(),
            _ => return Err(args::misuse(context, format_args!("'{name}' is not understood"))),
        }
    }
    if let Some(block) = both {
        (settings.input_block, settings.output_block) = (block, block);
    }
    if settings.input_block == 0 || settings.output_block == 0 || settings.input_block > 1 << 30 {
        return Err(args::misuse(context, "a block has from 1 byte to 1G"));
    }
    Ok(settings)
}

fn dd(context: &mut Context, args: &[String]) -> Outcome {
    let settings = read_settings(context, args)?;
    let input_name = settings.input.as_deref().unwrap_or("standard input");
    let output_name = settings.output.as_deref().unwrap_or("standard output");
    let failed = |what: &str, name: &str, error: &io::Error| {
        Failure::new(1, format_args!("cannot {what} '{name}': {}", describe(error)))
    };
    let mut input = Input::open(settings.input.as_deref().unwrap_or("-"))
        .map_err(|error| failed("open", input_name, &error))?;
    let seek = if settings.flag("seek_bytes") { settings.seek } else { settings.seek * settings.output_block };
    let mut sink = match &settings.output {
        None => Sink::Standard,
        Some(path) => Sink::File(open_output(path, &settings, seek).map_err(|error| failed("open", path, &error))?),
    };
    let skip = if settings.flag("skip_bytes") { settings.skip } else { settings.skip * settings.input_block };
    skip_input(&mut input, skip).map_err(|error| failed("skip in", input_name, &error))?;
    let started = Instant::now();
    let mut copied = Counts::default();
    let mut block = vec![0; usize::try_from(settings.input_block).unwrap_or(512)];
    let mut left_bytes = match settings.count {
        Some(count) if settings.flag("count_bytes") => count,
        _ => u64::MAX,
    };
    let mut left_blocks = if left_bytes == u64::MAX { settings.count.unwrap_or(u64::MAX) } else { u64::MAX };
    let mut result = Ok(());
    while left_blocks > 0 && left_bytes > 0 && !context.out.is_broken() {
        let limit = block.len().min(usize::try_from(left_bytes).unwrap_or(usize::MAX));
        let read = match read_block(&mut input, &mut block[..limit], settings.flag("fullblock")) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                let failure = failed("read", input_name, &error);
                if settings.converts("noerror") {
                    context.error(failure.message.unwrap_or_default());
                    left_blocks -= 1;
                    continue;
                }
                result = Err(failure);
                break;
            }
        };
        left_blocks -= 1;
        left_bytes -= read as u64;
        let mut length = read;
        if read == block.len() {
            copied.whole_in += 1;
        } else {
            copied.part_in += 1;
            if settings.converts("sync") {
                block[read..].fill(0);
                length = block.len();
            }
        }
        convert(&mut block[..length], &settings);
        if let Err(error) = write_block(context, &mut sink, &block[..length]) {
            result = Err(failed("write", output_name, &error));
            break;
        }
        copied.bytes += length as u64;
        copied.count_out(length as u64, settings.output_block, settings.input_block);
        if settings.status == "progress" && copied.bytes % (16 << 20) < settings.input_block {
            let line = format!("{} bytes copied\r", copied.bytes);
            context.diagnose(&line);
        }
    }
    copied.part_out += u64::from(copied.pending > 0);
    if let Sink::File(file) = &mut sink
        && result.is_ok()
        && (settings.converts("fsync") || settings.converts("fdatasync"))
    {
        result = file.sync_all().map_err(|error| failed("bring to the disk", output_name, &error));
    }
    context.out.flush();
    report(context, &copied, &settings, started);
    result.map(|()| context.status)
}

#[derive(Default)]
struct Counts {
    whole_in: u64,
    part_in: u64,
    whole_out: u64,
    part_out: u64,
    bytes: u64,
    pending: u64,
}

impl Counts {
    /// Counts what was written in blocks of the output. With equal blocks a short read is a short write.
    fn count_out(&mut self, length: u64, output_block: u64, input_block: u64) {
        if output_block == input_block {
            self.whole_out += u64::from(length == output_block);
            self.part_out += u64::from(length != output_block);
        } else {
            self.pending += length;
            self.whole_out += self.pending / output_block;
            self.pending %= output_block;
        }
    }

}

fn open_output(path: &str, settings: &Settings, seek: u64) -> io::Result<File> {
    let keep = settings.converts("notrunc");
    let append = settings.flag("append");
    let mut options = OpenOptions::new();
    options.write(true);
    if settings.converts("excl") {
        options.create_new(true);
    } else if !settings.converts("nocreat") {
        options.create(true);
    }
    if append {
        options.append(true);
    } else if !keep && seek == 0 {
        options.truncate(true);
    }
    let mut file = options.open(path)?;
    if seek > 0 && !append {
        if !keep && file.metadata()?.is_file() {
            file.set_len(seek)?;
        }
        file.seek(SeekFrom::Start(seek))?;
    }
    Ok(file)
}

fn skip_input(input: &mut Input, mut left: u64) -> io::Result<()> {
    if let Input::File(file) = input
        && left > 0
        && file.seek(SeekFrom::Start(left)).is_ok()
    {
        return Ok(());
    }
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let limit = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match input.read(&mut buffer[..limit])? {
            0 => break,
            count => left -= count as u64,
        }
    }
    Ok(())
}

fn read_block(input: &mut Input, block: &mut [u8], full: bool) -> io::Result<usize> {
    let mut filled = input.read(block)?;
    while full && filled > 0 && filled < block.len() {
        match input.read(&mut block[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn write_block(context: &mut Context, sink: &mut Sink, block: &[u8]) -> io::Result<()> {
    match sink {
        Sink::File(file) => file.write_all(block),
        Sink::Standard => {
            context.out.bytes(block);
            if context.out.is_broken() { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }
    }
}

fn convert(block: &mut [u8], settings: &Settings) {
    if settings.conversions.is_empty() {
        return;
    }
    if settings.converts("swab") {
        block.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    }
    if settings.converts("lcase") {
        block.make_ascii_lowercase();
    } else if settings.converts("ucase") {
        block.make_ascii_uppercase();
    }
}

/// A size in one decimal of the largest unit that fits.
fn with_unit(bytes: u64, base: u64, units: &[&str]) -> String {
    let mut unit = 0;
    let mut divisor: u64 = 1;
    while unit + 1 < units.len() && bytes / divisor >= base {
        divisor *= base;
        unit += 1;
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(divisor) / 2) / u128::from(divisor);
    match (unit, tenths) {
        (0, _) => format!("{bytes} {}", units[0]),
        (_, 0..=99) => format!("{}.{} {}", tenths / 10, tenths % 10, units[unit]),
        _ => format!("{} {}", (tenths + 5) / 10, units[unit]),
    }
}

fn report(context: &mut Context, copied: &Counts, settings: &Settings, started: Instant) {
    if settings.status == "none" {
        return;
    }
    let mut text = format!(
        "{}+{} records in\n{}+{} records out\n",
        copied.whole_in, copied.part_in, copied.whole_out, copied.part_out
    );
    if settings.status != "noxfer" {
        let nanos = started.elapsed().as_nanos().max(1);
        let rate = u64::try_from(u128::from(copied.bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX);
        let decimal = ["B", "kB", "MB", "GB", "TB"];
        let mut sizes = String::new();
        if copied.bytes >= 1_000 {
            sizes = format!(" ({}", with_unit(copied.bytes, 1_000, &decimal));
            if copied.bytes >= 1_024 {
                sizes += ", ";
                sizes += &with_unit(copied.bytes, 1_024, &["B", "KiB", "MiB", "GiB", "TiB"]);
            }
            sizes.push(')');
        }
        let plural = if copied.bytes == 1 { "" } else { "s" };
        text += &format!(
            "{} byte{plural}{sizes} copied, {}.{:06} s, {}/s\n",
            copied.bytes,
            nanos / 1_000_000_000,
            nanos / 1_000 % 1_000_000,
            with_unit(rate, 1_000, &decimal)
        );
    }
    context.diagnose(&text);
}

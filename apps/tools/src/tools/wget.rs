//! wget.

use alloc::string::{String, ToString};

use super::Tool;
use crate::args::{self, Opt};
use crate::context::put;
use crate::context::{Context, Failure, Outcome, describe};
use crate::http::{Answer, Url};
use crate::net::{dial, seconds};
use crate::sys::fs::File;
use crate::sys::io::{self, Read, Write};
use crate::sys::net::TcpStream;
use crate::sys::time::Duration;

pub const WGET: Tool = Tool {
    name: "wget",
    about: "fetch a file by HTTP",
    help: "Usage: wget [-q] [-S] [-O FILE] [-T SECONDS] [--spider] [--header 'NAME: VALUE'] URL...
Fetches what lies at each URL into a file of the same name in the current directory.
  -O FILE  into this file; '-' is standard output      -q  say nothing when it went well
  -S  show the head of the answer      --spider  only ask whether it is there
  -T SECONDS  give up when nothing comes for so long (default: 30)
The status is 4 when the server cannot be reached, 8 when it answers with an error.
Example: wget -O - http://127.0.0.1/",
    run: wget,
};

/// How often a server may send us elsewhere.
const MOST_REDIRECTIONS: u32 = 10;

const UNREACHABLE: i32 = 4;
const REFUSED: i32 = 8;

struct Options {
    quiet: bool,
    show_head: bool,
    spider: bool,
    output: Option<String>,
    patience: Duration,
    fields: String,
}

fn wget(context: &mut Context, args: &[String]) -> Outcome {
    let known = [
        Opt::Flag('q', "quiet"),
        Opt::Flag('S', "server-response"),
        Opt::Value('O', "output-document"),
        Opt::Value('T', "timeout"),
        Opt::Flag('1', "spider"),
        Opt::Value('2', "header"),
    ];
    let parsed = args::parse(context, args, &known)?;
    if parsed.operands.is_empty() {
        return Err(args::misuse(context, "there is no URL to fetch"));
    }
    let mut fields = String::new();
    for (_, field) in parsed.options.iter().filter(|(option, _)| *option == '2') {
        let is_field = field.split_once(':').is_some_and(|(name, _)| !name.trim().is_empty());
        if !is_field || field.contains(['\r', '\n']) {
            return Err(args::misuse(context, format_args!("'{field}' is no field such as 'Accept: text/plain'")));
        }
        fields += &format!("{field}\r\n");
    }
    let options = Options {
        quiet: parsed.has('q'),
        show_head: parsed.has('S'),
        spider: parsed.has('1'),
        output: parsed.value('O').map(str::to_string),
        patience: seconds(context, parsed.value('T'), Duration::from_secs(30))?,
        fields,
    };
    for text in &parsed.operands {
        if let Err(failure) = fetch(context, &options, text) {
            if let Some(message) = &failure.message {
                context.note(format_args!("cannot fetch '{text}': {message}"));
            }
            context.status = failure.status;
        }
    }
    Ok(context.status)
}

/// Asks for what lies at `url`.
fn ask(url: &Url, options: &Options) -> Result<Answer<TcpStream>, Failure> {
    let failed = |error: io::Error| Failure::new(UNREACHABLE, error);
    let mut stream = dial(&url.host, url.port, options.patience).map_err(failed)?;
    stream.set_read_timeout(Some(options.patience)).map_err(failed)?;
    stream.set_write_timeout(Some(options.patience)).map_err(failed)?;
    let method = if options.spider { "HEAD" } else { "GET" };
    let request = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: motte-wget\r\nAccept: */*\r\nConnection: close\r\n{}\r\n",
        url.path,
        url.authority(),
        options.fields
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    Answer::read(stream, options.spider).map_err(failed)
}

fn fetch(context: &mut Context, options: &Options, text: &str) -> Result<(), Failure> {
    let first = Url::parse(text).map_err(|why| Failure::new(1, why))?;
    let mut url = first.clone();
    for _ in 0..=MOST_REDIRECTIONS {
        let answer = ask(&url, options)?;
        if options.show_head {
            put!(context, "HTTP {} {}\n", answer.head.status, answer.head.reason);
            for (name, value) in &answer.head.fields {
                put!(context, "{name}: {value}\n");
            }
        }
        match (answer.head.status, answer.head.field("location")) {
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                let next = url.join(location);
                url = next.map_err(|why| Failure::new(REFUSED, format_args!("it moved to '{location}': {why}")))?;
            }
            (200..=299, _) if options.spider => {
                if !options.quiet {
                    context.note(format_args!("'{text}' is there"));
                }
                return Ok(());
            }
            (200..=299, _) => return save(context, options, answer, first.file_name()),
            (status, _) => {
                return Err(Failure::new(REFUSED, format_args!("the server answers {status} {}", answer.head.reason)));
            }
        }
    }
    Err(Failure::new(REFUSED, "the server sends us round in circles"))
}

fn save(context: &mut Context, options: &Options, mut answer: Answer<TcpStream>, name: &str) -> Result<(), Failure> {
    let name = options.output.as_deref().unwrap_or(name);
    let mut file = match name {
        "-" => None,
        _ => Some(File::create(name).map_err(|error| {
            Failure::new(1, format_args!("the file '{name}' cannot be written: {}", describe(&error)))
        })?),
    };
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0u64;
    loop {
        let count = answer.read(&mut buffer).map_err(|error| Failure::new(UNREACHABLE, error))?;
        if count == 0 {
            break;
        }
        total += count as u64;
        match &mut file {
            Some(file) => file.write_all(&buffer[..count]).map_err(|error| {
                Failure::new(1, format_args!("the file '{name}' cannot be written: {}", describe(&error)))
            })?,
            None => context.out.bytes(&buffer[..count]),
        }
        if context.out.is_broken() {
            return Ok(());
        }
    }
    if file.is_some() && !options.quiet {
        context.note(format_args!("{total} bytes saved as '{name}'"));
    }
    Ok(())
}

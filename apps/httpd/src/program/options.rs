//! What the program is to do, from its arguments.

use alloc::format;
use alloc::string::{String, ToString};

/// What `--help` prints.
pub const HELP: &str = "\
usage: httpd [-p PORT] [-c CONNECTIONS] [--cache BYTES] [--dashboard] [FOLDER]

Serves the files of a folder over HTTP/1.1; the current directory if none is given.

  -p, --port PORT                at which port (80)
  -c, --connections CONNECTIONS  how many connections at once (1024)
      --cache BYTES              memory for small files (1048576)
      --dashboard                '/', '/api/' and '/metrics' are the service `dashboard`'s

example: httpd -p 8000 /home
";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port to listen at.
    pub port: u16,
    /// Connections at once.
    pub connections: usize,
    /// Bytes of small files to keep.
    pub cache_bytes: usize,
    /// Whether the page is served.
    pub dashboard: bool,
    /// What stands before the path of a request: a folder without a slash at its end.
    pub folder: String,
}

impl Options {
    /// The folder, for people.
    pub fn shown_folder(&self) -> &str {
        if self.folder.is_empty() { "/" } else { &self.folder }
    }
}

/// What the arguments come to.
pub enum Given {
    /// Serve.
    Run(Options),
    /// Say what there is.
    Help,
    /// A mistake.
    Wrong(String),
}

/// Reads the arguments.
pub fn read(mut arguments: impl Iterator<Item = String>) -> Given {
    let mut options =
        Options { port: 80, connections: 1024, cache_bytes: 1 << 20, dashboard: false, folder: String::new() };
    let mut folder = None;
    while let Some(argument) = arguments.next() {
        let mut number = |most: u64| match arguments.next() {
            None => Err(format!("'{argument}' needs a number")),
            Some(text) => match text.parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(format!("'{text}' is not a number from 1 to {most}")),
            },
        };
        let read = match argument.as_str() {
            "-h" | "--help" => return Given::Help,
            "-p" | "--port" => number(65535).map(|port| options.port = port as u16),
            "-c" | "--connections" => number(4000).map(|count| options.connections = count as usize),
            "--cache" => number(1 << 30).map(|bytes| options.cache_bytes = bytes as usize),
            "--dashboard" => {
                options.dashboard = true;
                Ok(())
            }
            option if option.starts_with('-') => Err(format!("there is no option '{option}'")),
            _ if folder.is_some() => Err(format!("'{argument}' is one folder too many")),
            _ => {
                folder = Some(argument);
                Ok(())
            }
        };
        if let Err(what) = read {
            return Given::Wrong(what);
        }
    }
    let path = match folder {
        // Where there is no disk, the folder is missing: what else is served is served.
        None => motte::env::current_dir().unwrap_or_default(),
        Some(given) => match motte::fs::canonicalize(&given) {
            Ok(path) => path,
            Err(error) => return Given::Wrong(format!("the folder '{given}' cannot be served: {error}")),
        },
    };
    options.folder = path.trim_end_matches('/').to_string();
    Given::Run(options)
}

//! The web server on the host, one thread to a connection: `cargo run -p motte-httpd --example host -- 8000 FOLDER [STATES]`.
//!
//! For trying it with other people's tools. STATES is a folder with `page.html` and `0.json`, `1.json`, …, which then stand for the dashboard:
//! each is shown for a second.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use motte_httpd::calls::{Call, Reply};
use motte_httpd::connection::{Connection, Step};
use motte_httpd::folder::{Entry, Folder, FolderError, Info};
use motte_httpd::media;
use motte_httpd::site::Site;
use motte_httpd::status::Status;

struct Host(PathBuf);

impl Host {
    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

fn failed(error: std::io::Error) -> FolderError {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => FolderError::Forbidden,
        _ => FolderError::NotFound,
    }
}

fn info(metadata: &fs::Metadata) -> Info {
    Info {
        is_directory: metadata.is_dir(),
        size: metadata.len(),
        modified: metadata.mtime(),
        changed: metadata.ctime(),
        inode: metadata.ino(),
    }
}

impl Folder for Host {
    type File = File;

    fn info(&mut self, path: &str) -> Result<Info, FolderError> {
        fs::metadata(self.path(path)).map(|metadata| info(&metadata)).map_err(failed)
    }

    fn open(&mut self, path: &str) -> Result<(File, Info), FolderError> {
        let file = File::open(self.path(path)).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        Ok((file, info(&metadata)))
    }

    fn read(&mut self, file: &mut File, at: u64, into: &mut [u8]) -> Result<usize, FolderError> {
        file.read_at(into, at).map_err(failed)
    }

    fn list(&mut self, path: &str, most: usize) -> Result<(Vec<Entry>, bool), FolderError> {
        let entries = fs::read_dir(self.path(path)).map_err(failed)?.flatten();
        let entries: Vec<_> = entries
            .take(most + 1)
            .map(|entry| Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_directory: entry.path().is_dir(),
            })
            .collect();
        let more = entries.len() > most;
        Ok((entries.into_iter().take(most).collect(), more))
    }
}

/// What stands for the dashboard.
struct States {
    folder: PathBuf,
    begin: Instant,
}

impl States {
    fn state(&self) -> Vec<u8> {
        let second = self.begin.elapsed().as_secs();
        let newest = (0..=second).rev().find_map(|at| fs::read(self.folder.join(format!("{at}.json"))).ok());
        newest.unwrap_or_default()
    }

    fn reply(&self, call: &Call) -> Reply {
        let (media, body) = match call {
            Call::Page => (media::HTML, fs::read(self.folder.join("page.html")).unwrap_or_default()),
            Call::Log { .. } => (media::JSON, fs::read(self.folder.join("log.json")).unwrap_or_default()),
            Call::Fault { number } => {
                (media::TEXT, fs::read(self.folder.join(format!("fault{number}"))).unwrap_or_default())
            }
            Call::Act { .. } => return Reply::sentence(Status::FORBIDDEN, "there is nothing to act on"),
            _ => (media::JSON, self.state()),
        };
        Reply { status: Status::OK, media, body: body.into() }
    }
}

fn serve(mut stream: TcpStream, folder: PathBuf, states: Option<Arc<States>>) -> std::io::Result<()> {
    let begin = Instant::now();
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let mut site = Site::new(Host(folder), 1 << 20, unix);
    let mut connection = Connection::new(0, states.is_some());
    let mut buffer = [0; 4096];
    loop {
        let now = begin.elapsed().as_nanos() as u64;
        site.set_time(now);
        if now >= connection.deadline() {
            connection.expire(site.date(), now);
        }
        match connection.step(&mut site) {
            Step::Read => {
                let left = connection.deadline().saturating_sub(now).max(1);
                stream.set_read_timeout(Some(Duration::from_nanos(left)))?;
                match stream.read(&mut buffer) {
                    Ok(0) => connection.ended(),
                    Ok(count) => connection.received(&buffer[..count], now),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Step::Write => {
                let count = stream.write(connection.output(&mut site))?;
                connection.sent(count, now);
            }
            Step::Ask(Call::Events) => connection.answer_with_events(site.date(), now),
            Step::Ask(call) => {
                let reply = states.as_ref().map(|states| states.reply(&call));
                connection.answer(reply.unwrap_or_else(|| Reply::sentence(Status::BAD_GATEWAY, "")), site.date(), now);
            }
            Step::Watch => {
                let state = states.as_ref().map(|states| states.state()).unwrap_or_default();
                let event = [b"event: state\ndata: ".as_slice(), &state, b"\n\n"].concat();
                connection.event(&event.into(), now);
                std::thread::sleep(Duration::from_secs(1));
            }
            Step::Finish => {
                stream.shutdown(Shutdown::Write)?;
                connection.finished(now);
            }
            Step::Close => return Ok(()),
        }
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || std::io::Error::other("usage: host PORT FOLDER [STATES]");
    let port: u16 = arguments.next().and_then(|port| port.parse().ok()).ok_or_else(usage)?;
    let folder = PathBuf::from(arguments.next().ok_or_else(usage)?);
    let states = arguments.next().map(|folder| Arc::new(States { folder: folder.into(), begin: Instant::now() }));
    for stream in TcpListener::bind(("127.0.0.1", port))?.incoming() {
        let (folder, states) = (folder.clone(), states.clone());
        let stream = stream?;
        std::thread::spawn(move || serve(stream, folder, states));
    }
    Ok(())
}

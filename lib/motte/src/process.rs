//! Programs: starting them, waiting for them, ending them; in the shape of `std::process`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use motte_interfaces::Cap;
use motte_interfaces::error::IoError;
use motte_interfaces::pipe::{PipesClient, ends};
pub use motte_interfaces::process::ProcessInfo;
use motte_interfaces::process::{ExitStatus as Ended, ProcessClient, SPAWN_MAGIC};
use motte_interfaces::strings::{put_number, put_string};

use crate::fs::File;
use crate::io::{self, Error, ErrorKind, Read, Result, Write};
use crate::kernel::CapSlot;
use crate::service::Connection;
use crate::session::{End, Handle, Session};
use crate::standard;
use crate::sync::Mutex;

/// The program's session with the process server.
struct Server {
    client: ProcessClient<Connection>,
    session: Arc<Session>,
}

static SERVER: Mutex<Option<Arc<Server>>> = Mutex::new(None);

fn server() -> Result<Arc<Server>> {
    let mut server = SERVER.lock();
    if let Some(server) = &*server {
        return Ok(server.clone());
    }
    let connection = crate::service::connect("process").map_err(Error::other)?;
    let new = Arc::new(Server { client: ProcessClient::new(connection), session: Session::new(connection) });
    *server = Some(new.clone());
    Ok(new)
}

/// How often a request is sent again when the process server is restarted meanwhile.
const REPETITIONS: u32 = 10;

/// Bytes that a request is expected to have at most.
const REQUEST: usize = 1024;

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/bin";

/// How a stream of a new program is set up.
#[derive(Debug)]
pub struct Stdio(Source);

#[derive(Debug)]
enum Source {
    Inherit,
    Null,
    Piped,
    File(File),
    Handle(Handle),
    Standard(usize),
}

impl Stdio {
    /// As this program's.
    pub fn inherit() -> Self {
        Self(Source::Inherit)
    }
    /// Nothing to read; what is written is dropped.
    pub fn null() -> Self {
        Self(Source::Null)
    }
    /// A new pipe, whose other end is in [`Child`].
    pub fn piped() -> Self {
        Self(Source::Piped)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Self(Source::File(file))
    }
}

impl From<PipeReader> for Stdio {
    fn from(reader: PipeReader) -> Self {
        Self(Source::Handle(reader.0))
    }
}

impl From<PipeWriter> for Stdio {
    fn from(writer: PipeWriter) -> Self {
        Self(Source::Handle(writer.0))
    }
}

impl From<io::Stdin> for Stdio {
    fn from(_: io::Stdin) -> Self {
        Self(Source::Standard(0))
    }
}

impl From<io::Stdout> for Stdio {
    fn from(_: io::Stdout) -> Self {
        Self(Source::Standard(1))
    }
}

impl From<io::Stderr> for Stdio {
    fn from(_: io::Stderr) -> Self {
        Self(Source::Standard(2))
    }
}

/// The end of a pipe that is read.
#[derive(Debug)]
pub struct PipeReader(Handle);

/// The end of a pipe that is written.
#[derive(Debug)]
pub struct PipeWriter(Handle);

/// A new pipe.
pub fn pipe() -> Result<(PipeReader, PipeWriter)> {
    static PIPES: Mutex<Option<Arc<Session>>> = Mutex::new(None);
    let session = {
        let mut session = PIPES.lock();
        match &*session {
            Some(session) => session.clone(),
            None => {
                let new = Session::new(crate::service::connect("pipe").map_err(Error::other)?);
                *session = Some(new.clone());
                new
            }
        }
    };
    let pipes = PipesClient::new(*session.client.transport());
    let (reading, writing) = ends(|| pipes.create())?;
    let end = |number| Handle { session: session.clone(), number, end: End::Close };
    Ok((PipeReader(end(reading)), PipeWriter(end(writing))))
}

impl PipeReader {
    /// A second handle to the same end.
    pub fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl PipeWriter {
    /// A second handle to the same end.
    pub fn try_clone(&self) -> Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for PipeWriter {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.0.write(buffer)
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A program to start.
#[derive(Debug)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    removed: Vec<String>,
    clear: bool,
    directory: Option<String>,
    streams: [Option<Stdio>; 3],
    memory_limit: u64,
    services: Option<Vec<String>>,
}

impl Command {
    /// The program of that name, looked for along `PATH` unless it contains a `/`.
    pub fn new(program: impl AsRef<str>) -> Self {
        Self {
            program: program.as_ref().to_string(),
            arguments: Vec::new(),
            environment: Vec::new(),
            removed: Vec::new(),
            clear: false,
            directory: None,
            streams: [const { None }; 3],
            memory_limit: 0,
            services: None,
        }
    }
    /// Appends an argument.
    pub fn arg(&mut self, argument: impl AsRef<str>) -> &mut Self {
        self.arguments.push(argument.as_ref().to_string());
        self
    }
    /// Appends arguments.
    pub fn args<S: AsRef<str>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_string()));
        self
    }
    /// Sets a variable of its environment.
    pub fn env(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut Self {
        self.environment.push((name.as_ref().to_string(), value.as_ref().to_string()));
        self
    }
    /// Sets variables of its environment.
    pub fn envs<K: AsRef<str>, V: AsRef<str>>(&mut self, pairs: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        for (name, value) in pairs {
            self.env(name, value);
        }
        self
    }
    /// Takes a variable out of its environment.
    pub fn env_remove(&mut self, name: impl AsRef<str>) -> &mut Self {
        self.environment.retain(|(candidate, _)| candidate != name.as_ref());
        self.removed.push(name.as_ref().to_string());
        self
    }
    /// It gets nothing of this program's environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.clear = true;
        self.environment.clear();
        self
    }
    /// Its working directory.
    pub fn current_dir(&mut self, directory: impl AsRef<str>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_string());
        self
    }
    /// Its standard input.
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.streams[0] = Some(stream.into());
        self
    }
    /// Its standard output.
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.streams[1] = Some(stream.into());
        self
    }
    /// Its standard error.
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.streams[2] = Some(stream.into());
        self
    }
    /// The most memory it may use, in bytes.
    pub fn memory_limit(&mut self, bytes: u64) -> &mut Self {
        self.memory_limit = bytes;
        self
    }
    /// The services it may use, of those that this program may use itself.
    pub fn services<S: AsRef<str>>(&mut self, names: impl IntoIterator<Item = S>) -> &mut Self {
        self.services = Some(names.into_iter().map(|name| name.as_ref().to_string()).collect());
        self
    }

    /// Starts it.
    pub fn spawn(&mut self) -> Result<Child> {
        self.start(Stdio::inherit)
    }

    /// Starts it and waits for its end.
    pub fn status(&mut self) -> Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts it and waits for its end and what it wrote.
    pub fn output(&mut self) -> Result<Output> {
        let mut child = self.start(Stdio::piped)?;
        drop(child.stdin.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let error = child.stderr.take();
        // Standard error is read beside standard output, or a program that fills one while the other is read would wait for ever.
        let reading = error.map(|mut error| {
            crate::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = error.read_to_end(&mut bytes);
                bytes
            })
        });
        if let Some(mut output) = child.stdout.take() {
            output.read_to_end(&mut stdout)?;
        }
        if let Some(reading) = reading {
            stderr = reading.join();
        }
        Ok(Output { status: child.wait()?, stdout, stderr })
    }

    fn start(&mut self, default: fn() -> Stdio) -> Result<Child> {
        let server = server()?;
        let request = self.request()?;
        let (mut caps, mut parents) = ([Cap(0); 3], [const { None }; 3]);
        // Whatever is held only for the child is closed when this ends.
        let mut held = Vec::new();
        for index in 0..3 {
            let stream = self.streams[index].take().unwrap_or_else(default);
            caps[index] = match child_end(stream, index, &mut held, &mut parents[index]) {
                Ok(cap) => cap,
                Err(error) => {
                    caps[..index].iter().for_each(|cap| drop(Handle::from_capability(*cap)));
                    return Err(error);
                }
            };
        }
        let send = || {
            server.session.with_buffer(request.len(), |memory| {
                memory.write(0, &request);
                server.client.spawn(request.len() as u64, caps[0], caps[1], caps[2])
            })
        };
        let mut sent = send();
        // The process server was restarted, and knows nothing of the lent pages; the ticket in the request tells it what it started already.
        for _ in 0..REPETITIONS {
            let Some(Err(IoError::InvalidData | IoError::ServiceRestarted)) = sent else { break };
            server.session.lend_again();
            sent = send();
        }
        let result = sent.unwrap_or(Err(IoError::OutOfMemory));
        // The process server has copies of its own; if it refused, the objects must be closed here.
        for cap in caps {
            if result.is_err() {
                drop(Handle::from_capability(cap));
            } else {
                crate::slots::delete(CapSlot(cap.0));
            }
        }
        let id = result?;
        let [stdin, stdout, stderr] = parents;
        Ok(Child {
            id,
            server,
            status: None,
            stdin: stdin.map(PipeWriter),
            stdout: stdout.map(PipeReader),
            stderr: stderr.map(PipeReader),
        })
    }

    /// The request as the process server reads it ([`SPAWN_MAGIC`]).
    fn request(&self) -> Result<Vec<u8>> {
        let program = find(&self.program, || self.search_path())?;
        let directory = match &self.directory {
            Some(directory) => crate::fs::directory(directory)?,
            None => crate::env::current_dir()?,
        };
        let mut out = Vec::with_capacity(REQUEST);
        out.extend_from_slice(&SPAWN_MAGIC.to_le_bytes());
        out.extend_from_slice(&ticket().to_le_bytes());
        put_string(&mut out, &program);
        put_string(&mut out, &directory);
        out.extend_from_slice(&self.memory_limit.to_le_bytes());
        put_number(&mut out, self.arguments.len() + 1);
        put_string(&mut out, &self.program);
        self.arguments.iter().for_each(|argument| put_string(&mut out, argument));
        self.put_variables(&mut out);
        match &self.services {
            None => put_number(&mut out, u32::MAX as usize),
            Some(services) => {
                put_number(&mut out, services.len());
                services.iter().for_each(|service| put_string(&mut out, service));
            }
        }
        Ok(out)
    }

    /// Where the program is looked for, as its environment says.
    fn search_path(&self) -> String {
        let set = self.environment.iter().rev().find(|(name, _)| name == "PATH");
        let inherited = || if self.inherits("PATH") { crate::env::var("PATH") } else { None };
        set.map(|(_, value)| value.clone()).or_else(inherited).unwrap_or_else(|| DEFAULT_PATH.to_string())
    }

    /// Whether it gets a variable of this program's environment.
    fn inherits(&self, name: &str) -> bool {
        let removed = || self.removed.iter().any(|removed| removed == name);
        let set = || self.environment.iter().any(|(set, _)| set == name);
        !self.clear && !removed() && !set()
    }

    /// Appends its environment.
    fn put_variables(&self, out: &mut Vec<u8>) {
        let (at, mut count) = (out.len(), 0);
        put_number(out, 0);
        let mut put = |name: &str, value: &str| {
            put_number(out, name.len() + 1 + value.len());
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
            count += 1;
        };
        crate::env::for_each_variable(|name, value| {
            if self.inherits(name) {
                put(name, value);
            }
        });
        for (index, (name, value)) in self.environment.iter().enumerate() {
            // Of what was set more than once, the last counts.
            if self.environment[index + 1..].iter().all(|(later, _)| later != name) {
                put(name, value);
            }
        }
        out[at..at + 4].copy_from_slice(&u32::to_le_bytes(count));
    }
}

/// A number for a request that no other request of this program has.
fn ticket() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // A component that is started anew has the badge of its predecessor, but not its time.
    let now = crate::time::monotonic_ns();
    LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)))
        .map_or(now, |last| now.max(last + 1))
}

/// Looks for a program along a search path. One that is nowhere on the disk is left to the process server, which has the
/// system's own programs.
fn find<'a>(program: &'a str, path: impl FnOnce() -> String) -> Result<Cow<'a, str>> {
    if program.is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    if program.contains('/') {
        return crate::fs::absolute(program);
    }
    for directory in path().split(':').filter(|directory| !directory.is_empty()) {
        let candidate = format!("{}/{program}", directory.trim_end_matches('/'));
        if crate::fs::metadata(&candidate).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Cow::Owned(crate::fs::absolute(&candidate)?.into_owned()));
        }
    }
    Ok(Cow::Owned(format!("/bin/{program}")))
}

/// The capability that the child gets for a stream. What must stay open until it has it goes into `held`, the parent's end of a
/// new pipe into `parent`.
fn child_end(stream: Stdio, index: usize, held: &mut Vec<Handle>, parent: &mut Option<Handle>) -> Result<Cap> {
    let own = |index| match standard::stream(index) {
        Some(handle) => handle.duplicate(),
        None => null(index),
    };
    match stream.0 {
        Source::Inherit => own(index),
        Source::Standard(index) => own(index),
        Source::Null => null(index),
        Source::File(file) => file.handle().duplicate(),
        Source::Handle(handle) => {
            let cap = handle.duplicate()?;
            held.push(handle);
            Ok(cap)
        }
        Source::Piped => {
            let (PipeReader(reader), PipeWriter(writer)) = pipe()?;
            let (child, mine) = if index == 0 { (reader, writer) } else { (writer, reader) };
            let cap = child.duplicate()?;
            held.push(child);
            *parent = Some(mine);
            Ok(cap)
        }
    }
}

/// A stream that gives nothing, or takes everything: `/dev/null` of the file system service, whose handles outlive its restarts. What a program
/// inherits it passes on to all that it starts.
fn null(index: usize) -> Result<Cap> {
    crate::fs::OpenOptions::new().read(index == 0).write(index != 0).open("/dev/null")?.handle().duplicate()
}

/// A program that was started.
#[derive(Debug)]
pub struct Child {
    id: u32,
    server: Arc<Server>,
    status: Option<ExitStatus>,
    /// The end of its standard input, if that is piped.
    pub stdin: Option<PipeWriter>,
    /// The end of its standard output, if that is piped.
    pub stdout: Option<PipeReader>,
    /// The end of its standard error, if that is piped.
    pub stderr: Option<PipeReader>,
}

impl core::fmt::Debug for Server {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Server")
    }
}

impl Child {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }
    /// Waits for its end, after closing its standard input.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        drop(self.stdin.take());
        if self.status.is_none() {
            self.status = Some(ExitStatus(self.server.client.wait(self.id)?));
        }
        self.status.ok_or_else(|| ErrorKind::Other.into())
    }
    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.server.client.try_wait(self.id)?.map(ExitStatus);
        }
        Ok(self.status)
    }
    /// Ends it.
    pub fn kill(&mut self) -> Result<()> {
        kill(self.id)
    }
    /// Has a notification signalled at its end.
    pub(crate) fn on_end(&self, notification: CapSlot) -> Result<()> {
        Ok(self.server.client.on_end(self.id, Cap(notification.0))?)
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(Ended);

impl ExitStatus {
    /// Its status, if it ended by itself.
    pub fn code(&self) -> Option<i32> {
        match self.0 {
            Ended::Exited(status) => Some(status),
            Ended::Killed | Ended::Faulted(_) => None,
        }
    }
    /// Ended by itself with status 0.
    pub fn success(&self) -> bool {
        self.code() == Some(0)
    }
    /// The number of its fault record, if a fault ended it.
    pub fn fault(&self) -> Option<u64> {
        match self.0 {
            Ended::Faulted(record) => Some(record),
            _ => None,
        }
    }
}

impl core::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Ended::Exited(status) => write!(f, "exit status: {status}"),
            Ended::Killed => f.write_str("killed"),
            Ended::Faulted(record) => write!(f, "crashed (fault record {record})"),
        }
    }
}

/// What a program that has ended left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// All programs that run.
pub fn list() -> Result<Vec<ProcessInfo>> {
    let server = server()?;
    let mut all = Vec::<ProcessInfo>::new();
    loop {
        let page = server.client.list(all.last().map_or(0, |last| last.id + 1))?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Ends a program at once.
pub fn kill(id: u32) -> Result<()> {
    let server = server()?;
    for _ in 0..REPETITIONS {
        match server.client.kill(id) {
            Err(IoError::ServiceRestarted) => {}
            result => return Ok(result?),
        }
        // Whether it was ended before the restart is for the new server to say.
        if !list()?.iter().any(|program| program.id == id) {
            return Ok(());
        }
    }
    Err(IoError::ServiceRestarted.into())
}

/// This program's number; 0 for a component.
pub fn id() -> u32 {
    server().and_then(|server| Ok(server.client.own_id()?)).unwrap_or(0)
}

/// Ends this program. A component that ends itself is a component that stopped: its supervisor is told.
pub fn exit(status: i32) -> ! {
    crate::exit(status)
}

/// Ends this program as a fault does.
pub fn abort() -> ! {
    panic!("aborted")
}

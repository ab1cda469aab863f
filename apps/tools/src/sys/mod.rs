//! Everything the tools ask of the system.
//!
//! In the program (feature `program`) this module is lib/motte, re-exported. On the host it is a thin shim
//! over std with the same names and signatures, so that the tools' behaviour can be tested there. The list
//! below is all that the tools rely on; names that std has mean what they mean in std.
//!
//! ```text
//! io       Error (kind(), Display, From<ErrorKind>), ErrorKind, Result, SeekFrom
//!          traits Read (read), Write (write_all, flush), Seek (seek, stream_position)
//!          stdin(), stdout(), stderr(): values that are Read or Write and have is_terminal() -> bool
//! fs       File: open(&str), create(&str), metadata(), sync_all(), set_len(u64), and Read, Write, Seek
//!          OpenOptions: new() read write append truncate create create_new open(&str)
//!          Metadata (Clone): len is_dir is_file is_symlink; mode() -> u32 with the S_IFMT bits;
//!            uid() gid() -> u32; nlink() ino() dev() blocks() -> u64 (blocks of 512 bytes);
//!            atime() mtime() ctime() -> i64 (seconds since 1970)
//!          metadata symlink_metadata canonicalize -> io::Result
//!          read_dir(&str) -> io::Result<ReadDir>, an iterator of io::Result<DirEntry>
//!          DirEntry: file_name() -> String
//!          create_dir create_dir_all remove_dir remove_file rename(from, to) hard_link(original, link)
//!          symlink(target, link) read_link -> io::Result<String>, set_permissions(path, mode: u32)
//!          set_times(path, Option<i64> atime, Option<i64> mtime), read(path) -> io::Result<Vec<u8>>
//!          statfs(path) -> io::Result<StatFs { block_size, blocks, blocks_free, files, files_free: u64,
//!            kind: String, read_only: bool }>
//!          mounts() -> io::Result<Vec<Mount { source, target, kind, options: String }>>
//!          mount(source, target, kind, options: &str), unmount(target), sync() -> io::Result<()>
//! env      args() -> impl Iterator<Item = String>, vars() -> impl Iterator<Item = (String, String)>
//!          var(&str) -> Option<String>, current_dir() -> io::Result<String>, set_current_dir(&str)
//! process  Command: new(&str) arg(&str) env(&str, &str) env_clear() stdin(Stdio) spawn() status()
//!          Stdio: null(); Child: wait() -> io::Result<ExitStatus>; ExitStatus: code() -> Option<i32>
//!          kill(pid: u32) -> io::Result<()>, id() -> u32
//!          list() -> io::Result<Vec<ProcessInfo>> (motte_interfaces::process)
//! time     Duration, Instant: now() elapsed(); SystemTime: now() duration_since(UNIX_EPOCH)
//! thread   sleep(Duration), spawn(FnOnce)
//! net      TcpStream: connect_timeout(&SocketAddr, Duration) try_clone shutdown(Shutdown) set_read_timeout set_write_timeout, Read, Write
//!          TcpListener: bind(SocketAddr) accept; UdpSocket: bind send_to recv_from set_read_timeout; IpAddr, SocketAddr
//!          EchoSocket: new() send(IpAddr, u16, &[u8]) recv(&mut [u8]) -> (usize, IpAddr, u16) set_read_timeout
//!          lookup(&str, Family) -> io::Result<Vec<IpAddr>>, unspecified(IpAddr) -> SocketAddr,
//!          admin() -> io::Result<NetAdminClient> (motte_interfaces::net)
//! terminal size() -> Option<(u16, u16)> (columns, rows)
//! system   components() -> io::Result<Vec<ComponentInfo>> (motte_interfaces::supervisor)
//!          changes(from: u64) -> io::Result<Vec<StateChange>>, next_change(from: u64) -> io::Result<StateChange>, which waits
//!          start(&str) stop(&str) restart(&str) kill(&str) -> io::Result<()>
//!          fault_records() -> io::Result<Vec<FaultRecord { number, time_ns: u64, component: String,
//!            generation: u32, cause: String, text: String }>>   (text: the whole record, as it is printed)
//!          memory() -> io::Result<MemoryInfo { total, used, free, cache, kernel: u64 }> (bytes)
//!          log_read(from: u64) -> io::Result<Vec<LogRecord { seq, time_ns: u64, level, source, text: String }>>
//!            (records whose seq >= from that are still kept; times since start-up; level: error, warn, info,
//!            debug or trace)
//!          trace_messages(all: bool) -> io::Result<()>
//!          trace_read() -> io::Result<Vec<TraceEvent { time_ns: u64, cpu: u32, kind: String, a, b, c: u64 }>>
//!          uptime() -> Duration, shutdown(status: u8) -> io::Result<()>, reboot() -> io::Result<()>
//!          kernel_version() -> String
//! ```

#[cfg(feature = "program")]
pub use motte::{env, fs, io, net, process, system, terminal, thread, time};

#[cfg(not(feature = "program"))]
mod host;
#[cfg(not(feature = "program"))]
pub use host::{env, fs, io, net, process, system, terminal, thread, time};

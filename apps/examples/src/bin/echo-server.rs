//! The example `echo-server`: sends back what comes, to all who connect at once, in one thread.
//!
//! ```text
//! $ echo-server 7 &
//! ```
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};

use motte::aio::{AsyncRead, AsyncWrite};
use motte::executor::Executor;
use motte::io;
use motte::net::{self, TcpListener, TcpStream};

motte::entry!(main);

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = alloc::vec![0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

fn main() -> Result<(), String> {
    let port = motte::env::args().nth(1).unwrap_or_else(|| "7".into());
    let port: u16 = port.parse().map_err(|_| "which port? echo-server PORT, such as `echo-server 7`")?;
    let executor = Executor::new().map_err(|error| error.to_string())?;
    let tasks = executor.tasks();
    net::wake_tasks(&tasks).map_err(|error| error.to_string())?;
    let ended: io::Result<()> = executor.run(async move {
        let listener = TcpListener::bind(("0.0.0.0", port))?;
        motte::println!("sending back what comes at {}", listener.local_addr()?);
        loop {
            // One that cannot be had, for want of memory say, is no reason to give the others up.
            let Ok((stream, _)) = listener.accept_task().await else { continue };
            tasks.spawn(async move {
                // Whoever breaks a connection off needs no answer.
                let _ = serve(stream).await;
            });
        }
    });
    ended.map_err(|error| error.to_string())
}

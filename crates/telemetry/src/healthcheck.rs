//! The `healthcheck` commands: ask the process on this machine whether it is well. For containers,
//! whose images have no HTTP client.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(3);

/// Asks `GET /health` of the process that listens on this host and port.
///
/// # Errors
/// When it can't be reached, or does not answer 200.
pub fn healthcheck(host: &str, port: u16) -> io::Result<()> {
    let host = match host {
        // What listens everywhere is reached here.
        "0.0.0.0" => "127.0.0.1",
        "::" | "[::]" => "::1",
        host => host,
    };
    let address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if &status == b"HTTP/1.1 200" {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "answered {}",
            String::from_utf8_lossy(&status)
        )))
    }
}

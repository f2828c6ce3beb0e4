//! One HTTP request without a client library, so that it also works while a test is dropped.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

/// Whether anybody listens there.
pub(crate) fn answers(url: &Url) -> bool {
    let addresses = url.socket_addrs(|| None).unwrap_or_default();
    TcpStream::connect(addresses.as_slice()).is_ok()
}

/// Sends a request with basic authentication from the address and returns status and body.
///
/// # Panics
/// When the server can't be reached: tests can't go on without it.
pub(crate) fn request(method: &str, url: &Url, body: &str) -> (u16, String) {
    let host = url.host_str().expect("a management address has a host");
    let port = url
        .port_or_known_default()
        .expect("a management address has a port");
    let credentials = BASE64_STANDARD.encode(format!(
        "{}:{}",
        url.username(),
        url.password().unwrap_or_default()
    ));
    let mut stream = TcpStream::connect((host, port))
        .unwrap_or_else(|error| panic!("{host}:{port} can't be reached ({error}); run ./dev test"));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
        path = url.path(),
        length = body.len(),
    )
    .expect("the management server reads its request");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the management server answers");
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let body = if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        unchunk(body)
    } else {
        body.to_owned()
    };
    (status, body)
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

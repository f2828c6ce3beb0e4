//! One HTTP/1.1 connection that stays open.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::requests::Requests;

/// Head lines of an answer that are looked at.
const HEAD_LINES: usize = 32;

/// A connection and what is on its way over it.
pub(super) struct Connection {
    stream: TcpStream,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            outgoing: Vec::new(),
            incoming: Vec::with_capacity(4096),
        })
    }

    /// Sends the request and reads its answer to the end.
    pub(super) async fn exchange(
        &mut self,
        requests: &Requests,
        number: usize,
    ) -> anyhow::Result<u16> {
        requests.write(number, &mut self.outgoing);
        self.stream.write_all(&self.outgoing).await?;
        self.incoming.clear();
        loop {
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(answer) = Answer::read(&self.incoming)?
                && self.incoming.len() >= answer.length
            {
                return Ok(answer.status);
            }
        }
    }
}

/// What counts of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Of head and body, in bytes.
    length: usize,
}

impl Answer {
    /// `None` while the head has not come to its end.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut lines = [httparse::EMPTY_HEADER; HEAD_LINES];
        let mut head = httparse::Response::new(&mut lines);
        let httparse::Status::Complete(head_length) = head.parse(bytes)? else {
            return Ok(None);
        };
        let status = head.code.context("an answer without a status")?;
        let length = head
            .headers
            .iter()
            .find(|line| line.name.eq_ignore_ascii_case("content-length"));
        let body_length = match length {
            Some(line) => std::str::from_utf8(line.value)?.trim().parse()?,
            None if status == 204 => 0,
            None => bail!("the answer {status} does not say how long it is"),
        };
        Ok(Some(Self {
            status,
            length: head_length + body_length,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let text = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello";
        let expected = Answer {
            status: 202,
            length: text.len(),
        };
        assert_eq!(Answer::read(text).unwrap(), Some(expected));
        assert_eq!(Answer::read(&text[..20]).unwrap(), None);
    }

    #[test]
    fn an_answer_without_a_length_is_refused_instead_of_misread() {
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(
            Answer::read(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap()
                .is_some()
        );
    }
}

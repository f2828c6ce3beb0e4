//! Answers to requests that can't be read as HTTP.
//!
//! hyper answers them by itself, with a status and no body, and no code of ours sees the request. So
//! its answer is completed on its way out: every other answer of the gateway with one of these
//! statuses has a body, so an empty one is hyper's.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::headers;
use crate::problem::{MEDIA_TYPE, Problem};

/// A connection on which hyper's own answers are completed.
#[derive(Debug)]
pub(crate) struct Completed<S> {
    stream: S,
    /// What is left to write of a completed answer.
    completed: Bytes,
}

impl<S> Completed<S> {
    /// Wraps a connection.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            completed: Bytes::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Completed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

// Vectored writes stay off, as they are by default: an answer then comes in one piece.
impl<S: AsyncWrite + Unpin> AsyncWrite for Completed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.completed.is_empty() {
            match completed(buffer) {
                Some(answer) => this.completed = answer,
                None => return Pin::new(&mut this.stream).poll_write(context, buffer),
            }
        }
        // Until all of it is written, hyper comes again with the same buffer.
        while !this.completed.is_empty() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, &this.completed))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.completed.advance(written);
        }
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// hyper's answer with a body and the headers of all answers, or `None` for anything else.
fn completed(answer: &[u8]) -> Option<Bytes> {
    const EMPTY: &str = "content-length: 0\r\n";
    let problem = match answer.get(..13)? {
        b"HTTP/1.1 400 " => Problem::unreadable_request(),
        b"HTTP/1.1 431 " => Problem::headers_too_large(),
        _ => return None,
    };
    let head = std::str::from_utf8(answer).ok()?;
    if !head.ends_with("\r\n\r\n") || !head.contains(EMPTY) {
        return None;
    }
    let body = serde_json::to_string(&problem).ok()?;
    let length = body.len();
    let mut described = format!("content-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\n");
    for (name, value) in &headers::DEFAULTS {
        // Writing to a String does not fail.
        let _ = write!(described, "{name}: {}\r\n", value.to_str().ok()?);
    }
    Some((head.replacen(EMPTY, &described, 1) + &body).into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::Completed;

    /// What arrives of an answer, over a connection that takes a few bytes at a time.
    async fn written(answer: &'static str) -> String {
        let (near, mut far) = duplex(16);
        let writing = tokio::spawn(async move {
            let mut connection = Completed::new(near);
            connection.write_all(answer.as_bytes()).await.unwrap();
        });
        let mut arrived = String::new();
        far.read_to_string(&mut arrived).await.unwrap();
        writing.await.unwrap();
        arrived
    }

    #[tokio::test]
    async fn an_empty_refusal_gets_a_body() {
        let arrived = written(
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: now\r\n\r\n",
        )
        .await;
        let (head, body) = arrived.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("\r\ndate: now"), "{head}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        assert!(
            head.contains("content-type: application/problem+json"),
            "{head}"
        );
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["type"], "/problems/headers-too-large");
    }

    #[tokio::test]
    async fn every_other_answer_stays_as_it_is() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "",
        ] {
            assert_eq!(written(answer).await, answer);
        }
    }
}

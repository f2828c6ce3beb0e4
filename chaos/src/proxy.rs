//! A TCP proxy in front of RabbitMQ or PostgreSQL that can cut every connection, let nothing pass
//! while they stay open, or let everything come late.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A running proxy; its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Raised by each cut: connections of an earlier generation end.
    generation: u64,
    frozen: bool,
    /// How much later everything comes.
    latency: Duration,
}

const BUFFER: usize = 16 * 1024;

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything to `target`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State::default());
        tokio::spawn(accept(listener, target, watched));
        Ok(Self { address, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection at once; new ones are taken.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Lets nothing pass for this time, in either direction, on old connections and new ones.
    pub async fn freeze(&self, time: Duration) {
        self.state.send_modify(|state| state.frozen = true);
        tokio::time::sleep(time).await;
        self.state.send_modify(|state| state.frozen = false);
    }

    /// Lets everything come later by `latency`, in both directions, for this time.
    pub async fn slow(&self, latency: Duration, time: Duration) {
        self.state.send_modify(|state| state.latency = latency);
        tokio::time::sleep(time).await;
        let none = Duration::ZERO;
        self.state.send_modify(|state| state.latency = none);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mut state: watch::Receiver<State>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Only the end of the proxy ends this.
            () = dropped(&mut state) => return,
        };
        if let Ok((client, _)) = accepted {
            tokio::spawn(pass(client, target, state.clone()));
        }
    }
}

async fn dropped(state: &mut watch::Receiver<State>) {
    while state.changed().await.is_ok() {}
}

async fn pass(client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let generation = state.borrow().generation;
    let (there, back) = (state.clone(), state.clone());
    let connection = async {
        // A target that is away shows as a connection that ends at once.
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        // Small messages must not wait for their acknowledgement: the proxy adds no delay of its own.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        // One end gone means that both are: nothing here uses half-closed connections.
        tokio::select! {
            () = copy(client_read, server_write, there) => {}
            () = copy(server_read, client_write, back) => {}
        }
    };
    tokio::select! {
        () = connection => {}
        _ = state.wait_for(|state| state.generation != generation) => {}
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if state.wait_for(|state| !state.frozen).await.is_err() {
            return;
        }
        let latency = state.borrow().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends everything back, behind a proxy, and a client's connection to it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let proxy = Proxy::start(target).await.unwrap();
        let client = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, client)
    }

    async fn said_back(client: &mut TcpStream) -> std::io::Result<u8> {
        client.write_all(b"x").await?;
        client.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_ends_every_connection_and_new_ones_work() {
        let (proxy, mut client) = echo().await;
        assert_eq!(said_back(&mut client).await.unwrap(), b'x');
        proxy.cut();
        assert!(client.read_u8().await.is_err());
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(said_back(&mut again).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_slow_connection_takes_its_time_both_ways() {
        let (proxy, mut client) = echo().await;
        let latency = Duration::from_millis(100);
        let began = std::time::Instant::now();
        let answer = async {
            let answer = said_back(&mut client).await.unwrap();
            (answer, began.elapsed())
        };
        let slow = proxy.slow(latency, Duration::from_secs(1));
        let ((), (answer, elapsed)) = tokio::join!(slow, answer);
        assert_eq!(answer, b'x');
        assert!(elapsed >= 2 * latency, "{elapsed:?}");
    }

    #[tokio::test]
    async fn a_freeze_holds_everything_back_and_loses_nothing() {
        let (proxy, mut client) = echo().await;
        assert_eq!(said_back(&mut client).await.unwrap(), b'x');
        let time = Duration::from_millis(300);
        let began = std::time::Instant::now();
        let freeze = proxy.freeze(time);
        let answer = async {
            let answer = said_back(&mut client).await.unwrap();
            (answer, began.elapsed())
        };
        let ((), (answer, elapsed)) = tokio::join!(freeze, answer);
        assert_eq!(answer, b'x');
        assert!(elapsed >= time, "{elapsed:?}");
    }
}

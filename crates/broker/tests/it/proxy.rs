//! A TCP proxy before the broker that can be cut, or go silent as a network does that drops
//! packets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Carries everything.
    Up,
    /// Closes every connection and accepts no new one.
    Cut,
    /// Carries nothing and says nothing. A connection that was silent once stays silent: its bytes
    /// are gone.
    Silent,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A proxy before the broker at this address.
    pub(crate) async fn before(amqp_url: &str) -> Self {
        let target = authority(amqp_url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (network, watched) = watch::channel(Network::Up);
        let task = tokio::spawn(accept(listener, target, watched));
        Self {
            address,
            network,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The broker's address through the proxy.
    pub(crate) fn url(&self, amqp_url: &str) -> String {
        amqp_url.replace(authority(amqp_url), &self.address.to_string())
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

fn authority(amqp_url: &str) -> &str {
    let rest = amqp_url.split_once('@').unwrap().1;
    rest.split_once('/').unwrap().0
}

async fn accept(listener: TcpListener, target: String, network: watch::Receiver<Network>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        if *network.borrow() != Network::Cut {
            tokio::spawn(carry(client, target.clone(), network.clone()));
        }
    }
}

async fn carry(mut client: TcpStream, target: String, mut network: watch::Receiver<Network>) {
    let mut server = TcpStream::connect(target).await.unwrap();
    let (mut from_client, mut from_server) = ([0; 4096], [0; 4096]);
    loop {
        let state = *network.borrow_and_update();
        match state {
            Network::Up => {}
            Network::Cut => return,
            Network::Silent => {
                let cut = network.wait_for(|state| *state == Network::Cut).await;
                drop(cut);
                return;
            }
        }
        tokio::select! {
            changed = network.changed() => if changed.is_err() { return },
            read = client.read(&mut from_client) => match read {
                Ok(length @ 1..) if server.write_all(&from_client[..length]).await.is_ok() => {}
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(length @ 1..) if client.write_all(&from_server[..length]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}

//! TLS in front of the real servers, with certificates of an authority that only the test knows.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A certificate authority that no system trusts.
pub struct PrivateAuthority(CertifiedIssuer<'static, KeyPair>);

/// What a client says before it speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// Nothing: `amqps://`.
    None,
    /// PostgreSQL's `SSLRequest`, eight bytes, which the server answers with `S`
    /// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>).
    Postgres,
}

/// A port that speaks TLS and hands everything on to a server that doesn't. Closed when dropped.
pub struct TlsFront {
    address: SocketAddr,
    _stop: DropGuard,
}

impl PrivateAuthority {
    /// Makes the authority's key and certificate.
    ///
    /// # Panics
    /// Never in practice: the system has random numbers.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the system has random numbers");
        let issuer = CertifiedIssuer::self_signed(params, key);
        Self(issuer.expect("a new key can sign"))
    }

    /// Its certificate, as a CA file holds it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().expect("the system has random numbers");
        let params = CertificateParams::new([name.to_owned()]).expect("this is a host's name");
        let certificate = params.signed_by(&key, &self.0).expect("a key can sign");
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows today's TLS")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("the key belongs to the certificate")
    }
}

impl Default for PrivateAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl TlsFront {
    /// Stands in front of `server` (host and port) with a certificate for `name`.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start(
        authority: &PrivateAuthority,
        name: &str,
        greeting: Greeting,
        server: (String, u16),
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(name)));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port can be bound");
        let address = listener.local_addr().expect("a listener has an address");
        let stop = CancellationToken::new();
        let serving = stop.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), server.clone());
                // A client that does not trust the certificate breaks off: nothing to report here.
                tokio::spawn(
                    async move { hand_on(stream, &acceptor, greeting, server).await.ok() },
                );
            }
        });
        tokio::spawn(serving);
        Self {
            address,
            _stop: stop.drop_guard(),
        }
    }

    /// Its port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn hand_on(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
    greeting: Greeting,
    server: (String, u16),
) -> std::io::Result<()> {
    if greeting == Greeting::Postgres {
        let mut request = [0; 8];
        stream.read_exact(&mut request).await?;
        stream.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(stream).await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

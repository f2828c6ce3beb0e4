//! The HTTP server: hyper with limits that `axum::serve` has no settings for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use crate::connections::{self, Connections, Place, RequestBody};

use crate::unreadable::Completed;

/// How long a connection may take to send the head of a request, and how long it may be idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes. With more, or with more than a hundred headers, hyper
/// answers 431.
const LARGEST_HEAD: usize = 16 * 1024;

/// How long requests that are under way may take after the signal to stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// A pause after the system could not accept a connection, for example for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets requests finish that are under way.
pub(crate) async fn run(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let room = connections::room();
    info!(room, "Serves this many connections at once.");
    let (graceful, connections) = (GracefulShutdown::new(), Connections::new(room));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "Could not accept a connection.");
                connections.close_one();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = connections.admit() => Arc::new(place),
        };
        let (router, served) = (router.clone(), place.clone());
        let service =
            service_fn(move |request| answer(router.clone(), request, address, served.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(Completed::new(stream)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    debug!(%error, "A connection broke.");
                },
                () = place.closed() => debug!("Closed a connection to make room for another."),
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_DEADLINE, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("Requests were still under way when the time to finish them was over.");
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    address: SocketAddr,
    place: Arc<Place>,
) -> Result<Response, Infallible> {
    let mut request = request.map(|body| Body::new(RequestBody::new(body, place.clone())));
    request.extensions_mut().insert(ConnectInfo(address));
    let answer = router.oneshot(request).await;
    place.waits_for_client();
    answer
}

//! Hostile clients by the thousands, and among them a provider whose webhooks must come through.

use std::time::{Duration, Instant};

use end_to_end::{Engine, World};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the attack lasts.
const ATTACK: Duration = Duration::from_secs(8);

/// How long an answer may take on a machine that is busy with all this.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections are held open, where the system lets this process open as many: more than the
/// gateway serves at once.
const MOST_IDLERS: u64 = 5000;

/// Files that this test needs besides: its own servers' connections, and the other attacks.
const OTHER_FILES: u64 = 700;

/// The most memory that the gateway may ever have used, in MiB. It is a debug build; a release build
/// needs less.
const MOST_MEMORY_MIB: u64 = 512;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_webhooks_come_through_whatever_else_arrives() {
    let idlers = MOST_IDLERS.min(raise_file_limit() - OTHER_FILES);
    println!("{idlers} connections are held open.");
    let world = World::new(Engine::Sqlite).await;
    let mut gateway = world.spawn_gateway().await;
    let target = Target {
        address: world.gateway_url().replace("http://", ""),
        secret: world.setting("WEBHOOK_SECRET").to_owned(),
    };

    let mut attacks = JoinSet::new();
    for number in 0..idlers {
        let start = format!("POST /webhook HTTP/1.1\r\nX-Number: {number}");
        attacks.spawn(send_slowly(target.address.clone(), start, "x"));
    }
    for _ in 0..200 {
        let start = target.head("Content-Length: 1000000");
        attacks.spawn(send_slowly(target.address.clone(), start, "0123456789"));
        attacks.spawn(half_close(target.address.clone()));
    }
    for _ in 0..4 {
        attacks.spawn(send_without_end(target.clone()));
    }
    let (mut posted, started) = (0, Instant::now());
    while started.elapsed() < ATTACK {
        target.expect_refusals().await;
        for _ in 0..10 {
            target.post_webhook(posted).await;
            posted += 1;
        }
    }
    attacks.shutdown().await;

    println!("{posted} webhooks were accepted meanwhile.");
    let waiting = tokio::task::block_in_place(|| world.broker.waiting("chat.intake"));
    assert!(waiting.len() >= posted, "{} of {posted}", waiting.len());
    let memory = gateway.peak_memory_mib();
    println!("The gateway used at most {memory} MiB.");
    assert!(memory < MOST_MEMORY_MIB, "{memory} MiB");
    assert!(gateway.is_running());
}

/// Lets this process, and the gateway that it starts, open as many files as the system allows.
fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MOST_IDLERS + OTHER_FILES;
    let allowed = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit {
            current: Some(allowed),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
    allowed
}

/// The gateway under attack.
#[derive(Clone)]
struct Target {
    address: String,
    secret: String,
}

impl Target {
    fn head(&self, header: &str) -> String {
        format!(
            "POST /webhook HTTP/1.1\r\nHost: {}\r\n{header}\r\n\r\n",
            self.address
        )
    }

    /// A whole request that proves that it knows the secret.
    fn signed(&self, body: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(body);
        let signature: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let length = body.len();
        let head = self.head(&format!(
            "Content-Type: application/json\r\nX-Webhook-Signature: sha256={signature}\r\n\
             Connection: close\r\nContent-Length: {length}"
        ));
        [head.as_bytes(), body].concat()
    }

    /// Sends a request on a connection of its own until it is answered, as a provider does.
    async fn answer(&self, request: &[u8]) -> String {
        let began = Instant::now();
        loop {
            let attempt = timeout(PATIENCE, exchange(&self.address, request)).await;
            match attempt.expect("an answer in time") {
                Ok(answer) if !answer.is_empty() => return answer,
                failed => assert!(began.elapsed() < PATIENCE, "{failed:?}"),
            }
        }
    }

    async fn post_webhook(&self, number: usize) {
        let body = format!(r#"{{"contact_id":"c{number}","message":"Hello {number}"}}"#);
        let answer = self.answer(&self.signed(body.as_bytes())).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// Requests that are whole, and wrong.
    async fn expect_refusals(&self) {
        let deep = "[".repeat(500_000);
        let many_headers: String = (0..10_000)
            .map(|number| format!("X-{number}: {number}\r\n"))
            .collect();
        let large_header = format!("X-Large: {}", "x".repeat(1_000_000));
        for (request, status) in [
            (self.signed(deep.as_bytes()), "400"),
            (self.signed(b"{\"contact_id\":\"\xff\xfe\"}"), "400"),
            (self.head("Content-Length: 100000000").into_bytes(), "413"),
            (self.head(&many_headers).into_bytes(), "431"),
            (self.head(&large_header).into_bytes(), "431"),
        ] {
            // The gateway may close before it has read all; then the answer can be lost.
            if let Ok(Ok(answer)) = timeout(PATIENCE, exchange(&self.address, &request)).await {
                let expected = format!("HTTP/1.1 {status} ");
                assert!(
                    answer.is_empty() || answer.starts_with(&expected),
                    "{answer}"
                );
            }
        }
    }
}

async fn exchange(address: &str, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    // The first bytes hold the status; a connection that stays open would not end.
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Sends the start, and then a little more now and then, for ever; from the beginning when the gateway
/// has had enough.
async fn send_slowly(address: String, start: String, more: &'static str) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await
            && stream.write_all(start.as_bytes()).await.is_ok()
        {
            while stream.write_all(more.as_bytes()).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        }
        sleep(Duration::from_secs(2)).await;
    }
}

/// Says that nothing more will come, in the middle of a head, and stays.
async fn half_close(address: String) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            let _ = stream.write_all(b"POST /webhook HTTP/1.1\r\nHost: x").await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Sends bodies of 100 MB in chunks, whatever is answered.
async fn send_without_end(target: Target) {
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    loop {
        if let Ok(mut stream) = TcpStream::connect(&target.address).await {
            let head = target.head("Transfer-Encoding: chunked");
            let mut sent = stream.write_all(head.as_bytes()).await;
            for _ in 0..1600 {
                if sent.is_err() {
                    break;
                }
                sent = stream.write_all(chunk.as_bytes()).await;
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

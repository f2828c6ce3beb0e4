//! What each transport failure leaves behind, shown on raw sockets.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Answers one connection with `bytes` and closes it; `None` never answers.
async fn raw_server(bytes: Option<&'static str>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        match bytes {
            Some(bytes) => socket.write_all(bytes.as_bytes()).await.unwrap(),
            None => std::future::pending().await,
        }
    });
    url
}

async fn call(url: Url, timeout: Duration) -> Result<Answer, ClientError> {
    let http = Http::new(Provider::Notify).unwrap();
    http.send("try", timeout, http.request(Method::POST, url))
        .await
}

const PATIENT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_refused_connection_is_not_done() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let error = call(url, PATIENT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDone { retry_after: None });
    assert!(!error.to_string().contains("127.0.0.1/"), "{error}");
}

#[tokio::test]
async fn a_tls_handshake_that_fails_is_not_done() {
    let mut url = raw_server(Some("this is not TLS")).await;
    url.set_scheme("https").unwrap();
    let error = call(url, PATIENT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDone { retry_after: None });
}

#[tokio::test]
async fn a_timeout_is_unknown() {
    let url = raw_server(None).await;
    let error = call(url, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_unknown() {
    let url = raw_server(Some("")).await;
    assert_eq!(
        call(url, PATIENT).await.unwrap_err().kind(),
        ErrorKind::Unknown
    );
}

#[tokio::test]
async fn a_truncated_success_is_unknown() {
    let url = raw_server(Some(
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":",
    ))
    .await;
    let error = call(url, PATIENT).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Unknown, Some(200))
    );
}

#[tokio::test]
async fn a_truncated_refusal_is_still_the_refusal() {
    let url = raw_server(Some(
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\n{",
    ))
    .await;
    let answer = call(url, PATIENT).await.unwrap();
    assert_eq!(answer.usual_kind(), ErrorKind::Permanent { reason: None });
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let url = raw_server(Some(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    assert_eq!(call(url, PATIENT).await.unwrap().status(), 302);
}

#[test]
fn an_id_cannot_leave_its_place_in_the_path() {
    let base = BaseUrl::parse(Provider::OpenAi, "https://api.openai.com/v1/").unwrap();
    assert_eq!(
        base.join(["responses", "../models?x=1"]).as_str(),
        "https://api.openai.com/v1/responses/..%2Fmodels%3Fx=1"
    );
}

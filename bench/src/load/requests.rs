//! Requests that are made before the clock runs.

use crate::signing::signature;

/// Length of a `webhook-id`: a prefix and a number with leading zeros.
const ID_LENGTH: usize = 28;

/// Length of a signature.
const SIGNATURE_LENGTH: usize = 44;

/// Requests in the order in which they are sent, each once.
#[derive(Debug, Clone)]
pub enum Requests {
    /// Webhooks that differ in their id and signature only.
    Signed(SignedWebhooks),
    /// Any others.
    Whole(Vec<Vec<u8>>),
}

/// One webhook, with the signatures that it has under many ids.
#[derive(Debug, Clone)]
pub struct SignedWebhooks {
    template: Vec<u8>,
    id_at: usize,
    signature_at: usize,
    series: u32,
    signatures: Vec<[u8; SIGNATURE_LENGTH]>,
}

impl Requests {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Signed(webhooks) => webhooks.signatures.len(),
            Self::Whole(requests) => requests.len(),
        }
    }

    /// Writes the request with this number into the buffer, in place of what it holds.
    pub(crate) fn write(&self, number: usize, buffer: &mut Vec<u8>) {
        buffer.clear();
        match self {
            Self::Whole(requests) => buffer.extend_from_slice(&requests[number]),
            Self::Signed(webhooks) => webhooks.write(number, buffer),
        }
    }
}

impl SignedWebhooks {
    /// Signs `count` webhooks with this JSON body. `series` keeps
    /// the ids of one round apart from those of all others.
    #[must_use]
    pub fn sign(body: &[u8], count: usize, series: u32, unix_seconds: i64) -> Self {
        let blank_id = " ".repeat(ID_LENGTH);
        let blank_signature = " ".repeat(SIGNATURE_LENGTH);
        let before_id = "POST /webhook/openai HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: OpenAI/1.0\r\n\
             accept: */*\r\ncontent-type: application/json\r\nwebhook-id: ";
        let before_signature = format!(
            "{before_id}{blank_id}\r\nwebhook-timestamp: {unix_seconds}\r\nwebhook-signature: v1,"
        );
        let mut template = format!(
            "{before_signature}{blank_signature}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        template.extend_from_slice(body);

        let sign = |number| {
            let signature = signature(&webhook_id(series, number), unix_seconds, body);
            signature
                .as_bytes()
                .try_into()
                .expect("a signature has 44 characters")
        };
        Self {
            id_at: before_id.len(),
            signature_at: before_signature.len(),
            series,
            signatures: (0..count).map(sign).collect(),
            template,
        }
    }

    fn write(&self, number: usize, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.template);
        let id = webhook_id(self.series, number);
        buffer[self.id_at..self.id_at + ID_LENGTH].copy_from_slice(id.as_bytes());
        buffer[self.signature_at..self.signature_at + SIGNATURE_LENGTH]
            .copy_from_slice(&self.signatures[number]);
    }
}

fn webhook_id(series: u32, number: usize) -> String {
    format!("wh_bench_{series:08}_{number:010}")
}

/// A POST with a JSON body and these further head lines.
#[must_use]
pub fn post_json(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The body of OpenAI's webhook for a finished response, filled up to this many bytes.
///
/// # Panics
/// When the size is less than the bare event.
#[must_use]
pub fn openai_event(size: usize) -> Vec<u8> {
    let event = |filling: &str| {
        format!(
            r#"{{"id":"evt_bench","object":"event","created_at":1795910400,"type":"response.completed","data":{{"id":"resp_1"{filling}}}}}"#
        )
    };
    let bare = event("").len();
    let filling = match size - bare {
        0 => String::new(),
        missing => {
            let around = r#","x":"""#.len();
            assert!(missing >= around, "no body of {size} bytes can be made");
            format!(r#","x":"{}""#, "x".repeat(missing - around))
        }
    };
    event(&filling).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{Requests, SignedWebhooks, openai_event, signature};

    #[test]
    fn bodies_have_the_size_asked_for_and_are_json() {
        for size in [110, 1500] {
            let body = openai_event(size);
            assert_eq!(body.len(), size);
            let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(event["type"], "response.completed");
        }
    }

    #[test]
    fn each_request_has_an_id_of_its_own_and_the_signature_of_that_id() {
        let webhooks = SignedWebhooks::sign(b"{}", 2, 7, 1_795_910_400);
        let requests = Requests::Signed(webhooks);
        let mut buffer = Vec::new();
        let mut text = |number| {
            requests.write(number, &mut buffer);
            String::from_utf8(buffer.clone()).unwrap()
        };
        let (first, second) = (text(0), text(1));
        assert!(
            first.contains("webhook-id: wh_bench_00000007_0000000000\r\n"),
            "{first}"
        );
        assert!(
            second.contains("webhook-id: wh_bench_00000007_0000000001\r\n"),
            "{second}"
        );
        let signed = signature("wh_bench_00000007_0000000000", 1_795_910_400, b"{}");
        let line = format!("webhook-signature: v1,{signed}\r\n");
        assert!(first.contains(&line), "{first}");
        assert!(first.ends_with("content-length: 2\r\n\r\n{}"), "{first}");
        assert_ne!(first, second);
    }
}

//! The people and services outside of Millrace, played through the sandbox.

use serde_json::{Value, json};

use crate::World;

impl World {
    /// The contact writes a text message. Returns when the gateway has accepted its webhook.
    ///
    /// # Panics
    /// When the gateway refuses it.
    pub async fn contact_writes(&self, contact: &str, text: &str) {
        let path = format!("/sandbox/highlevel/contacts/{contact}/messages");
        self.delivered(&self.play(&path, &json!({"text": text})).await)
            .await;
    }

    /// The contact writes, and HighLevel sends the webhook until somebody accepts it.
    pub async fn contact_writes_in_troubled_times(&self, contact: &str, text: &str) {
        let path = format!("/sandbox/highlevel/contacts/{contact}/messages");
        self.play(&path, &json!({"text": text})).await;
    }

    /// The contact writes, and the webhook arrives `delay_ms` later. Returns at once.
    pub async fn contact_writes_late(&self, contact: &str, text: &str, delay_ms: u64) {
        let path = format!("/sandbox/highlevel/contacts/{contact}/messages");
        let message = json!({"text": text, "deliver": "late", "delay_ms": delay_ms});
        self.play(&path, &message).await;
    }

    /// The contact writes, and the webhook arrives twice.
    ///
    /// # Panics
    /// When the gateway refuses it.
    pub async fn contact_writes_twice_delivered(&self, contact: &str, text: &str) {
        let path = format!("/sandbox/highlevel/contacts/{contact}/messages");
        let message = json!({"text": text, "deliver": "twice"});
        self.delivered(&self.play(&path, &message).await).await;
    }

    /// A person of the business answers by hand.
    ///
    /// # Panics
    /// When the gateway refuses the webhook.
    pub async fn person_answers(&self, contact: &str, text: &str) {
        let path = format!("/sandbox/highlevel/contacts/{contact}/human-reply");
        self.delivered(&self.play(&path, &json!({"text": text})).await)
            .await;
    }

    /// The contact's do-not-disturb is switched on.
    pub async fn do_not_disturb(&self, contact: &str) {
        let path = format!("/sandbox/highlevel/contacts/{contact}/dnd");
        self.play(&path, &json!({})).await;
    }

    /// A contact is created.
    pub async fn contact_exists(&self, contact: &str) {
        let contact = json!({"id": contact});
        self.play("/sandbox/highlevel/contacts", &contact).await;
    }

    /// A deal with one company is created.
    pub async fn deal_exists(&self, deal: &str, company: &str) {
        let deal = json!({
            "id": deal,
            "properties": {"dealname": format!("{company}: renewal")},
            "companies": [{"properties": {"name": company}}],
        });
        self.play("/sandbox/hubspot/deals", &deal).await;
    }

    /// A salesperson moves a deal; its webhook is sent `times` times.
    ///
    /// # Panics
    /// When the gateway refuses it.
    pub async fn deal_reaches(&self, deal: &str, stage: &str, times: u32) {
        let path = format!("/sandbox/hubspot/deals/{deal}/stage");
        let change = json!({"stage": stage, "times": times});
        self.delivered(&self.play(&path, &change).await).await;
    }

    /// Scripts how the next research ends: `status`, `code`, `text`, `after_ms`, `times`.
    pub async fn next_research(&self, ending: &Value) {
        self.play("/sandbox/openai/next", ending).await;
    }

    /// Scripts what the model answers in the next synchronous response.
    pub async fn next_reply(&self, text: &str) {
        self.play("/sandbox/openai/next-reply", &json!({"text": text}))
            .await;
    }

    /// The text of a Google document.
    ///
    /// # Panics
    /// When the sandbox does not answer.
    pub async fn google_document(&self, id: &str) -> String {
        let base = self.sandbox.base_url();
        let url = format!("{base}/sandbox/google/documents/{id}");
        let response = self
            .http
            .get(url)
            .send()
            .await
            .expect("the sandbox answers");
        response.text().await.expect("the answer is complete")
    }

    async fn play(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.sandbox.base_url());
        let response = self.http.post(url).json(body).send().await;
        let response = response.expect("the sandbox answers");
        let status = response.status();
        let answer = response.text().await.expect("the answer is complete");
        assert!(status.is_success(), "{path} answered {status}: {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// Waits until the gateway has accepted every webhook of an answer. On a busy machine it may ask
    /// for some of them again.
    async fn delivered(&self, answer: &Value) {
        let first = answer["deliveries"].as_array();
        let first = first.expect("the sandbox names its deliveries");
        assert!(!first.is_empty(), "no webhook was sent: {answer}");
        for delivery in first {
            let ask_again = [json!(200), json!(429), json!(503), Value::Null];
            assert!(ask_again.contains(&delivery["status"]), "{delivery}");
            self.until("an accepted webhook", |world| {
                let attempts = world.sandbox.deliveries();
                let mut accepted = attempts.iter().filter(|sent| sent.status == Some(200));
                accepted.any(|sent| delivery["id"] == sent.id.as_str())
            })
            .await;
        }
    }
}

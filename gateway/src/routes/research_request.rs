//! The body of `POST /generate`.

use entities::JobId;
use messages::{ResearchRequested, generate_event_id};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::body::text::{Identifier, Line, not_blank};
use crate::contract::CanFail;
use crate::problem::Problem;

/// What a client asks for. Fields that are not named here are passed on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResearchRequest {
    /// The client's id of the company. Not blank.
    #[schema(required, nullable = false, schema_with = not_blank)]
    company_id: Option<Identifier>,
    /// When the company reached the stage, as the client writes it.
    stage_ts: Option<Identifier>,
    /// The HubSpot deal to update when the document is there.
    deal_id: Option<Identifier>,
    /// The same as `dealId`, which goes first.
    #[serde(rename = "deal_id")]
    older_deal_id: Option<Identifier>,
    /// Ask for new research even where a fresh document exists.
    refresh: Option<bool>,
    /// What is known about the company.
    company: Option<Company>,
    /// More about the company, from enrichment services.
    #[serde(rename = "enriched_data")]
    #[schema(value_type = Option<Object>)]
    enriched_data: Option<Map<String, Value>>,
    #[serde(flatten)]
    #[schema(ignore)]
    extra: Map<String, Value>,
}

/// What a client knows about the company. Fields that are not named here are passed on.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
pub(crate) struct Company {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Line>,
    /// Its website's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Line>,
    #[serde(flatten)]
    #[schema(ignore)]
    extra: Map<String, Value>,
}

impl ResearchRequest {
    /// The event's id and its data. `key` is the client's `Idempotency-Key`.
    ///
    /// # Errors
    /// 422 without a company.
    pub(crate) fn read(self, key: Option<&str>) -> Result<(String, ResearchRequested), Problem> {
        let text = |identifier: Option<Identifier>| identifier.and_then(Identifier::into_text);
        let company_id = text(self.company_id).ok_or_else(no_company)?;
        let stage_ts = text(self.stage_ts);
        let (event_id, idempotency_key) = identity(key, &company_id, stage_ts.as_deref());
        let request = ResearchRequested {
            job_id: JobId::from_idempotency_key(&idempotency_key).0,
            idempotency_key,
            company_id,
            stage_ts,
            company: self.company.unwrap_or_default().into_map(),
            enriched_data: self.enriched_data.unwrap_or_default(),
            deal_id: text(self.deal_id).or_else(|| text(self.older_deal_id)),
            refresh: self.refresh.unwrap_or_default(),
            extra: self.extra,
        };
        Ok((event_id, request))
    }
}

impl Company {
    fn into_map(self) -> Map<String, Value> {
        let mut map = self.extra;
        for (name, line) in [("name", self.name), ("domain", self.domain)] {
            if let Some(text) = line.and_then(Line::into_text) {
                map.insert(name.to_owned(), text.into());
            }
        }
        map
    }
}

impl CanFail for ResearchRequest {
    fn problems() -> Vec<Problem> {
        vec![no_company()]
    }
}

fn no_company() -> Problem {
    Problem::invalid_field("/companyId", "companyId is required: a number or a text.")
}

/// What makes two requests the same: the client's key, else company and stage time. With neither,
/// each request is a job of its own.
fn identity(key: Option<&str>, company_id: &str, stage_ts: Option<&str>) -> (String, String) {
    match (key, stage_ts) {
        (Some(key), _) => (
            generate_event_id(Some(key), company_id, ""),
            format!("key:{key}"),
        ),
        (None, Some(stage_ts)) => (
            generate_event_id(None, company_id, stage_ts),
            format!("generate:{company_id}:{stage_ts}"),
        ),
        (None, None) => {
            let id = Uuid::new_v4().to_string();
            let key = format!("random:{id}");
            (id, key)
        }
    }
}

#[cfg(test)]
mod tests {
    use messages::ResearchRequested;
    use serde_json::{Value, json};

    use super::ResearchRequest;
    use crate::body::json;
    use crate::problem::Problem;

    fn read(key: Option<&str>, body: &Value) -> Result<(String, ResearchRequested), Problem> {
        json::object::<ResearchRequest>(body.to_string().as_bytes())?.read(key)
    }

    fn request(key: Option<&str>, body: &Value) -> (String, ResearchRequested) {
        read(key, body).unwrap()
    }

    /// Where the body is wrong.
    fn refused(body: &Value) -> String {
        let problem = serde_json::to_value(read(None, body).unwrap_err()).unwrap();
        assert_eq!(problem["status"], 422);
        problem["errors"][0]["pointer"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_same_company_and_stage_time_is_the_same_job() {
        let mut body = json!({"companyId": 42, "stageTs": "2026-11-22T00:00:00Z"});
        let (first_id, first) = request(None, &body);
        body["companyId"] = json!("42");
        body["refresh"] = json!(true);
        let (repeated_id, repeated) = request(None, &body);
        assert_eq!(first.idempotency_key, "generate:42:2026-11-22T00:00:00Z");
        assert_eq!((first_id, first.job_id), (repeated_id, repeated.job_id));
        assert!(repeated.refresh);
    }

    #[test]
    fn an_idempotency_key_decides_alone() {
        let (_, first) = request(Some("k1"), &json!({"companyId": 1, "stageTs": 1}));
        let (_, second) = request(Some("k1"), &json!({"companyId": 1, "stageTs": 2}));
        assert_eq!(first.idempotency_key, "key:k1");
        assert_eq!(first.job_id, second.job_id);
    }

    #[test]
    fn with_neither_each_request_is_a_job_of_its_own() {
        let (_, first) = request(None, &json!({"companyId": 1}));
        let (_, second) = request(None, &json!({"companyId": 1}));
        assert_ne!(first.job_id, second.job_id);
    }

    #[test]
    fn what_the_client_knows_is_passed_on_with_fields_that_nobody_here_knows() {
        let (_, request) = request(
            None,
            &json!({
                "companyId": "c", "dealId": 18_273_645_501_i64,
                "company": {"name": " Acme ", "domain": "acme.example", "size": 12},
                "enriched_data": {"employees": 12}, "campaign": {"id": 7},
            }),
        );
        assert_eq!(request.deal_id.as_deref(), Some("18273645501"));
        assert_eq!(
            Value::Object(request.company),
            json!({"name": "Acme", "domain": "acme.example", "size": 12})
        );
        assert_eq!(request.enriched_data["employees"], 12);
        assert_eq!(request.extra["campaign"], json!({"id": 7}));
    }

    #[test]
    fn null_and_blank_count_as_missing_and_the_older_name_of_the_deal_is_read() {
        let (_, request) = request(
            None,
            &json!({
                "companyId": 1, "stageTs": " ", "dealId": "", "deal_id": "7", "refresh": null,
                "company": null, "enriched_data": null,
            }),
        );
        assert_eq!(request.stage_ts, None);
        assert_eq!(request.deal_id.as_deref(), Some("7"));
        assert!(request.extra.is_empty() && request.company.is_empty());
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(refused(&json!({})), "/companyId");
        assert_eq!(refused(&json!({"companyId": " "})), "/companyId");
        assert_eq!(refused(&json!({"companyId": [1]})), "/companyId");
        assert_eq!(
            refused(&json!({"companyId": 1, "company": "Acme"})),
            "/company"
        );
        assert_eq!(
            refused(&json!({"companyId": 1, "company": {"name": 7}})),
            "/company/name"
        );
        assert_eq!(
            refused(&json!({"companyId": 1, "refresh": "yes"})),
            "/refresh"
        );
    }
}

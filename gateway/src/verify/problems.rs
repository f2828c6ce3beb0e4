//! What a request that was not believed is answered.

use super::{
    Client, HighLevelDelivery, HubSpotDelivery, HubSpotWorkflowDelivery, OpenAiDelivery, Verified,
};
use crate::body::RawBody;
use crate::contract::CanFail;
use crate::problem::Problem;

/// What a client without a valid key is told.
pub(super) const SHOW_A_KEY: &str =
    "Send an API key as Authorization: Bearer <key> or X-API-Key: <key>.";

impl CanFail for Verified<Client> {
    fn problems() -> Vec<Problem> {
        vec![
            Problem::unauthorized(SHOW_A_KEY),
            Problem::too_many_requests(42),
        ]
    }
}

macro_rules! webhooks_can_fail {
    ($($delivery:ty),+) => {
        $(impl CanFail for Verified<$delivery> {
            fn problems() -> Vec<Problem> {
                let unproven = [Problem::invalid_signature(), Problem::too_many_requests(42)];
                RawBody::problems().into_iter().chain(unproven).collect()
            }
        })+
    };
}

webhooks_can_fail!(
    OpenAiDelivery,
    HubSpotDelivery,
    HubSpotWorkflowDelivery,
    HighLevelDelivery
);

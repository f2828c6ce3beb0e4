//! What a request that was not believed is answered.

use super::{
    Access, Client, HighLevelDelivery, HubSpotDelivery, HubSpotWorkflowDelivery, OpenAiDelivery,
    Verified,
};
use crate::body::RawBody;
use crate::contract::CanFail;
use crate::problem::Problem;

impl<A: Access> CanFail for Verified<Client<A>> {
    fn problems() -> Vec<Problem> {
        vec![
            Problem::unauthorized(),
            Problem::missing_scope(A::SCOPE),
            Problem::too_many_requests(42),
            Problem::no_keys(),
            Problem::database_unavailable(),
        ]
    }
}

macro_rules! webhooks_can_fail {
    ($($delivery:ty),+) => {
        $(impl CanFail for Verified<$delivery> {
            fn problems() -> Vec<Problem> {
                let unproven = [
                    Problem::invalid_signature(),
                    Problem::too_many_requests(42),
                    Problem::no_secret(),
                ];
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

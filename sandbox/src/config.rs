//! What can be set about a sandbox. Everything has a default that suits a test.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Settings of one sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// Where webhooks go: the gateway's address without a path.
    pub gateway: String,
    /// The base address that HubSpot's signatures cover; the gateway's address when `None`.
    pub hubspot_public_base: Option<String>,
    /// How long a background response takes to complete.
    pub research_time: Duration,
    /// The wait before a webhook's first retry; it doubles up to 20 times itself. The real
    /// services wait minutes and hours.
    pub retry_delay: Duration,
    /// Whether the Google folder and template lie on a shared drive. Without one, a service
    /// account has no storage and every new file is refused.
    pub google_shared_drive: bool,
    /// Whether HighLevel's list of messages is nested (`messages.messages`), as clients in
    /// public use find it, or flat, as its specification says.
    pub highlevel_nested_messages: bool,
    /// Whether a message sent through HighLevel's API comes back as an `OutboundMessage` webhook.
    pub highlevel_echo_outbound: bool,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            gateway: "http://127.0.0.1:8080".to_owned(),
            hubspot_public_base: None,
            research_time: Duration::from_secs(2),
            retry_delay: Duration::from_millis(500),
            google_shared_drive: true,
            highlevel_nested_messages: true,
            highlevel_echo_outbound: true,
        }
    }
}

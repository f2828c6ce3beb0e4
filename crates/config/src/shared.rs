//! Variables that more than one binary reads.

use std::ops::RangeInclusive;

use crate::{Environment, Secret};

/// The range of the wait before a batch closes, in seconds (design.md §6).
pub const WAIT_SECONDS: RangeInclusive<u32> = 5..=300;

/// The wait where neither `MESSAGE_BATCH_WAIT_TIME` nor `/batch-config` says otherwise, in seconds.
pub const DEFAULT_WAIT_SECONDS: u32 = 30;

/// `AMQP_URL`: the broker, or the nodes of its cluster, separated by commas. Defaults to the
/// RabbitMQ that `./dev` starts.
pub fn amqp_url(environment: &mut Environment) -> Secret {
    let default = "amqp://millrace:millrace@127.0.0.1:5682/%2f";
    let url = environment
        .secret("AMQP_URL")
        .unwrap_or_else(|| Secret::new(default));
    let amqp = |node: &str| node.starts_with("amqp://") || node.starts_with("amqps://");
    if !url.expose().split(',').map(str::trim).all(amqp) {
        environment.problem(
            "AMQP_URL",
            "must be amqp:// or amqps:// addresses, separated by commas (a comma in a password is %2C)",
        );
    }
    url
}

/// `AMQP_CA_FILE`: certificates (PEM) of the private authority that signed the certificate of an
/// `amqps://` broker. Without it the authorities that the system trusts count alone.
pub fn amqp_ca(environment: &mut Environment) -> Option<String> {
    let name = "AMQP_CA_FILE";
    let path = environment.optional(name)?;
    match std::fs::read_to_string(&path) {
        Ok(certificates) if certificates.contains("-----BEGIN CERTIFICATE-----") => {
            Some(certificates)
        }
        Ok(_) => {
            environment.problem(name, format!("holds no PEM certificate: {path}"));
            None
        }
        Err(error) => {
            environment.problem(name, format!("can't be read: {path}: {error}"));
            None
        }
    }
}

/// `DATABASE_URL`: SQLite in a file, or PostgreSQL for more than one machine.
pub fn database_url(environment: &mut Environment) -> Secret {
    let default = "sqlite://millrace.db?mode=rwc";
    let url = environment
        .secret("DATABASE_URL")
        .unwrap_or_else(|| Secret::new(default));
    if !["sqlite:", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.expose().starts_with(scheme))
    {
        environment.problem("DATABASE_URL", "must start with sqlite: or postgres://");
    }
    url
}

/// `HOST`: the address that this process listens on, for its routes and for `/metrics`.
#[must_use]
pub fn host(environment: &Environment) -> String {
    environment.text("HOST", "127.0.0.1")
}

/// `METRICS_PORT`: where this process serves `/metrics` and `/health`. 0 takes any free port.
pub fn metrics_port(environment: &mut Environment, default: u16) -> u16 {
    environment.number("METRICS_PORT", default, 0..=65535)
}

/// `MESSAGE_BATCH_WAIT_TIME`: the starting value of the wait before a batch closes, in seconds.
pub fn wait_seconds(environment: &mut Environment) -> u32 {
    environment.number(
        "MESSAGE_BATCH_WAIT_TIME",
        DEFAULT_WAIT_SECONDS,
        WAIT_SECONDS,
    )
}

#[cfg(test)]
mod tests {
    use super::amqp_url;
    use crate::Environment;

    fn problem_with(url: &str) -> Option<String> {
        let mut environment = Environment::from_pairs([("AMQP_URL", url)]);
        amqp_url(&mut environment);
        environment.finish().err().map(|error| error.to_string())
    }

    #[test]
    fn the_broker_is_one_address_or_one_for_each_node() {
        let two = "amqps://me:secret@one/millrace, amqps://me:secret@two/millrace";
        for url in ["amqp://127.0.0.1", two] {
            assert_eq!(problem_with(url), None, "{url}");
        }
        for url in ["one:5672", "amqp://one,two", "amqp://me:sec,ret@one"] {
            let problem = problem_with(url).unwrap();
            assert!(problem.contains("AMQP_URL must be"), "{problem}");
            assert!(!problem.contains("ret@"), "no secret is shown: {problem}");
        }
    }
}

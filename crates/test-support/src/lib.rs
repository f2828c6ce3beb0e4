//! What the tests of all crates need: a broker and a database of their own, and waiting for
//! conditions.
//!
//! Each test gets an empty virtual host on a real RabbitMQ and an empty SQLite file or PostgreSQL
//! database, both removed at its end. A missing server fails the test with the command that
//! starts it.

mod broker;
mod database;
mod http;
mod node;
mod tls;
mod wait;

pub use self::broker::Broker;
pub use database::Database;
pub use node::Node;
pub use tls::{Greeting, PrivateAuthority, TlsFront};
pub use wait::eventually;

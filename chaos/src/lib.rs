//! Proves that Millrace loses nothing and does nothing twice, by making everything go wrong.
//!
//! A run starts the real programs (two gateways, two workers, RabbitMQ, PostgreSQL), with the
//! sandbox as the providers, lets events of both flows come in, and carries out a schedule of faults
//! that a seed decides. When all is quiet again it compares what the gateways accepted with what the
//! sandbox saw. There is no test double inside Millrace: the faults strike processes, connections
//! and providers. `docs/reliability.md` says what a run covers.
//!
//! - [`schedule`]: which event and which fault happens when
//! - [`World`]: everything that runs, and how it is killed and started again
//! - [`events`], [`faults`]: carry the schedule out; [`relay`], [`proxy`]: what stands between the parts
//! - [`crash_points`]: the other kind of run, one death at each named point
//! - [`settle`]: waits until nothing moves any more
//! - [`evidence`]: what everybody outside saw; [`account`]: what that means
//! - [`books`]: what Millrace says itself
//! - [`report`]: the tables

pub mod account;
pub mod books;
mod broker;
pub mod crash_points;
pub mod events;
pub mod evidence;
pub mod faults;
pub mod log;
pub mod options;
pub mod process;
pub mod proxy;
pub mod random;
pub mod recovery;
pub mod relay;
pub mod report;
pub mod run;
mod sabotage;
pub mod schedule;
pub mod settle;
pub mod subject;
pub mod world;

pub use options::{Database, Options};
pub use run::run;
pub use world::World;

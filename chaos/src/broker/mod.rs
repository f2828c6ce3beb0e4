//! RabbitMQ: the nodes of this run, and what their operator sees.

mod management;
mod node;

pub(crate) use management::{Depth, Management, USER};
pub(crate) use node::Node;

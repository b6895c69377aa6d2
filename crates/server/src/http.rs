//! What is around a handler: connections, reading, answering, refusing, observing.

pub mod around;
pub mod connections;
pub mod cookies;
pub mod metrics;
pub mod observe;
pub mod refused;
pub mod request;
pub mod respond;
pub mod said;

//! Everything around a handler: connections, reading, answering, refusing, observing.

pub mod around;
pub mod body;
pub mod connections;
pub mod cookies;
pub mod fdx_headers;
pub mod head;
pub mod observe;
pub mod operation;
pub mod refused;
pub mod respond;
pub mod route;

pub mod shape;

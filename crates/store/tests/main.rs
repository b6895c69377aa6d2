//! The store's tests, in one program.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod backup;
mod contract;
mod copy;
mod fill;
mod growth;
mod postgres;
mod proxy;
mod restore;
mod setting;
mod sqlite;
mod upgrade;

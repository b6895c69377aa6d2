//! A node: its parts, its caches, and its background tasks.

pub mod app;
pub mod clients;
pub mod clocks;
pub mod freshness;
pub mod guest;
pub mod keys;
pub mod known_keys;
pub mod limits;
pub mod lockout;
pub mod maintenance;
pub mod metrics;
pub mod poll;
pub mod sweep;
pub mod timekeeping;
pub mod writable;

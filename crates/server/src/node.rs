//! What a node is: its parts, what it keeps in memory, and what it does without being asked.

pub mod app;
pub mod clients;
pub mod follow;
pub mod keys;
pub mod maintenance;
pub mod sweep;
pub mod timekeeping;

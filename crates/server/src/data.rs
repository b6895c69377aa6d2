//! The bank's data.

pub mod accounts;

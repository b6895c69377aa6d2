//! Making, finding and ending grants.

pub mod living;

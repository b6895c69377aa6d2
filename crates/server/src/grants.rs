//! Making, finding and ending grants.

pub mod access_period;
pub mod end;
pub mod find;
pub mod living;
pub mod make;

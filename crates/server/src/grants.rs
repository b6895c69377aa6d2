//! Making, finding and ending grants.

pub mod end;
pub mod find;
pub mod lasts;
pub mod living;
pub mod make;

//! What a presented token is, and whether it is valid.

pub mod bearer;
pub mod id_token;
pub mod slip;

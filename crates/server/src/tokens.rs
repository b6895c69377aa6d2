//! What a presented token is, and whether it is good.

pub mod bearer;
pub mod id_token;
pub mod slip;

//! An authorization request and its possible answers.

pub mod answer;
pub mod answerable;
pub mod request;
pub mod way_back;

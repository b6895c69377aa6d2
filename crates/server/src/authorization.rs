//! An authorization request, and the ways to answer it.

pub mod answer;
pub mod answerable;
pub mod request;
pub mod way_back;

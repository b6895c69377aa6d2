//! An authorization request, and the ways to answer it.

pub mod answer;

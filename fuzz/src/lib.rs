//! What the fuzz targets share. The properties live with the core's tests, which hold them against
//! the corpora on stable Rust.

#[path = "../../crates/core/tests/properties/mod.rs"]
pub mod properties;

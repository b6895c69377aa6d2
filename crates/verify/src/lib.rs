//! Certifies an OAuth server over HTTP.

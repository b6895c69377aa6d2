//! The shape of answers: OAuth's, FDX's, or a page.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// The shape of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `{"error": "..."}`.
    OAuth,
    /// `{"code": ..., "message": "..."}`.
    Fdx,
    /// HTML.
    Page,
}

/// The shape of answers at an unknown path, or on a route that declares none: if the path does not
/// tell, HTML for browsers and OAuth's for everyone else.
pub fn shape_of(path: &str, headers: &HeaderMap) -> Shape {
    shape_at(path).unwrap_or_else(|| {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        if accept.is_some_and(|accept| accept.contains("text/html")) {
            Shape::Page
        } else {
            Shape::OAuth
        }
    })
}

/// The shape that a path implies: FDX for data paths, HTML for pages, OAuth for endpoints that only
/// programs call.
fn shape_at(path: &str) -> Option<Shape> {
    const DATA: [&str; 6] =
        ["/accounts", "/accounts-info", "/balances", "/transactions", "/customers", "/fdx"];
    const OAUTH: [&str; 9] = [
        "/token",
        "/revoke",
        "/introspect",
        "/userinfo",
        "/jwks",
        "/.well-known",
        "/openapi.json",
        "/health",
        "/metrics",
    ];
    const PAGES: [&str; 6] =
        ["/authorize", "/auth", "/sign-in", "/consent", "/connected-apps", "/sign-out"];
    let under = |roots: &[&str]| {
        let is_under = |root: &&str| {
            path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        roots.iter().any(is_under)
    };
    if under(&DATA) {
        Some(Shape::Fdx)
    } else if under(&PAGES) {
        Some(Shape::Page)
    } else {
        under(&OAUTH).then_some(Shape::OAuth)
    }
}

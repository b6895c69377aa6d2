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

/// The shape of answers at a path that no route has, or one whose route does not say: where the
/// path does not tell, HTML for a browser and OAuth's for everybody else.
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

/// How bodies look at a path, where the path says: data paths are FDX-shaped, pages are HTML, what
/// only programs ask for is OAuth-shaped.
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

//! The files that pages load.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};

use crate::pages::{FORM_POST_JS, LOGO_SVG, STYLE};

/// A built-in text file.
pub fn asset(content_type: &'static str, text: &'static str) -> Response {
    (
        [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, "public, max-age=3600"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        text,
    )
        .into_response()
}

/// `GET /assets/style.css`.
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// `GET /assets/form-post.js`.
pub async fn form_post() -> Response {
    asset("text/javascript; charset=utf-8", FORM_POST_JS)
}

/// `GET /assets/logo.svg`.
pub async fn logo() -> Response {
    asset("image/svg+xml", LOGO_SVG)
}

//! The files that pages load.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};

use crate::http::operation::{self, Operation};
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

/// What the OpenAPI document says of a style sheet.
pub fn describe_style() -> Vec<Operation> {
    vec![operation::get("A style sheet of the pages").text(200, "text/css", "The style sheet.")]
}

/// What the OpenAPI document says of a script.
pub fn describe_script() -> Vec<Operation> {
    vec![operation::get("A script of the pages").text(200, "text/javascript", "The script.")]
}

/// What the OpenAPI document says of a picture.
pub fn describe_picture() -> Vec<Operation> {
    vec![operation::get("A picture of the pages").text(200, "image/svg+xml", "The picture.")]
}

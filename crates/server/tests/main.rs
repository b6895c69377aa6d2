//! The server's tests, in one program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod accounts;
mod answers;
mod authorize;
mod browser;
mod chromium;
mod clocks;
mod connected_apps;
mod connections;
mod consent;
mod dashboard;
mod discovery;
mod faults;
mod grade;
mod hostile;
mod id_tokens;
mod introspection;
mod lockout;
mod logins;
mod nodes;
mod openapi;
mod replays;
mod retries;
mod revoke;
mod sandbox;
mod setting;
mod shown;
mod sign_in;
mod silent;
mod slips;
mod tabs;
mod token_management;
mod token_requests;
mod visitor;
mod webdriver;
mod wings;

//! What a bank's customer sees and does: sign-in, consent, connected apps.

pub mod assets;
pub mod connected_apps;
pub mod consent;
pub mod consent_page;
pub mod continuation;
pub mod logins;
pub mod passwords;
pub mod session;
pub mod sign_in;
pub mod sign_in_page;
pub mod ticket;

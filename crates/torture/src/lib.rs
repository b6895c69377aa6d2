//! Proof that nothing acknowledged is lost, whenever a server or the database dies: servers of a
//! store are killed at random moments while clients use them, and every answer is held against all
//! earlier ones about its grant.

mod chance;
mod checker;
mod client;
mod error;
mod grant;
mod history;
mod killer;
mod node;
mod requests;
mod run;
mod tally;
mod torture;
mod upgrade;

pub use error::TortureError;
pub use run::{Event, Found, Tell};
pub use tally::Tally;
pub use torture::{Limit, Options, Summary, Torture};

//! Proof that nothing acknowledged is lost, whenever a server or the database dies: servers of a
//! store are killed at random moments while clients use them, and every answer is held against all
//! earlier ones about its grant.

mod availability;
mod chance;
mod checker;
mod client;
mod client_grant;
mod error;
mod findings;
mod graveyard;
mod history;
mod killer;
mod node;
mod requests;
mod run;
mod tally;
mod torture;
mod upgrade;

pub use error::TortureError;
pub use findings::Finding;
pub use run::{Event, Tell};
pub use tally::Tally;
pub use torture::{Limit, Options, Summary, Torture};

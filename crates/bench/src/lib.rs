//! Measures token servers side by side on the same cores: a load generator that drives any OAuth
//! server, the floor that the machine sets, and what came out as table, JSON and plot.

mod child;
mod contender;
mod directory;
mod entrants;
mod error;
mod filled;
pub mod floor;
mod grants;
mod load;
mod machine;
mod measured;
pub mod own;
mod parts;
mod peer;
mod place;
mod plan;
mod process;
mod report;
mod rounds;
pub mod start;
mod stopped;
mod tokens;

pub use contender::{Asks, Client, ClientAuth, Contender, End, Held};
pub use entrants::{Entrant, Field};
pub use error::BenchError;
pub use load::Load;
pub use machine::Machine;
pub use measured::{Round, Spread};
pub use parts::Parts;
pub use peer::read_tokens;
pub use place::Place;
pub use plan::{Mode, Plan, StorePlace};
pub use report::{Report, Standing};
pub use rounds::{Outcome, Rounds, Tell};

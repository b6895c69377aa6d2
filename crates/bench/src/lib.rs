//! Measures token servers side by side on the same cores: a load generator that drives any OAuth
//! server, the floor that the machine sets, and what came out as table, JSON and plot.

mod child;
mod contender;
mod directory;
mod entrants;
mod error;
mod figures;
pub mod floor;
mod full_store;
mod grants;
mod load;
mod machine;
pub mod own;
mod parts;
mod peer;
mod place;
mod plan;
mod process;
mod report;
mod rounds;
pub mod start;
mod stop;
mod tokens;

pub use contender::{Client, ClientAuth, Contender, End, ProcessGuard, Workload};
pub use entrants::{Entrant, Field};
pub use error::BenchError;
pub use figures::{Round, Spread};
pub use load::Load;
pub use machine::Machine;
pub use parts::Parts;
pub use peer::read_tokens;
pub use place::Place;
pub use plan::{Mode, Plan, StorePlace};
pub use report::{Report, Standing};
pub use rounds::{Measurement, Rounds, Tell};

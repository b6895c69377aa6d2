//! Many nodes on one PostgreSQL are one system: real processes, spoken to over HTTP, stopped and
//! killed, also with the database under them.

mod bank;
mod clients;
mod endings;
mod failover;
mod first_start;
mod keys;
mod load;
mod nginx;
mod older_dump;
mod outage;
mod rolling_restart;
mod sandboxes;
mod slips;
mod stale_standby;

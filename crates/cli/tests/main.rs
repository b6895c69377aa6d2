//! The tests of the binary and of what it is made of, in one program.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod admin;
mod bench;
mod certified;
mod check;
mod clock;
mod connections;
mod copy;
mod durability;
mod faults;
mod grade;
mod nodes;
mod output;
mod ownership;
mod restore;
mod sandbox;
mod sandbox_ctl;
mod serve;
mod setting;
mod torture;
mod verify;
mod verify_command;
mod verify_plans;
mod verify_spoiled;
mod workflow;
mod yaml;

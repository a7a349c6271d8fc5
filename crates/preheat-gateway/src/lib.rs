//! Many replicas as one service: whom a request goes to, who waits, and how many replicas there are.
//!
//! In reading order: what it is told, how it lives, the fleet loop with what it starts and follows,
//! and the way of a request. Decisions are `preheat_core`'s; here they are carried out.

pub mod settings;

mod clock;
pub mod gateway;
mod report;

mod blueprint;
mod decisions;
mod fleet;
mod provision;
mod schedule;
mod service;
mod state;

mod admin;
mod data;
mod metrics;
mod refusal;
mod rotation;
mod traffic;
mod verify;

pub use gateway::{Gateway, start};
pub use provision::{LOCK, OWNER};
pub use settings::{Settings, SettingsError, Surroundings};

#[cfg(test)]
mod tests;

/// The version that reports and metrics show.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

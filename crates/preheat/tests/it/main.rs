//! The whole of preheat from outside: the real binary, real sockets, real models, real clients.
//!
//! `replica` starts and stops the binary, `client` talks to it; every other module is a topic.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]
#![expect(
    unreachable_pub,
    reason = "one binary: nobody else could reach it anyway"
)]

mod client;
/// Encoders from the formulas, and tiny models to hold against them.
#[path = "../../../preheat-engine/tests/it/reference.rs"]
#[expect(dead_code, reason = "the engine's tests use the rest of it")]
mod formulas;
mod reference;
mod replica;
#[path = "../../../preheat-engine/tests/it/tiny.rs"]
#[expect(dead_code, reason = "the engine's tests use the rest of it")]
mod tiny;

mod admin;
mod book;
mod classifiers;
mod cli;
mod clients;
mod drain;
mod edges;
mod embeddings;
mod faults;
mod gateway;
mod grpc;
mod lengths;
mod lifecycle;
mod pages;
mod prompts;
mod refusals;
mod tensors;
mod upkeep;
mod wrapped;

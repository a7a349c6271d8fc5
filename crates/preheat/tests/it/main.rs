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
mod reference;
mod replica;

mod admin;
mod book;
mod cli;
mod clients;
mod drain;
mod edges;
mod embeddings;
mod faults;
mod gateway;
mod grpc;
mod lifecycle;
mod refusals;
mod tensors;
mod upkeep;

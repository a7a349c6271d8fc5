//! The shell from outside: real sockets where the kernel matters, memory and a paused clock where
//! time does.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod drain;
mod edge;
mod flood;
mod lanes;
mod probe;
mod signals;
mod support;
mod tls;

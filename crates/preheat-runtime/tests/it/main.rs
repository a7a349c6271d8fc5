//! The shell from outside: real sockets where the kernel matters, memory and a paused clock where
//! time does.

mod drain;
mod edge;
mod support;

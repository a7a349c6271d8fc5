//! Model sources against stand-ins on loopback: real files, real sockets, no network.

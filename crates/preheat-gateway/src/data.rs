//! The data path: from a client's request to the answer of one replica.
//!
//! In reading order: bodies of answers, what surrounds a request, where it goes, and the way there.

mod body;
mod forward;
mod model;
mod route;

pub use body::Body;
pub use route::{Front, FrontLimits, serve};

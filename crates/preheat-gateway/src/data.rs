//! The data path: from a client's request to the answer of one replica.
//!
//! In reading order: bodies of answers, what the gateway says itself, where a request goes,
//! and the way there.

mod arrive;
mod body;
mod forward;
mod health;
mod model;
mod own;
mod place;
mod route;
mod upgrade;

use hyper::body::Incoming;
use preheat_runtime::unread::Watched;
use preheat_runtime::{replay, upstream};

pub use arrive::{ArrivalLimits, Arrivals};
pub use body::Body;
pub use health::WATCHES;
pub use route::{Front, FrontLimits, serve};

/// The body of a request on its way from its client.
pub type Arriving = Watched<Incoming>;

/// And on its way to a replica.
pub type Sent = replay::Reader<Arriving>;

/// The way to a replica, and the body of what it answers.
pub type Upstream = upstream::Upstream<Sent>;
pub type Received = upstream::Received<Sent>;

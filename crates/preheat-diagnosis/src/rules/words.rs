//! Lists of words that rules pair: what everybody says in words of their own.

/// Named where they are used: their words are short ones.
pub(crate) mod endings;
mod loading;
mod machines;
/// Named where they are used, by one kind of rules alone.
pub(super) mod missing;
pub(super) mod otherwise;
mod serving;
mod warming;

pub(super) use loading::*;
pub(super) use machines::*;
pub(super) use serving::*;
pub(super) use warming::*;

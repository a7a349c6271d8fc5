//! Parts of a start. What they mean depends on when they run: before readiness they are its work,
//! after it somebody waits for them.

mod context;
mod download;
mod kernels;
mod tokenizer;
mod weights;

use super::Rule;

/// What failed was not done.
const FAILS: &[&str] = &[
    "fail",
    "error",
    "exception",
    "traceback",
    "could not",
    "cannot",
];

pub(super) const RULES: &[Rule] = &[
    weights::RULE,
    weights::AT_REQUEST,
    tokenizer::RULE,
    context::RULE,
    context::WAKES,
    kernels::RULE,
    download::RULE,
];

//! What those say who run containers elsewhere: clouds, schedulers, init systems.

use super::super::cause::Cause;
use super::{Beside, Meaning, Rule};

pub(super) const RULES: &[Rule] = &[];

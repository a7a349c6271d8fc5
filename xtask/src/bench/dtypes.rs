//! The same model in the numbers that the native engine can compute in.

use anyhow::Result;

use super::Table;
use super::server::Setup;
use super::variants::{Subject, Variant, compare};

pub(super) fn run(setup: &Setup, turns: usize) -> Result<Table> {
    let subject = Subject {
        name: "Dtypes",
        about: "The native engine.",
        base: 0,
    };
    let variants = ["f32", "bf16", "int8"].map(|name| Variant {
        name,
        variables: vec![("PREHEAT_DTYPE", name.to_owned())],
    });
    compare(setup, &subject, &variants, turns)
}

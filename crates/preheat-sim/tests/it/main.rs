//! What must hold of every simulation, over many seeds.

mod fleet;
mod invariants;
mod plan;
mod size;

//! The Open Inference Protocol over gRPC. Generated from `proto/`; see `cargo xtask codegen`.

#[rustfmt::skip]
pub mod inference;

/// The encoded descriptor set that server reflection answers from.
pub const DESCRIPTORS: &[u8] = include_bytes!("grpc/inference.bin");

//! `inference.proto` → messages, client and server in Rust, and the descriptors for reflection.
//!
//! The protobuf compiler is a Rust library here: nobody has to install `protoc`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use prost::Message;

use super::Output;
use crate::shell;

const FOLDER: &str = "crates/preheat-api/proto";
const FILE: &str = "inference.proto";

/// Lints ask for hand-written style; nobody reads or edits this file.
const HEADER: &str = "\
// Generated from proto/inference.proto by `cargo xtask codegen`. Do not edit.
#![allow(clippy::all, clippy::pedantic, unreachable_pub, rust_2018_idioms)]

";

pub(crate) fn generate(root: &Path) -> Result<Vec<Output>> {
    let folder = root.join(FOLDER);
    let descriptors = protox::compile([FILE], [&folder])
        .map_err(|error| anyhow::anyhow!("{FOLDER}/{FILE}: {error:?}"))?;

    let scratch = tempfile::tempdir()?;
    tonic_prost_build::configure()
        // Without the transport the generated code works over any connection and needs less.
        .build_transport(false)
        // Tensors are passed on, not copied.
        .bytes(".inference")
        .out_dir(scratch.path())
        .compile_fds(descriptors.clone())?;
    let code = fs::read_to_string(scratch.path().join("inference.rs"))?;

    let mut lean = descriptors;
    for file in &mut lean.file {
        // Comments and positions: half the size, and no client asks for them.
        file.source_code_info = None;
    }

    Ok(vec![
        Output {
            path: "crates/preheat-api/src/grpc/inference.rs".into(),
            content: format(&format!("{HEADER}{code}"))?,
        },
        Output {
            path: "crates/preheat-api/src/grpc/inference.bin".into(),
            content: lean.encode_to_vec(),
        },
    ])
}

/// Formats as `cargo fmt` would, which also checks generated files.
fn format(code: &str) -> Result<Vec<u8>> {
    let mut child = shell::command("rustfmt", &["--edition", "2024"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start rustfmt: run `rustup component add rustfmt`")?;
    // rustfmt reads all of its input before it writes, so this cannot block on a full pipe.
    child
        .stdin
        .take()
        .context("rustfmt has no stdin")?
        .write_all(code.as_bytes())?;
    let done = child.wait_with_output()?;
    if !done.status.success() {
        bail!("rustfmt failed on generated code");
    }
    Ok(done.stdout)
}

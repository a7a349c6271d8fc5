//! The table of the dashboard's built files: `include_bytes!` needs their names, which hold a hash.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Output;
use crate::dashboard::DIST;

pub(crate) fn generate(root: &Path) -> Result<Vec<Output>> {
    let dist = root.join(DIST);
    let mut names = vec!["index.html".to_owned()];
    let assets = dist.join("assets");
    for entry in fs::read_dir(&assets).with_context(|| assets.display().to_string())? {
        let name = entry?.file_name();
        names.push(format!("assets/{}", name.to_string_lossy()));
    }
    names.sort();
    let mut text = "//! Generated from `web/dist` by `cargo xtask codegen`.\n\n\
        use super::Asset;\n\n\
        pub(crate) const ASSETS: &[Asset] = &[\n"
        .to_owned();
    for name in names {
        text += &format!(
            "    Asset {{\n        path: \"{name}\",\n        \
             content: include_bytes!(\"../../../{DIST}/{name}\"),\n    }},\n"
        );
    }
    text += "];\n";
    Ok(vec![Output {
        path: "crates/preheat-dashboard/src/assets.rs".into(),
        content: text.into_bytes(),
    }])
}

//! The book: every command on its pages is run, every link leads somewhere.
//!
//! A block's tag says what becomes of it: `sh` must end well, `sh,fails` must not, `sh,verdict` says
//! whether a server is warm, which a busy machine may spoil, `sh,server` goes on until the page is over, `sh,elsewhere` needs a cluster or a device and is only looked at;
//! `file=NAME` is written first. `<!-- server: … -->` starts what a page talks about but the tests do
//! not have. Ports on the pages are exchanged for free ones.

mod links;
mod page;
mod session;

use std::fs;
use std::path::PathBuf;

use page::{Block, blocks};
use session::Session;

use crate::replica::root;

fn source() -> PathBuf {
    root().join("docs/book/src")
}

/// What pages may name without the tests having it.
const ELSEWHERE: [&str; 5] = ["docker", "helm", "kubectl", "tritonserver", "vllm"];

fn play(name: &str) {
    let text = fs::read_to_string(source().join(name)).unwrap();
    let mut session = Session::new(&text);
    for block in blocks(&text) {
        match block {
            Block::File { name, text } => session.write(&name, &text),
            Block::Server(command) => session.serve(&command),
            Block::Run { commands, ends } => session.run(name, &commands, ends),
            Block::Elsewhere(commands) => {
                for line in commands.lines() {
                    // What is wrapped is what is not here.
                    let foreign = line.split(" -- ").last().unwrap();
                    let program = foreign.split(' ').next().unwrap();
                    assert!(ELSEWHERE.contains(&program), "{name}: {line}");
                }
            }
            Block::Shown => {}
        }
    }
}

macro_rules! pages {
    ($($test:ident $page:literal)*) => {
        $(#[test] fn $test() { play($page); })*
        const PLAYED: &[&str] = &[$($page),*];
    };
}

pages! {
    quick_start "quick-start.md"
    cold_start "concepts/cold-start.md"
    proof "concepts/proof.md"
    fleet "concepts/fleet.md"
    fastapi "how-to/fastapi.md"
    wrap "how-to/wrap.md"
    triton "how-to/triton.md"
    vllm "how-to/vllm.md"
    kubernetes "how-to/kubernetes.md"
    several_models "how-to/several-models.md"
    scale_to_zero "how-to/scale-to-zero.md"
    blue_green "how-to/blue-green.md"
    gpu "how-to/gpu.md"
    simulate "how-to/simulate.md"
}

#[test]
fn no_page_with_commands_is_left_out() {
    for name in links::pages(&source()) {
        let text = fs::read_to_string(source().join(&name)).unwrap();
        let has = blocks(&text)
            .iter()
            .any(|block| !matches!(block, Block::Shown));
        assert_eq!(has, PLAYED.contains(&name.as_str()), "{name}");
    }
}

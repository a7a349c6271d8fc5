//! Blocks of code on a page, in order.

/// What a block asks of the tests.
#[derive(Debug, PartialEq)]
pub enum Block {
    File {
        name: String,
        text: String,
    },
    Server(String),
    Run {
        commands: String,
        ends: Ends,
    },
    Elsewhere(String),
    /// For the reader alone.
    Shown,
}

/// How commands may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Well,
    Badly,
    /// With a verdict on a server, which a busy machine may spoil.
    Either,
}

/// Panics at a tag that it does not know: a command must not slip through by a typing error.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("<!-- server: ") {
            let command = command.strip_suffix(" -->").expect("a comment of one line");
            found.push(Block::Server(command.to_owned()));
        } else if let Some(tag) = line.strip_prefix("```") {
            let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(block(tag, body.join("\n") + "\n"));
        }
    }
    found
}

fn block(tag: &str, text: String) -> Block {
    let (language, more) = tag.split_once(',').unwrap_or((tag, ""));
    match (language, more) {
        ("sh", "") => Block::Run {
            commands: text,
            ends: Ends::Well,
        },
        ("sh", "fails") => Block::Run {
            commands: text,
            ends: Ends::Badly,
        },
        ("sh", "verdict") => Block::Run {
            commands: text,
            ends: Ends::Either,
        },
        ("sh", "server") => Block::Server(text.trim().to_owned()),
        ("sh", "elsewhere") => Block::Elsewhere(text),
        ("sh" | "bash" | "console", _) => panic!("what is to become of ```{tag}?"),
        (_, "") => Block::Shown,
        (_, file) => Block::File {
            name: file.strip_prefix("file=").expect("file=NAME").to_owned(),
            text,
        },
    }
}

#[test]
fn blocks_are_found_and_sorted() {
    let page = "a\n<!-- server: b c -->\n```sh\nd\ne\n```\n```toml,file=f.toml\ng\n```\n```text\nh\n```\n\
                ```sh,fails\ni\n```\n```sh,elsewhere\nj\n```\n";
    let run = |commands: &str, ends| Block::Run {
        commands: commands.into(),
        ends,
    };
    let file = Block::File {
        name: "f.toml".into(),
        text: "g\n".into(),
    };
    let server = Block::Server("b c".into());
    let elsewhere = Block::Elsewhere("j\n".into());
    let expected = [
        server,
        run("d\ne\n", Ends::Well),
        file,
        Block::Shown,
        run("i\n", Ends::Badly),
        elsewhere,
    ];
    assert_eq!(blocks(page), expected);
}

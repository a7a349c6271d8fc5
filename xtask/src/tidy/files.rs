//! Size, place and content of files.

use super::tree::{File, Tree};
use super::{Offence, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "file-length",
        why: "a file over 800 lines holds more than one thought; split it",
        check: file_length,
    },
    Rule {
        name: "file-size",
        why: "a file over 512 KiB makes every clone slower for ever; fetch it in set-up instead",
        check: file_size,
    },
    Rule {
        name: "no-mod-rs",
        why: "modules are foo.rs + foo/, so that an editor's tabs tell them apart",
        check: no_mod_rs,
    },
    Rule {
        name: "readme-length",
        why: "a README over 800 words is not read; the rest belongs into docs/",
        check: readme_length,
    },
    Rule {
        name: "nothing-left-open",
        why: "a test that is not run and a note to oneself both rot; do it or drop it",
        check: nothing_left_open,
    },
];

const LINES: usize = 800;
const BYTES: usize = 512 * 1024;
const README_WORDS: usize = 800;

fn file_length(tree: &Tree) -> Vec<Offence> {
    let written = |file: &&File| is_code_or_prose(file) && !file.is_generated();
    tree.files
        .iter()
        .filter(written)
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect()
}

fn file_size(tree: &Tree) -> Vec<Offence> {
    let large = tree.files.iter().filter(|file| file.size > BYTES);
    large
        .map(|file| format!("{}: {} KiB", file.path, file.size / 1024))
        .collect()
}

fn no_mod_rs(tree: &Tree) -> Vec<Offence> {
    let named = |file: &&File| file.path.ends_with("/mod.rs");
    tree.files
        .iter()
        .filter(named)
        .map(|file| file.path.clone())
        .collect()
}

fn readme_length(tree: &Tree) -> Vec<Offence> {
    let Some(readme) = tree.file("README.md") else {
        return Vec::new();
    };
    let words = readme.text.split_whitespace().count();
    if words <= README_WORDS {
        return Vec::new();
    }
    vec![format!("README.md: {words} words")]
}

fn nothing_left_open(tree: &Tree) -> Vec<Offence> {
    // Written in two halves, or this file would be an offence itself.
    let words = [
        concat!("#[ign", "ore"),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    tree.files
        .iter()
        .filter(|file| is_code_or_prose(file))
        .flat_map(|file| {
            file.text
                .lines()
                .enumerate()
                .map(move |(index, line)| (file, index, line))
        })
        .filter_map(|(file, index, line)| {
            let word = words.iter().find(|word| line.contains(**word))?;
            Some(format!("{}:{}: {word}", file.path, index + 1))
        })
        .collect()
}

fn is_code_or_prose(file: &File) -> bool {
    [
        ".rs", ".md", ".py", ".js", ".mjs", ".ts", ".css", ".html", ".toml", ".proto", ".sh",
    ]
    .iter()
    .any(|extension| file.path.ends_with(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_an_offence_unless_it_is_generated() {
        let long = "x\n".repeat(LINES + 1);
        let generated = format!("// Generated from y.proto\n{long}");
        let tree = Tree::of(&[
            ("a.rs", &long),
            ("b.rs", &generated),
            ("c.lock", &long),
            ("e.gen.ts", &long),
            ("d.rs", &long[2..]),
        ]);
        assert_eq!(file_length(&tree), ["a.rs: 801 lines"]);
    }

    #[test]
    fn a_large_file_is_an_offence() {
        let large = "x".repeat(BYTES + 1);
        let tree = Tree::of(&[("large.bin", &large), ("small.bin", &large[1..])]);
        assert_eq!(file_size(&tree), ["large.bin: 512 KiB"]);
    }

    #[test]
    fn a_mod_rs_is_an_offence() {
        let tree = Tree::of(&[
            ("crates/a/src/b/mod.rs", ""),
            ("crates/a/src/b/amod.rs", ""),
        ]);
        assert_eq!(no_mod_rs(&tree), ["crates/a/src/b/mod.rs"]);
    }

    #[test]
    fn a_long_readme_is_an_offence() {
        let long = "word ".repeat(README_WORDS + 1);
        let tree = Tree::of(&[("README.md", &long), ("docs/README.md", &long)]);
        assert_eq!(readme_length(&tree), ["README.md: 801 words"]);
    }

    #[test]
    fn a_skipped_test_and_a_note_to_oneself_are_offences() {
        let text = concat!("fn f() {} // TO", "DO: g\n\n#[ign", "ore]\nfn test() {}\n");
        let tree = Tree::of(&[("a.rs", text)]);
        let expected = [concat!("a.rs:1: TO", "DO"), concat!("a.rs:3: #[ign", "ore")];
        assert_eq!(nothing_left_open(&tree), expected);
    }
}

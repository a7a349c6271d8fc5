//! Requests of five shapes. Words are cycled, so that a shape is the same in every run.

use super::client;

pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) texts: Vec<String>,
    /// The whole request as preheat takes it, ready to be written.
    pub(super) request: Vec<u8>,
}

const WORDS: &[&str] = &[
    "the", "model", "answers", "every", "question", "about", "warm", "replicas", "and", "cold",
    "starts", "while", "traffic", "moves", "from", "one", "server", "to", "another", "quickly",
];

const MEDIUM: &str = "a medium length sentence that exercises the tokenizer more thoroughly";

pub(super) fn shapes() -> Vec<Shape> {
    let mixed = (0..32)
        .map(|index| words(index, [3, 12, 40, 100][index % 4]))
        .collect();
    vec![
        shape("one short", vec!["short query".to_owned()]),
        shape("one medium", vec![MEDIUM.to_owned()]),
        shape("16 short", (0..16).map(|index| words(index, 3)).collect()),
        shape("one of 220 words", vec![words(0, 220)]),
        shape("32 mixed", mixed),
    ]
}

fn shape(name: &'static str, texts: Vec<String>) -> Shape {
    let body = serde_json::Value::from(texts.clone()).to_string();
    Shape {
        name,
        texts,
        request: client::post("/embed", &body),
    }
}

fn words(start: usize, count: usize) -> String {
    let words = WORDS
        .iter()
        .copied()
        .cycle()
        .skip(start % WORDS.len())
        .take(count);
    words.collect::<Vec<_>>().join(" ")
}

//! Brings the weights of a graph to another file, and tells the graph where they are now.
//!
//! ONNX Runtime writes them into a file beside the graph: small ones wherever there is room, where
//! its own kernels cannot read them as fast as they assume, or at all. Field numbers are those of
//! ONNX's public schema.

use super::wire::{Field, Value, fields, last, put};

/// What a kernel may read in one piece.
const ALIGNMENT: usize = 64;
/// Larger weights begin on a page, so that mapping one maps nothing else.
const PAGE: usize = 4096;
pub(super) const LARGE: usize = 16 * 1024;

/// Graphs in graphs, at most: a loop in a branch is deep already.
const DEEPEST: usize = 32;

/// Takes weights out of one file and adds them to another.
pub(super) struct Mover<'a> {
    pub(super) from: &'a [u8],
    /// What the graph is to call the other one.
    pub(super) file: &'a str,
    /// The other one, from its beginning.
    pub(super) to: Vec<u8>,
}

impl Mover<'_> {
    /// The graph, with every place of a weight changed.
    ///
    /// # Errors
    /// One sentence that follows the graph's name.
    pub(super) fn relocate(&mut self, model: &[u8]) -> Result<Vec<u8>, String> {
        self.rewrite(Message::Model, model, 0)
    }

    fn rewrite(&mut self, kind: Message, bytes: &[u8], depth: usize) -> Result<Vec<u8>, String> {
        if depth > DEEPEST {
            return Err("nests graphs too deeply".into());
        }
        if kind == Message::Tensor {
            return self.tensor(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        for field in fields(bytes) {
            let Field { number, value, raw } = field?;
            match (kind.within(number), value) {
                (Some(inner), Value::Bytes(bytes)) => {
                    let deeper = depth + usize::from(inner == Message::Graph);
                    put(number, &self.rewrite(inner, bytes, deeper)?, &mut out);
                }
                _ => out.extend_from_slice(raw),
            }
        }
        Ok(out)
    }

    /// Where a weight is, is said in words: `location`, `offset`, `length`, and `prepacked_…` for
    /// forms that kernels read: a name and, for each piece, offset, length and checksum.
    fn tensor(&mut self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let (mut out, mut words) = (Vec::new(), Vec::new());
        for field in fields(bytes) {
            let Field { number, value, raw } = field?;
            match (number, value) {
                (PLACE, Value::Bytes(word)) => words.push((text(word, KEY)?, text(word, VALUE)?)),
                _ => out.extend_from_slice(raw),
            }
        }
        let length = words.iter().find(|(key, _)| *key == "length");
        for (key, value) in &words {
            let value = match *key {
                "location" => self.file.to_owned(),
                "offset" => self.piece(value, length.map_or("", |(_, length)| length))?,
                key if key.starts_with("prepacked") => self.pieces(value)?,
                _ => (*value).to_owned(),
            };
            let mut word = Vec::new();
            put(KEY, key.as_bytes(), &mut word);
            put(VALUE, value.as_bytes(), &mut word);
            put(PLACE, &word, &mut out);
        }
        Ok(out)
    }

    fn pieces(&mut self, value: &str) -> Result<String, String> {
        let mut parts = value.split('|');
        let mut moved = parts.next().unwrap_or_default().to_owned();
        for piece in parts {
            moved.push('|');
            let words: Vec<&str> = piece.splitn(3, ';').collect();
            match words[..] {
                [offset, length, checksum] => {
                    let offset = self.piece(offset, length)?;
                    moved.push_str(&[&offset, length, checksum].join(";"));
                }
                _ => moved.push_str(piece),
            }
        }
        Ok(moved)
    }

    /// Copies what is there; where it is now.
    fn piece(&mut self, offset: &str, length: &str) -> Result<String, String> {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let range = number(offset).and_then(|from| Some(from..from.checked_add(number(length)?)?));
        let piece = range.and_then(|range| self.from.get(range));
        let piece = piece.ok_or("has a weight that lies nowhere")?;
        let alignment = if piece.len() < LARGE { ALIGNMENT } else { PAGE };
        let place = self.to.len().next_multiple_of(alignment);
        self.to.resize(place, 0);
        self.to.extend_from_slice(piece);
        Ok(place.to_string())
    }
}

/// The messages on the way to the places of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
}

impl Message {
    fn within(self, field: u64) -> Option<Message> {
        Some(match (self, field) {
            (Message::Model, 7) | (Message::Attribute, 6 | 11) => Message::Graph,
            (Message::Graph, 1) => Message::Node,
            (Message::Graph, 5) => Message::Tensor,
            (Message::Node, 5) => Message::Attribute,
            _ => return None,
        })
    }
}

/// Of a tensor.
const PLACE: u64 = 13;
/// Of a word about a place.
const KEY: u64 = 1;
const VALUE: u64 = 2;

fn text(word: &[u8], field: u64) -> Result<&str, String> {
    let bytes = last(word, field)?.unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| "has a weight in no place".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(field: u64, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(field, content, &mut out);
        out
    }

    fn word(key: &str, value: &str) -> Vec<u8> {
        let both = [
            message(KEY, key.as_bytes()),
            message(VALUE, value.as_bytes()),
        ];
        message(PLACE, &both.concat())
    }

    /// With twelve bytes, and two pieces for kernels.
    fn tensor(file: &str, [whole, first, second]: [usize; 3]) -> Vec<u8> {
        let words = [
            message(8, b"w"),
            word("location", file),
            word("offset", &whole.to_string()),
            word("length", "12"),
            word(
                "prepacked_0",
                &format!("MatMul+1|{first};7;x|{second};20000;y"),
            ),
        ];
        message(5, &words.concat())
    }

    /// A weight in the graph, and one in a graph that is an attribute of a node.
    fn model(file: &str, outer: [usize; 3], inner: [usize; 3]) -> Vec<u8> {
        let inner = message(6, &tensor(file, inner));
        let node = message(1, &[message(1, b"x"), message(5, &inner)].concat());
        let graph = [node, tensor(file, outer), message(2, b"name")].concat();
        [vec![8, 9], message(7, &graph), message(2, b"maker")].concat()
    }

    fn bytes() -> Vec<u8> {
        (0..60_000u32).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn every_weight_is_found_where_kernels_can_read_it() {
        let from = bytes();
        let mut mover = Mover {
            from: &from,
            file: "another",
            to: vec![0; 4096],
        };
        let (outer, inner) = ([3, 15, 22], [30_001, 30_013, 30_020]);
        let moved = mover.relocate(&model("weights", outer, inner)).unwrap();
        let (now_inner, now_outer) = ([4096, 4160, 8192], [28_224, 28_288, 28_672]);
        assert_eq!(moved, model("another", now_outer, now_inner));
        for (was, is) in outer
            .into_iter()
            .chain(inner)
            .zip(now_outer.into_iter().chain(now_inner))
        {
            assert_eq!(mover.to[is..is + 7], from[was..was + 7]);
        }
    }

    #[test]
    fn damage_is_an_error_or_harmless() {
        let from = bytes();
        let relocate = |model: &[u8]| {
            Mover {
                from: &from,
                file: "f",
                to: Vec::new(),
            }
            .relocate(model)
        };
        let whole = model("weights", [3, 15, 22], [301, 313, 320]);
        relocate(&whole).unwrap();
        assert!(
            relocate(&model("w", [59_990, 0, 0], [0; 3])).is_err(),
            "behind the end"
        );
        for at in 0..whole.len() {
            let _ = relocate(&whole[..at]);
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            let _ = relocate(&bytes);
        }
        let nested = |inner: Vec<u8>, _| message(1, &message(5, &message(6, &inner)));
        let deep = (0..100).fold(Vec::new(), nested);
        assert!(relocate(&message(7, &deep)).is_err());
    }
}

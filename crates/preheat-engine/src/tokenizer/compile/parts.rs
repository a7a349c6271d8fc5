//! What comes before and after the model, from the form in which the `tokenizers` crate writes it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::Refusal;
use crate::tokenizer::compiled::blob::{Section, Writer};
use crate::tokenizer::compiled::recipe::{Bert, Normalizer, Split};

fn kind(part: &Value) -> &str {
    part["type"].as_str().unwrap_or_default()
}

fn flag(part: &Value, name: &str) -> Result<bool, Refusal> {
    let flag = part[name].as_bool();
    flag.ok_or_else(|| format!("`{}` without `{name}`", kind(part)))
}

fn unknown(what: &str, part: &Value) -> Refusal {
    let mut text = part.to_string();
    text.truncate(text.floor_char_boundary(200));
    format!("the {what} {text}")
}

/// The steps of a part that may be several in a row.
fn steps<'p>(part: &'p Value, list: &str) -> Vec<&'p Value> {
    match part {
        Value::Null => Vec::new(),
        _ if kind(part) == "Sequence" => {
            let inner = part[list].as_array().into_iter().flatten();
            inner.flat_map(|part| steps(part, list)).collect()
        }
        _ => vec![part],
    }
}

pub(super) fn normalizers(part: &Value, to: &mut Writer) -> Result<Vec<Normalizer>, Refusal> {
    let steps = steps(part, "normalizers");
    let charsmaps = steps.iter().filter(|part| kind(part) == "Precompiled");
    if charsmaps.count() > 1 {
        return Err("two character maps".to_owned());
    }
    steps.into_iter().map(|part| normalizer(part, to)).collect()
}

fn normalizer(part: &Value, to: &mut Writer) -> Result<Normalizer, Refusal> {
    Ok(match kind(part) {
        "BertNormalizer" => {
            let lowercase = flag(part, "lowercase")?;
            Normalizer::Bert(Bert {
                clean: flag(part, "clean_text")?,
                chinese: flag(part, "handle_chinese_chars")?,
                accents: part["strip_accents"].as_bool().unwrap_or(lowercase),
                lowercase,
            })
        }
        "Precompiled" => {
            charsmap(part, to)?;
            Normalizer::Charsmap
        }
        "NFC" => Normalizer::Nfc,
        "NFD" => Normalizer::Nfd,
        "NFKC" => Normalizer::Nfkc,
        "NFKD" => Normalizer::Nfkd,
        "Lowercase" => Normalizer::Lowercase,
        "StripAccents" => Normalizer::StripAccents,
        "Strip" => Normalizer::Trim {
            left: flag(part, "strip_left")?,
            right: flag(part, "strip_right")?,
        },
        "Replace" if part["pattern"]["Regex"] == " {2,}" && part["content"] == " " => {
            Normalizer::Squeeze
        }
        _ => return Err(unknown("normaliser", part)),
    })
}

/// The length of the trie in bytes, the trie, and the text of the replacements.
fn charsmap(part: &Value, to: &mut Writer) -> Result<(), Refusal> {
    let broken = || "a character map that cannot be read".to_owned();
    let text = part["precompiled_charsmap"].as_str().ok_or_else(broken)?;
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| broken())?;
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
    let length = u32::from_le_bytes(*length) as usize;
    if !length.is_multiple_of(4) {
        return Err(broken());
    }
    let (trie, text) = rest.split_at_checked(length).ok_or_else(broken)?;
    to.add(Section::Charsmap, trie);
    to.add(Section::CharsmapText, text);
    Ok(())
}

pub(super) fn splits(part: &Value) -> Result<Vec<Split>, Refusal> {
    let steps = steps(part, "pretokenizers");
    steps.into_iter().map(split).collect()
}

fn split(part: &Value) -> Result<Split, Refusal> {
    Ok(match kind(part) {
        "BertPreTokenizer" => Split::Bert,
        "WhitespaceSplit" => Split::Whitespace,
        "Metaspace" => {
            let space = part["replacement"].as_str().unwrap_or_default();
            let mut chars = space.chars();
            let (Some(space), None) = (chars.next(), chars.next()) else {
                return Err(unknown("pre-tokeniser", part));
            };
            let prepend = match part["prepend_scheme"].as_str() {
                Some("always") => true,
                Some("never") => false,
                // The first piece of all is told by its place in the text, which is not kept here.
                _ => return Err(unknown("pre-tokeniser", part)),
            };
            Split::Metaspace {
                space,
                prepend,
                split: flag(part, "split")?,
            }
        }
        "ByteLevel" => Split::ByteLevel {
            prepend: flag(part, "add_prefix_space")?,
            split: flag(part, "use_regex")?,
        },
        _ => return Err(unknown("pre-tokeniser", part)),
    })
}

/// Ids before the text and behind it.
pub(super) fn specials(part: &Value) -> Result<(Vec<u32>, Vec<u32>), Refusal> {
    let mut found = None;
    for part in steps(part, "processors") {
        let ids = match kind(part) {
            // Offsets only.
            "ByteLevel" => continue,
            "BertProcessing" | "RobertaProcessing" => {
                (vec![id(&part["cls"][1])?], vec![id(&part["sep"][1])?])
            }
            "TemplateProcessing" => template(part)?,
            _ => return Err(unknown("post-processor", part)),
        };
        if found.replace(ids).is_some() {
            return Err("two post-processors that add tokens".to_owned());
        }
    }
    Ok(found.unwrap_or_default())
}

fn template(part: &Value) -> Result<(Vec<u32>, Vec<u32>), Refusal> {
    let (mut before, mut after, mut texts) = (Vec::new(), Vec::new(), 0);
    for piece in part["single"].as_array().into_iter().flatten() {
        if let Some(token) = piece["SpecialToken"]["id"].as_str() {
            let ids = part["special_tokens"][token]["ids"].as_array();
            let ids = ids.ok_or_else(|| unknown("post-processor", piece))?;
            let side = if texts == 0 { &mut before } else { &mut after };
            for number in ids {
                side.push(id(number)?);
            }
        } else if piece["Sequence"]["id"] == "A" {
            texts += 1;
        } else {
            return Err(unknown("post-processor", piece));
        }
    }
    match texts {
        1 => Ok((before, after)),
        _ => Err("a template that does not have the text once".to_owned()),
    }
}

fn id(number: &Value) -> Result<u32, Refusal> {
    let id = number.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| format!("the id {number}"))
}

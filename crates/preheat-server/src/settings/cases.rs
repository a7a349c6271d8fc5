//! Warm-up cases as written → as run; recorded requests are read from their files.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};

use preheat_api::config::{CaseConfig, InputConfig, InputData, NamedData};
use preheat_api::record::Recorded;
use preheat_core::plan::Golden;
use preheat_core::{Case, CaseInput, Element, Expectation, Fill, PlannedTensor};

use super::SettingsError;
use crate::exchange;

/// Lines taken from a file that does not say how many.
const LINES: usize = 100;

/// A line of a recording is a request body, and those are bounded.
const LONGEST_LINE: u64 = 2_000_000;

/// An image of a plan is a request body too.
const LARGEST_IMAGE: u64 = 64 << 20;

/// Elements of one tensor of a plan: a gigabyte of f32.
const LARGEST_TENSOR: usize = 1 << 28;

pub(super) fn read(cases: &[CaseConfig]) -> Result<Vec<Case>, SettingsError> {
    let mut all = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let name = if case.name.is_empty() {
            format!("case-{}", index + 1)
        } else {
            case.name.clone()
        };
        let tensors = (!case.input.is_empty()).then_some(&case.input);
        match (
            &case.texts,
            &case.generate,
            &case.file,
            tensors,
            &case.image,
        ) {
            (Some(texts), None, None, None, None) if !texts.is_empty() => {
                all.push(one(name, CaseInput::Texts(texts.clone()), case)?);
            }
            (None, Some(g), None, None, None) => {
                let input = CaseInput::Generate {
                    texts: g.texts,
                    tokens: g.tokens,
                };
                all.push(one(name, input, case)?);
            }
            (None, None, None, Some(inputs), None) => {
                let tensors = inputs
                    .iter()
                    .map(|(input, config)| tensor(&name, input, config))
                    .collect::<Result<_, _>>()?;
                all.push(one(name, CaseInput::Tensors(tensors), case)?);
            }
            (None, None, None, None, Some(path)) => {
                let encoded = image(path).map_err(|problem| {
                    fault(
                        &name,
                        &problem,
                        "give the path of a readable JPEG or PNG file",
                    )
                })?;
                all.push(one(name, CaseInput::Image(encoded), case)?);
            }
            (None, None, Some(path), None, None) => {
                let lines = recorded(path, case.max.unwrap_or(LINES)).map_err(|problem| {
                    fault(
                        &name,
                        &problem,
                        "give a readable file with one JSON request a line",
                    )
                })?;
                for (line, texts) in (1..).zip(lines) {
                    all.push(one(
                        format!("{name}#{line}"),
                        CaseInput::Texts(texts),
                        case,
                    )?);
                }
            }
            _ => {
                let remedy =
                    "give exactly one of texts (not empty), generate, file, input and image";
                return Err(fault(&name, "has no input, or more than one", remedy));
            }
        }
    }
    let mut names = HashSet::new();
    if let Some(twice) = all.iter().find(|case| !names.insert(case.name.as_str())) {
        return Err(fault(
            &twice.name,
            "stands twice",
            "give each case a name of its own",
        ));
    }
    Ok(all)
}

fn one(name: String, input: CaseInput, case: &CaseConfig) -> Result<Case, SettingsError> {
    let expect = &case.expect;
    let rows = input.rows();
    if expect.rows.is_some_and(|wanted| wanted != rows) {
        let problem = format!("expects {} rows of {rows} inputs", expect.rows.unwrap_or(0));
        return Err(fault(
            &name,
            &problem,
            "a row comes out for each input: correct expect.rows",
        ));
    }
    if let Some(golden) = &expect.golden
        && golden.len() != rows
    {
        let problem = format!("has {} golden rows for {rows} inputs", golden.len());
        return Err(fault(
            &name,
            &problem,
            "give one known vector for each input",
        ));
    }
    if !expect.finite {
        return Err(fault(
            &name,
            "switches the check for finite numbers off",
            "leave expect.finite out: an answer that is no number is never right",
        ));
    }
    let golden = expect.golden.clone().map(|rows| Golden {
        rows,
        tolerance: expect.tolerance,
    });
    Ok(Case {
        name,
        input,
        expect: Expectation {
            dim: expect.dim,
            golden,
            shapes: expect.shapes.clone().into_iter().collect(),
        },
    })
}

fn tensor(case: &str, name: &str, config: &InputConfig) -> Result<PlannedTensor, SettingsError> {
    let element = config.dtype.as_deref().map(|dtype| {
        let known = Element::ALL.map(Element::name).join(", ");
        let problem = format!("input {name:?} has dtype {dtype:?}");
        Element::of_name(dtype)
            .ok_or_else(|| fault(case, &problem, &format!("give one of {known}")))
    });
    let elements = config
        .shape
        .iter()
        .try_fold(1usize, |n, dim| n.checked_mul(*dim));
    if elements.is_none_or(|n| n == 0 || n > LARGEST_TENSOR) {
        let problem = format!("input {name:?} has shape {:?}", config.shape);
        return Err(fault(
            case,
            &problem,
            "give dimensions above 0, and not a gigabyte",
        ));
    }
    Ok(PlannedTensor {
        name: name.to_owned(),
        element: element.transpose()?,
        shape: config.shape.clone(),
        fill: match config.data {
            InputData::Named(NamedData::Random) => Fill::Random {
                below: config.below,
            },
            InputData::Named(NamedData::Zeros) => Fill::Zeros,
            InputData::Value(value) => Fill::Value(value),
        },
    })
}

fn image(path: &str) -> Result<Vec<u8>, String> {
    let mut encoded = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_IMAGE + 1).read_to_end(&mut encoded));
    read.map_err(|e| format!("{path} cannot be read: {e}"))?;
    match encoded.len() as u64 > LARGEST_IMAGE {
        true => Err(format!("{path} is larger than {LARGEST_IMAGE} bytes")),
        false => Ok(encoded),
    }
}

fn fault(name: &str, problem: &str, remedy: &str) -> SettingsError {
    SettingsError::new(&format!("model.warmup.case {name:?}"), problem, remedy)
}

fn recorded(path: &str, max: usize) -> Result<Vec<Vec<String>>, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("{path} cannot be read: {e}"))?;
    let mut reader = BufReader::new(file);
    let mut requests = Vec::new();
    for number in 1..=max {
        let mut line = String::new();
        let limited = (&mut reader).take(LONGEST_LINE).read_line(&mut line);
        let read = limited.map_err(|e| format!("{path}:{number} cannot be read: {e}"))?;
        if read as u64 == LONGEST_LINE {
            return Err(format!(
                "{path}:{number} is longer than {LONGEST_LINE} bytes"
            ));
        }
        if read == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let body = Recorded::read(&line).ok().map(|(_, body)| body);
        let texts = body.and_then(exchange::texts);
        requests.push(texts.ok_or_else(|| format!("{path}:{number} is not a request with texts"))?);
    }
    if requests.is_empty() {
        Err(format!("{path} holds no request"))
    } else {
        Ok(requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_requests_of_every_family_are_read() {
        let dir = std::env::temp_dir().join(format!("preheat-cases-{}", std::process::id()));
        std::fs::write(
            &dir,
            "\"a\"\n[\"b\",\"c\"]\n\n{\"inputs\":\"d\"}\n{\"path\":\"/v1/embeddings\",\"body\":{\"input\":[\"e\"]}}\n",
        )
        .unwrap();
        let path = dir.to_str().unwrap();
        let read = recorded(path, 10).unwrap();
        assert_eq!(read.concat(), ["a", "b", "c", "d", "e"]);
        assert_eq!(recorded(path, 1).unwrap().len(), 1);
        std::fs::write(&dir, "{\"prompt\":1}").unwrap();
        assert!(
            recorded(path, 10)
                .unwrap_err()
                .contains(":1 is not a request")
        );
        std::fs::remove_file(&dir).unwrap();
    }
}

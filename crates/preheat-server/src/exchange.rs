//! A plan for model servers of others: HTTP requests as written → as sent, and what must come of
//! them. `preheat probe` sends them from outside, a wrapped server is warmed and proven with them.

pub mod compare;
mod written;

use http::Method;
use preheat_api::config::Expect;
use preheat_api::exchange::{self as templates, Fill, Template};
use preheat_core::warmup::OutputFacts;
use serde_json::Value;

use crate::prove::exceeds;

pub use written::{Mistake, default_cases, preset, resolve};

/// One request, and what must come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub name: String,
    pub texts: Vec<String>,
    /// The body itself, where the plan says it.
    pub body: Option<Value>,
    pub path: Option<String>,
    pub method: Method,
    pub status: u16,
    pub expect: Expect,
}

/// What holds for all requests that do not say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spoken {
    pub preset: Option<String>,
    pub path: Option<String>,
    /// What `{{model}}` stands for.
    pub model: String,
}

/// A request as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub method: Method,
    pub path: String,
    pub body: Vec<u8>,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not serving yet, by its own word.
    #[error("{0}")]
    NotYet(String),
    /// The request is not what this route takes.
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Wrong(String),
}

impl Exchange {
    /// What to try for it, in this order; at least one.
    #[must_use]
    pub fn templates(&self, spoken: &Spoken) -> Vec<Template> {
        let path = self.path.as_deref().or(spoken.path.as_deref());
        let mut all = templates::candidates(spoken.preset.as_deref(), path);
        if self.method == Method::GET || self.body.is_some() {
            all.truncate(1);
            all[0].body = self.body.clone().unwrap_or_default();
        }
        all
    }

    /// The request that a template makes of it.
    #[must_use]
    pub fn fill(&self, template: &Template, model: &str) -> Outgoing {
        let with = Fill {
            texts: &self.texts,
            model,
        };
        let body = match (&self.method, templates::fill(&template.body, with)) {
            (_, Value::Null) => Vec::new(),
            (_, body) => body.to_string().into_bytes(),
        };
        Outgoing {
            method: self.method.clone(),
            path: templates::words(&template.path, with),
            body,
        }
    }

    /// Whether an answer is what it must be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, path: &str, status: u16, body: &[u8]) -> Result<OutputFacts, Unfit> {
        let asked = format!("{} {path}", self.method);
        if status != self.status {
            let problem = format!("{asked}: status {status}{}", said(body));
            return Err(match status {
                503 | 425 => Unfit::NotYet(problem),
                400 | 404 | 405 | 415 | 422 => Unfit::Malformed(problem),
                _ => Unfit::Wrong(problem),
            });
        }
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let rows = json.as_ref().and_then(templates::rows).unwrap_or_default();
        let facts = OutputFacts {
            rows: rows.len(),
            dim: rows
                .first()
                .and_then(|row| row.as_array())
                .map_or(0, Vec::len),
            finite: rows.iter().all(|row| is_finite(row)),
            ok: true,
        };
        let problem = self
            .shape(&facts)
            .or_else(|| self.golden(&rows))
            .or_else(|| self.values(json.as_ref()))
            .or_else(|| self.text(body));
        match problem {
            None => Ok(facts),
            Some(problem) => Err(Unfit::Wrong(format!("{asked}: {problem}"))),
        }
    }

    fn shape(&self, found: &OutputFacts) -> Option<String> {
        let Expect { rows, dim, .. } = self.expect;
        let unfit = rows.is_some_and(|wanted| wanted != found.rows)
            || dim.is_some_and(|wanted| wanted != found.dim);
        if unfit {
            return Some(format!("{} rows of {} came out", found.rows, found.dim));
        }
        (!found.finite).then(|| "a row holds what is not a number".into())
    }

    fn golden(&self, rows: &[&Value]) -> Option<String> {
        let golden = self.expect.golden.as_ref()?;
        if golden.len() != rows.len() {
            return Some(format!(
                "{} rows came out, {} are known",
                rows.len(),
                golden.len()
            ));
        }
        let off = |(row, known): (&&Value, &Vec<f32>)| {
            let row = row.as_array().map_or(&[][..], Vec::as_slice);
            let number = |x: &Value| x.as_f64().unwrap_or(f64::NAN) as f32;
            let unlike = row.len() != known.len()
                || row
                    .iter()
                    .zip(known)
                    .any(|(x, y)| exceeds((number(x) - y).abs(), self.expect.tolerance));
            unlike.then_some(())
        };
        let at = rows
            .iter()
            .zip(golden)
            .position(|pair| off(pair).is_some())?;
        Some(format!("row {at} is not its known vector"))
    }

    fn values(&self, json: Option<&Value>) -> Option<String> {
        self.expect.json.iter().find_map(|(pointer, wanted)| {
            let found = json.and_then(|json| json.pointer(pointer));
            (found != Some(wanted)).then(|| match found {
                Some(found) => format!("{pointer} is {found}, expected {wanted}"),
                None => format!("there is no {pointer}, expected {wanted}"),
            })
        })
    }

    fn text(&self, body: &[u8]) -> Option<String> {
        let wanted = self.expect.contains.as_ref()?;
        let missing = !String::from_utf8_lossy(body).contains(wanted.as_str());
        missing.then(|| format!("it does not hold {wanted:?}"))
    }
}

/// Numbers all the way down; what is no array of numbers has none that could be wrong.
fn is_finite(row: &Value) -> bool {
    match row {
        Value::Array(items) => items.iter().all(|item| !item.is_null() && is_finite(item)),
        _ => true,
    }
}

/// The beginning of what a server said with a status that was not expected.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    match text.split_whitespace().collect::<Vec<_>>().join(" ") {
        text if text.is_empty() => String::new(),
        text => format!(", {text}"),
    }
}

/// The texts of a body in any of the usual shapes: a text, a list of texts, an object that holds
/// either as `inputs`, `input` or `texts`, or a tensor of the Open Inference Protocol.
#[must_use]
pub fn texts(body: Value) -> Option<Vec<String>> {
    match body {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => {
            let text = |item| match item {
                Value::String(text) => Some(vec![text]),
                Value::Object(mut tensor) => tensor.remove("data").and_then(texts),
                _ => None,
            };
            let texts: Option<Vec<Vec<String>>> = items.into_iter().map(text).collect();
            texts.map(|all| all.concat()).filter(|all| !all.is_empty())
        }
        Value::Object(mut map) => ["inputs", "input", "texts"]
            .into_iter()
            .find_map(|key| map.remove(key))
            .and_then(texts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use preheat_api::config::CaseConfig;
    use serde_json::json;

    use super::*;

    fn exchange(expect: Value) -> Exchange {
        let case = json!({ "texts": ["a", "b"], "path": "/embed", "expect": expect });
        let case: CaseConfig = serde_json::from_value(case).unwrap();
        resolve(&[case]).unwrap().remove(0)
    }

    #[test]
    fn an_answer_is_held_against_what_is_expected() {
        let embeddings = r#"{"embeddings":[[1.0,2.0],[3.0,4.0]],"model":"m"}"#;
        for (expect, status, body, problem) in [
            (json!({ "rows": 2, "dim": 2 }), 200, embeddings, None),
            (json!({ "rows": 3 }), 200, embeddings, Some("2 rows of 2")),
            (json!({ "dim": 3 }), 200, embeddings, Some("2 rows of 2")),
            (json!({}), 200, r#"[[1.0, null]]"#, Some("not a number")),
            (json!({ "json": { "/model": "m" } }), 200, embeddings, None),
            (
                json!({ "json": { "/model": "n" } }),
                200,
                embeddings,
                Some("/model is \"m\""),
            ),
            (json!({ "contains": "data:" }), 200, "data: 1\n\n", None),
            (
                json!({ "contains": "data:" }),
                200,
                embeddings,
                Some("does not hold"),
            ),
            (
                json!({ "golden": [[1.0, 2.0], [3.0, 4.0]] }),
                200,
                embeddings,
                None,
            ),
            (
                json!({ "golden": [[1.0, 2.0], [3.0, 5.0]] }),
                200,
                embeddings,
                Some("row 1"),
            ),
            (json!({}), 500, "oops", Some("status 500, oops")),
        ] {
            let found = exchange(expect.clone()).check("/embed", status, body.as_bytes());
            match (found, problem) {
                (Ok(_), None) => {}
                (Err(Unfit::Wrong(text)), Some(problem)) => {
                    assert!(text.contains(problem), "{text} should say {problem}");
                }
                (found, _) => panic!("{expect} of {body}: {found:?}"),
            }
        }
        let not_yet = exchange(json!({})).check("/embed", 503, b"");
        assert!(matches!(not_yet, Err(Unfit::NotYet(_))));
        let malformed = exchange(json!({})).check("/embed", 422, b"");
        assert!(matches!(malformed, Err(Unfit::Malformed(_))));
    }
}

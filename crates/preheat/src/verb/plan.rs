//! `preheat plan`: the fewest warm-up cases that stand for a wanted share of traffic, as keys of a
//! configuration. Without traffic it is the plan that the model's limits ask for.

mod kinds;
pub mod traffic;

use std::collections::BTreeMap;
use std::process::ExitCode;

use preheat_api::config::{EngineKind, Model};
use preheat_api::quantity::Span;
use preheat_core::coverage::{Covered, cover};
use preheat_core::{
    Buckets, CaseInput, Failure, FailureKind, ModelLimits, ShapeBucket, WarmupPlan,
};
use preheat_engine::{EngineInfo, Tokenizer};
use preheat_server::exchange::texts;
use serde_json::{Value, json};

use self::kinds::Kinds;
use self::traffic::Seen;
use super::{models, process};
use crate::cli::PlanArgs;
use crate::exit::staged;
use crate::out;

pub fn run(args: &PlanArgs) -> Result<ExitCode, Failure> {
    let config = process::effective(&args.configured)?.config;
    let model = config.model.first().cloned().unwrap_or_default();
    traffic::check(args)?;
    let text = match model.engine {
        EngineKind::Http => requests(args)?,
        _ => shapes(&model, args)?,
    };
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn nothing_seen(args: &PlanArgs) -> Failure {
    match args.from.iter().any(|source| traffic::is_address(source)) {
        true => failed(
            format!("nobody asked for anything within {}", Span(args.time)),
            "have requests sent meanwhile, or listen longer with --time",
        ),
        false => failed(
            "there is no request in it",
            "give a recording (preheat record), an access log, or the address of an admin listener",
        ),
    }
}

/// For a model of ours: shape classes, with as many texts and tokens as they hold.
fn shapes(model: &Model, args: &PlanArgs) -> Result<String, Failure> {
    let known = Known::of(args)?;
    let edges = &model.batching.buckets;
    let longest = known.info.max_tokens;
    let buckets = Buckets::new(
        &edges.batch,
        &edges.tokens,
        model.batching.max_batch,
        longest,
    );
    if args.from.is_empty() {
        return Ok(derived(model, &known.info, &buckets));
    }
    let mut counts: BTreeMap<ShapeBucket, u64> = BTreeMap::new();
    let mut unknown = 0u64;
    let all = traffic::each(args, |seen| match seen.body.and_then(texts) {
        Some(texts) => {
            let tokens = texts.iter().map(|text| known.tokens(text)).max();
            let shape = buckets.of(texts.len(), tokens.unwrap_or(1));
            *counts.entry(shape).or_default() += 1;
        }
        None => unknown += 1,
    })?;
    if all == 0 {
        return Err(nothing_seen(args));
    }
    if counts.is_empty() {
        return Err(failed(
            "none of its requests shows texts",
            "record bodies (preheat record): an access log does not tell how long texts are",
        ));
    }
    let covered = cover(counts, args.share, args.cases);
    let mut text = heading(&covered, args, ["shape class", "shape classes"]);
    if unknown > 0 {
        text += &format!("# {unknown} requests without texts are not counted\n");
    }
    for (shape, count) in &covered.cases {
        let note = format!("  # {}", share(*count, covered.total));
        text += &case(&shape.to_string(), shape.batch, shape.tokens, &note);
    }
    Ok(text)
}

/// How long texts are to a model.
struct Known {
    info: EngineInfo,
    tokenizer: Option<std::sync::Arc<Tokenizer>>,
}

impl Known {
    fn of(args: &PlanArgs) -> Result<Self, Failure> {
        let pulled = models::fetched(&args.configured)?;
        let spec = preheat_server::load_spec(&pulled.settings.model, &pulled.fetched);
        let Some(spec) = spec else {
            return Err(failed(
                "this engine has no tokenizer of its own",
                "plans from traffic are for encoders and for engine = \"http\"",
            ));
        };
        let loaded = preheat_engine::load::load(&spec)
            .map_err(|error| failed(error.to_string(), error.remedy()))?;
        Ok(Known {
            info: loaded.engine.info().clone(),
            tokenizer: Some(loaded.tokenizer),
        })
    }

    fn tokens(&self, text: &str) -> usize {
        let counted = self.tokenizer.as_ref().and_then(|tokenizer| {
            // As long as the model reads it.
            let prompt = tokenizer.prompts().usual();
            tokenizer.encode(&format!("{prompt}{text}")).ok()
        });
        counted.map_or(1, |row| row.len())
    }
}

fn derived(model: &Model, info: &EngineInfo, buckets: &Buckets) -> String {
    let limits = ModelLimits {
        max_batch: model.batching.max_batch,
        max_tokens: info.max_tokens,
        max_volume: model.batching.max_tokens.max(info.max_tokens),
        shape_state: info.shape_state,
    };
    let plan = WarmupPlan::derive(&limits, buckets);
    let mut text = format!(
        "# what {} runs without a plan: {} cases\n",
        info.name,
        plan.cases.len()
    );
    for planned in plan.cases {
        if let CaseInput::Generate { texts, tokens } = planned.input {
            text += &case(&planned.name, texts, tokens, "");
        }
    }
    text
}

fn case(name: &str, texts: usize, tokens: usize, note: &str) -> String {
    let generate = format!("{{ texts = {texts}, tokens = {tokens} }}");
    format!("\n[[model.warmup.case]]{note}\nname = \"{name}\"\ngenerate = {generate}\n")
}

/// For somebody else's server: requests as they were seen, one for each path and size class.
fn requests(args: &PlanArgs) -> Result<String, Failure> {
    let mut kinds = Kinds::default();
    let all = traffic::each(args, |seen| kinds.count(seen))?;
    if args.from.is_empty() {
        return Err(failed(
            "a server\'s plan comes from traffic",
            "give --from: a recording, an access log, or the address of an admin listener",
        ));
    }
    if all == 0 {
        return Err(nothing_seen(args));
    }
    let Kinds { counts, others, .. } = kinds;
    let classes = counts.into_values().map(|(count, seen)| (seen, count));
    let covered = cover(classes, args.share, args.cases);
    let mut text = heading(&covered, args, ["kind of request", "kinds of requests"]);
    if others > 0 {
        text += &format!("# {others} requests of too many further kinds are not counted\n");
    }
    for (number, (seen, count)) in (1..).zip(&covered.cases) {
        text += &requested(number, seen, &share(*count, covered.total));
    }
    Ok(text)
}

/// A case that sends what was seen.
fn requested(number: usize, seen: &Seen, note: &str) -> String {
    let mut case = format!("\n[[model.warmup.case]]  # {note}\nname = \"seen-{number}\"\n");
    if let Some(path) = &seen.path {
        case += &format!("path = {}\n", toml::Value::from(path.as_str()));
    }
    let Some(body) = &seen.body else {
        // An access log does not tell bodies.
        return case + "generate = { texts = 1, tokens = 16 }\n";
    };
    let mut sent = body.clone();
    if leave_out_nulls(&mut sent) > 0 {
        case += "# TOML knows no null: members that were null are left out\n";
    }
    match toml::Value::try_from(&sent) {
        Ok(sent) => case + &format!("body = {sent}\n"),
        // A null in a list, a number of more than 63 bits.
        Err(_) => format!(
            "\n# {note}, which TOML cannot hold: have this line in a file, and a case with its name as `file`\n# {}\n",
            json!({ "path": seen.path, "body": body })
        ),
    }
}

/// How many there were. One in a list has a place and stays.
fn leave_out_nulls(body: &mut Value) -> usize {
    match body {
        Value::Array(items) => items.iter_mut().map(leave_out_nulls).sum(),
        Value::Object(members) => {
            let before = members.len();
            members.retain(|_, value| !value.is_null());
            let left_out = before - members.len();
            left_out + members.values_mut().map(leave_out_nulls).sum::<usize>()
        }
        _ => 0,
    }
}

/// `what`: one of them, and several.
fn heading<T>(covered: &Covered<T>, args: &PlanArgs, what: [&str; 2]) -> String {
    let fewer = match covered.share() < args.share {
        true => format!("; --cases {} allows no more", args.cases),
        false => String::new(),
    };
    let stand = match covered.cases.len() {
        1 => format!("1 {} stands", what[0]),
        several => format!("{several} {} stand", what[1]),
    };
    format!(
        "# {stand} for {:.1} % of {} requests{fewer}\n",
        covered.share() * 100.0,
        covered.total
    )
}

fn share(count: u64, total: u64) -> String {
    let percent = count as f64 * 100.0 / total.max(1) as f64;
    let what = if count == 1 { "request" } else { "requests" };
    format!("{count} {what}, {percent:.1} %")
}

pub fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged("plan", FailureKind::Configuration, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(body: Value) -> String {
        let path = Some("/v1/x".to_owned());
        let seen = Seen {
            path,
            body: Some(body),
        };
        requested(1, &seen, "a note")
    }

    #[test]
    fn a_request_that_was_seen_is_sent_as_it_was_but_for_nulls() {
        for (body, sent) in [
            (
                json!({ "input": ["a\nb", "\"'"], "k y": 1.5 }),
                json!({ "input": ["a\nb", "\"'"], "k y": 1.5 }),
            ),
            (
                json!({ "user": null, "input": [{ "x": null, "y": 1 }] }),
                json!({ "input": [{ "y": 1 }] }),
            ),
            (json!("a text"), json!("a text")),
        ] {
            let text = case(body.clone());
            let read: toml::Table = toml::from_str(&text).unwrap();
            let read = json!(read);
            assert_eq!(read["model"]["warmup"]["case"][0]["body"], sent, "{text}");
            assert_eq!(text.contains("left out"), body != sent, "{text}");
        }
    }

    #[test]
    fn what_no_toml_can_hold_becomes_no_case_that_sends_something_else() {
        for body in [json!([1, null]), json!({ "id": u64::MAX })] {
            let text = case(body.clone());
            let read: toml::Table = toml::from_str(&text).unwrap();
            assert!(read.is_empty(), "{text}");
            let line = text.lines().last().unwrap().trim_start_matches("# ");
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["body"], body);
        }
    }
}

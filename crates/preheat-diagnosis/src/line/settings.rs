//! Switches and counts by which a warm-up is left out: `skip_warmup=True`, `warmup: false`,
//! `--no-model-warmup`, `WARMUP_RUNS=0`.

use super::denied::is_conditional;
use super::list::List;

/// What a warm-up is called, by whoever runs one before anybody asks.
pub(crate) const REHEARSALS: [&str; 45] = [
    "warmup",
    "warm up",
    "warming up",
    "prewarm",
    "pre warm",
    "preheat",
    "burn in",
    "burnin",
    "rehears",
    "limber",
    "shakedown",
    "break in run",
    "dry run",
    "dry pass",
    "trial run",
    "trial pass",
    "trial request",
    "trial inference",
    "practice run",
    "practice round",
    "practice request",
    "practice prompt",
    "exercise",
    "preflight inference",
    "preflight run",
    "preflight pass",
    "priming",
    "dummy request",
    "dummy batch",
    "dummy inference",
    "dummy forward",
    "dummy input",
    "dummy call",
    "dummy pass",
    "synthetic request",
    "synthetic batch",
    "synthetic input",
    "synthetic traffic",
    "canned request",
    "canned prompt",
    "sample input",
    "sample request",
    "sample sentence",
    "sample prompt",
    "self test",
];

/// The same where a setting is named.
pub(crate) const SHORT: [&str; 2] = ["warm", "prime"];

/// Whose warm-up it is, where it is no model's.
pub(crate) const NO_MODELS: [&str; 23] = [
    "lr ",
    "lr=",
    "learning rate",
    "cosine",
    "schedule",
    "optimizer",
    "epoch",
    "cache warm",
    "cachewarm",
    "of cache",
    "varnish",
    "cdn",
    "redis",
    "connection pool",
    "pool of connections",
    "search index",
    "nginx",
    "bytecode",
    "jvm",
    "unit test",
    "in tests",
    "standby",
    "warmpool",
];

static NAMES: List = List::new(&[&REHEARSALS, &SHORT]);
static OF_OTHERS: List = List::new(&[&NO_MODELS]);

/// What a setting on the line makes of the warm-up.
pub(crate) fn skips_warmup(text: &str) -> bool {
    if OF_OTHERS.begins_in(text) {
        return false;
    }
    let mut named = NAMES.all(text).filter(|found| {
        let name = &text[found.start..found.end];
        is_left_out(&text[..found.start], &text[found.end..], name)
            && !is_conditional(text, found.start)
    });
    static ADVICE: List = List::new(&[&[
        "to skip ",
        "to disable",
        "can be left",
        "can be skip",
        "can be dis",
        "can be turned",
        "can be switched",
    ]]);
    (named.next().is_some() || is_planned_without(text) || is_flagged(text)) && !ADVICE.is_in(text)
}

/// Whether words in front of a warm-up's name leave it out, or its value does.
fn is_left_out(before: &str, after: &str, name: &str) -> bool {
    // `rehearsals`, `dry runs`
    let end = after.find(|c: char| !c.is_ascii_alphabetic());
    let (ending, behind) = after.split_at(end.unwrap_or(after.len()));
    let is_whole = matches!(ending.trim_end_matches('s'), "" | "e" | "al" | "ing");
    if !is_whole {
        return false;
    }
    // `{name: SKIP_WARMUP, value: "false"}`, `name=SKIP_WARMUP value=false`
    let value = behind
        .trim_start_matches(['"', ',', ' '])
        .strip_prefix("value");
    let value = value.map(|value| value.trim_start_matches('"'));
    let behind = value
        .filter(|value| value.starts_with([':', '=']))
        .unwrap_or(behind);
    let is_off = || match ending.ends_with('s') {
        true => !behind.contains("none") && is_none_of_them(&[" runs", behind].concat()),
        false => is_set_off(before, behind, name),
    };
    is_off() || is_named_without(before, behind, name)
}

/// `no rehearsal`, `without any dry run`, `skipping the burn-in`
fn is_named_without(before: &str, behind: &str, name: &str) -> bool {
    const WITHOUT: [&str; 12] = [
        "no",
        "disable",
        "disables",
        "disabling",
        "without",
        "skip",
        "skips",
        "skipping",
        "skipped",
        "omitting",
        "omits",
        "bypassing",
    ];
    const OWN: [&str; 9] = [
        "a", "any", "single", "model's", "model", "server", "its", "our", "initial",
    ];
    const OTHERWISE: [&str; 13] = [
        " fail",
        " error",
        " problem",
        " issue",
        " data",
        " needed",
        " necessary",
        " bucket",
        " shape",
        " for ",
        " until",
        " yet",
        " 0 ",
    ];
    let mut words = before.trim_end().rsplit(' ').map(|word| {
        let word = word.rsplit(['"', '(', '[', '=', '|', ',']).next();
        word.unwrap_or_default().trim_start_matches('\'')
    });
    let word = words.find(|word| !OWN.contains(word)).unwrap_or_default();
    !SHORT.contains(&name)
        && WITHOUT.contains(&word)
        && !OTHERWISE.iter().any(|other| behind.starts_with(other))
        && !behind.starts_with(['=', ':'])
}

/// `"--no-warm"`: a flag by itself, as others say `no warm bucket`.
fn is_flagged(text: &str) -> bool {
    text.match_indices("no warm").any(|(at, flag)| {
        let behind = &text[at + flag.len()..];
        let is_begin = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let is_end =
            behind.is_empty() || behind.starts_with(['"', '\'', ']']) || behind.starts_with(" (");
        is_begin && is_end && !text.contains("is no warm")
    })
}

/// The head of a section whose lines set what is about the warm-up: `warmup:`, then `enabled: no`.
pub(crate) fn heads_warmup(text: &str) -> bool {
    let head = text.trim_end();
    head.len() <= 16
        && [
            "warmup:",
            "warm up:",
            "prewarm:",
            "[warmup]",
            "[warm up]",
            "warmup: {",
            "\"warmup\": {",
            "\"warm up\": {",
        ]
        .contains(&head)
}

/// Whether a line of such a section switches it off.
pub(crate) fn is_switched_off(text: &str) -> bool {
    let said = text.trim_start_matches(['"', '\'', ' ']);
    let names = [
        "enabled",
        "enable",
        "active",
        "run",
        "requests",
        "iterations",
        "runs",
    ];
    let name = names.iter().find_map(|name| said.strip_prefix(name));
    let value = name.map(|rest| rest.trim_start_matches(['"', '\'', ' ', ':', '=']));
    value.is_some_and(|value| {
        matches!(first_value(value), "no" | "false" | "off" | "0" | "never")
            && !value.starts_with("0.")
    })
}

/// `boot plan: load=yes, warm=no`, `config: {"warm": false}`: a switch that is called by nothing else, where
/// switches are listed. Elsewhere it may be a state.
fn is_planned_without(text: &str) -> bool {
    const LISTS: [&str; 12] = [
        "config",
        "settings",
        "options",
        "plan",
        "args",
        "flags",
        "params",
        "namespace",
        "environ",
        "phases",
        "stages",
        "steps",
    ];
    let is_list = LISTS.iter().any(|list| text.contains(list)) && !text.contains("ready");
    is_list
        && ["warm", "prewarm", "warming"].iter().any(|name| {
            text.match_indices(name).any(|(at, _)| {
                let is_name = !text[..at]
                    .ends_with(|c: char| c.is_ascii_alphanumeric() || c == ' ')
                    || text[..at].ends_with([',', '{', ' ', '"']);
                let rest = text[at + name.len()..].trim_start_matches(['"', '\'']);
                let value = rest.strip_prefix(['=', ':']).map(first_value);
                is_name
                    && value.is_some_and(|value| {
                        matches!(value, "no" | "false" | "off" | "0" | "none" | "never")
                    })
            })
        })
}

/// Whether a name is negated and its value affirms it, or the other way round.
fn is_set_off(before: &str, after: &str, name: &str) -> bool {
    if is_none_of_them(after) {
        return true;
    }
    let rest = behind_name(after);
    // By itself it may be a state.
    if matches!(name, "warm" | "prime") && rest.len() == after.len() {
        return false;
    }
    let after = rest.trim_start_matches(['"', '\'', ' ']);
    let is = ["is set to ", "set to ", "is ", "="]
        .iter()
        .find_map(|is| after.strip_prefix(is));
    let Some(value) = after.strip_prefix(['=', ':']).or(is) else {
        return false;
    };
    if is_empty(value) {
        return true;
    }
    let value = first_value(value.trim_start().trim_start_matches("enabled="));
    let signs = ['=', ',', '(', '{', ';', ':', '"', '\'', '[', '|'];
    let name = before.rsplit(signs).next().unwrap_or_default();
    let is_negated = ["skip", "disable", "no"].iter().any(|word| {
        name.split(' ')
            .rev()
            .take(3)
            .any(|part| part.trim_start_matches('-') == *word)
    });
    match (is_negated, value) {
        (true, value) => matches!(value, "true" | "1" | "yes" | "on"),
        (false, "0" | "no") => ["run ", "enable ", "do ", "use ", "with "]
            .iter()
            .any(|verb| name.ends_with(verb)),
        (false, value) => matches!(
            value,
            "false" | "off" | "disabled" | "skip" | "none" | "never"
        ),
    }
}

fn first_value(value: &str) -> &str {
    let value = value.trim_start_matches(['"', '\'', ' ']);
    let end = value.find(|c: char| !c.is_ascii_alphanumeric());
    &value[..end.unwrap_or(value.len())]
}

/// `[]`, `{}`, `null`: there is nothing to run.
fn is_empty(value: &str) -> bool {
    let value = value.trim_start();
    ["[]", "{}", "null", "nil", "\"\"", "()"]
        .iter()
        .any(|nothing| value.starts_with(nothing))
}

/// ` runs=0`, ` iters 0`, ` on boot=0`: how often, or when, and that it never is.
fn is_none_of_them(after: &str) -> bool {
    const COUNTED: [&str; 26] = [
        " enabled",
        " enable",
        ".enabled",
        " iters",
        " iterations",
        " iter",
        " runs",
        " rounds",
        " requests",
        " samples",
        " count",
        " calls",
        " prompts",
        " passes",
        " batches",
        " cycles",
        " inputs",
        " cases",
        " on boot",
        " at boot",
        " on start",
        " at start",
        ".runs",
        ".rounds",
        ".requests",
        ".iterations",
    ];
    let mut rests = COUNTED.iter().filter_map(|word| after.strip_prefix(word));
    rests.any(|rest| {
        let rest = rest.strip_prefix("up").unwrap_or(rest);
        let value = rest.trim_start_matches(['"', '\'', '`', ' ', '=', ':']);
        let value = value.strip_prefix("is ").unwrap_or(value);
        let value = value.strip_prefix("to ").unwrap_or(value);
        let is_parted = value.len() < rest.len();
        let behind = value.strip_prefix('0');
        is_parted
            && (is_empty(value)
                || value.starts_with("none")
                || behind.is_some_and(|behind| {
                    (!behind.starts_with(|c: char| {
                        c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | ':')
                    }) || behind.starts_with(": ")
                        || behind.starts_with(". "))
                        && !behind.starts_with(" of ")
                        && !behind.starts_with(" fail")
                }))
    })
}

/// What follows the words that may end the name of a setting: `warmup_enabled`, `warmup-on-start`.
fn behind_name(after: &str) -> &str {
    if !after.starts_with([' ', '.']) {
        return after;
    }
    const ENDS: [&str; 14] = [
        ".enabled",
        ".enable",
        ".mode",
        " mode",
        " enabled",
        " enable",
        " active",
        " on start",
        " on startup",
        " at start",
        " at startup",
        " on boot",
        " at boot",
        " run",
    ];
    let is_name = |rest: &str| {
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        rest.starts_with(['=', ':']) || rest.starts_with("is ") || rest.starts_with("set to ")
    };
    let rests = ENDS.iter().filter_map(|end| after.strip_prefix(end));
    rests
        .into_iter()
        .find(|rest| is_name(rest))
        .unwrap_or(after)
}

#[cfg(test)]
mod tests {
    use super::super::text::normal;
    use super::*;

    #[test]
    fn a_warm_up_is_left_out_in_many_ways() {
        for text in [
            "{name: SKIP_WARMUP, value: \"true\"}",
            "name=SKIP_WARMUP value=1",
            "args: --port 8000 --warmup-iters 0 --max-batch 8",
            "config: {\"warm\": false, \"threads\": 4}",
            "boot plan: load=yes, warm=no, serve=yes",
            "WARM_ON_BOOT=0, nothing is run",
            "config: WARMUP_ENABLED=0",
            "warmup.enabled: 0",
            "NUM_WARMUP_RUNS=0",
            "warmup_inputs: []",
            "warmup: null",
            "skip_warmup=True",
            "settings(warm_up_samples=0, port=80)",
            "feature flag asr.warmup = off",
            "flags=\"--no-rehearsal --shard=4\"",
            "Skipping the model's trial inference",
            "serve --model m.onnx --trial-runs=0 --port 80",
            "args = { preheat: never, port: 9000 }",
            "Options { prewarm_inputs: None, workers: 1 }",
            "startup without any dry run",
        ] {
            assert!(skips_warmup(&normal(text)), "{text}");
        }
        for text in [
            "{name: SKIP_WARMUP, value: \"false\"}",
            "name=SKIP_WARMUP value=false",
            "warmup_steps=0 lr=3e-4",
            "warm-up iters 0/3",
            "warm-up runs: 0.4 s",
            "state: ready=false warm=no plan=3",
            "warmup done, 0 failed",
            "warmup requests: 0 failed",
            "skip_warmup=false",
            "luke: warm=no",
            "warmup: true",
            "warmups=None, port=80",
            "dry runs: 0.4 s",
            "no rehearsal needed, graphs are there",
            "warm-up of the Varnish cache skipped",
            "warm-up can be left out with `--skip-warmup`",
            "lr warmup skipped",
        ] {
            assert!(!skips_warmup(&normal(text)), "{text}");
        }
    }
}

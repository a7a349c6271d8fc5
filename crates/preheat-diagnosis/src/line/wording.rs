//! What the words of a line say about the work it names, and who writes it.

use super::list::List;
use super::text::digits;

/// What a line says of the work that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Beginning,
    End,
    Neither,
}

/// Words for work that is over, and for work that begins.
const ENDS: [&str; 21] = [
    "mapped",
    "constructed",
    " end ",
    "materialised",
    "materialized",
    "loaded",
    "done",
    "finished",
    "complete",
    "initialized",
    "initialised",
    "created",
    "compiled",
    "built",
    "captured",
    "took",
    "downloaded",
    "in memory",
    "finish",
    "load weight end",
    " ready",
];
const BEGINS: [&str; 18] = [
    " start ",
    "materialising",
    "loading",
    "initializing",
    "initialising",
    "creating",
    "compiling",
    "building",
    "downloading",
    "fetching",
    "starting",
    "capturing",
    "load ",
    "tuning",
    "reading",
    "moving",
    "begin",
    "opening",
];

/// Whether a line tells that something begins, or that it is over.
pub(crate) fn telling(text: &str) -> Telling {
    static WORDS: List = List::new(&[&ENDS, &BEGINS]);
    // "not in memory, reading it" is no end.
    let is_meant = |at: usize| {
        ![" not", " not yet", " no"]
            .iter()
            .any(|no| text[..at].trim_end().ends_with(no))
    };
    let goes_on = text.ends_with("...") || text.ends_with(" started");
    let (mut begins, mut ends) = (goes_on, false);
    for found in WORDS.all(text) {
        match found.list {
            0 => ends = ends || is_meant(found.start),
            _ => begins = true,
        }
    }
    match (begins, ends) {
        (_, true) if !goes_on => Telling::End,
        (true, _) => Telling::Beginning,
        (false, _) => Telling::Neither,
    }
}

/// Whether somebody reports an error: by its level, or by what it is called.
pub(crate) fn tells_an_error(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "error",
        "exception",
        "failed",
        "failure",
        "fatal",
        "critical",
        "panic",
        "[e]",
        "[e:",
        "err=",
        "err:",
        "abort",
        "terminate called",
        "unavailable:",
        ": e ",
    ];
    let said = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let is_warning = ["w", "i"].iter().any(|level| is_graded(text, level))
        || ["debug", "trace", "warn"]
            .iter()
            .any(|level| said.starts_with(level))
        || ["level=debug", "level=warn"]
            .iter()
            .any(|level| text.contains(level));
    !is_warning && (is_graded(text, "e") || WORDS.iter().any(|word| is_said(text, word)))
}

/// Whether a word stands in what is said, and not in the name of a logger: `uvicorn.error`.
fn is_said(text: &str, word: &str) -> bool {
    let is_name = |at: usize| {
        ["uvicorn.", "gunicorn.", "hypercorn.", "sanic.", "aiohttp."]
            .iter()
            .any(|logger| text[..at].ends_with(logger))
    };
    text.match_indices(word).any(|(at, _)| !is_name(at))
}

/// Whether somebody warns who goes on.
pub(crate) fn warns(text: &str) -> bool {
    let front = &text[..text.floor_char_boundary(64)];
    let is_level = |at: usize| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    is_graded(text, "w") || front.match_indices("warn").any(|(at, _)| is_level(at))
}

/// `UserWarning: …`, `FutureWarning: …`: what a library remarks is not what happens.
pub(crate) fn is_of_library(text: &str) -> bool {
    text.match_indices("warning: ")
        .any(|(at, _)| text[..at].ends_with(|c: char| c.is_ascii_alphabetic()))
}

/// `e1120 10:00:31`: its level before month and day, as glog has it, or alone.
fn is_graded(text: &str, level: &str) -> bool {
    let graded = text.strip_prefix(level).unwrap_or_default();
    let digits = graded.bytes().take_while(u8::is_ascii_digit).count();
    graded.starts_with(' ') || (digits == 4 && graded[4..].starts_with(' '))
}

/// No line of so few bytes says more.
const SHORT: usize = 12;

/// Whether a shell says that what it ran was killed: `Killed`, `run.sh: line 3: 7 Killed python app.py`.
pub(crate) fn says_killed(text: &str) -> bool {
    let is_shells = text.contains(": line ") && text.contains(" killed ");
    let is_all = text.len() <= SHORT && text.ends_with(" killed");
    text == "killed" || is_all || is_shells
}

/// Whether a line is the progress bar of bytes that come in, and not all at once:
/// ` 41%|####      | 2.05G/4.97G [01:40<02:24, 20.2MB/s]`.
pub(crate) fn fetches(text: &str) -> bool {
    const OTHERS: [&str; 8] = [
        "upload", "extract", "data", "train", "test", ".csv", ".parquet", ".whl",
    ];
    text.ends_with("b/s]")
        && text.contains("%|")
        && !text.contains("[00:00<")
        && !OTHERS.iter().any(|other| text.contains(other))
}

/// Whether a line tells of no process that serves: a test's result, or a step of an image's build.
pub(crate) fn is_of_tools(text: &str) -> bool {
    let is_test = || {
        let mut tests = text
            .match_indices("::test")
            .map(|(at, test)| &text[at + test.len()..]);
        tests.any(|rest| rest.starts_with(['_', ' ']))
    };
    let is_of_go = || text.contains(" test.go:") || text.contains("_test.go:");
    let is_test = || is_of_go() || (text.contains("::test") && is_test()) || is_of_rust(text);
    is_build_step(text) || is_of_cargo(text) || is_test() || counts_none(text)
}

/// Whether a line is one of an image's build: `#6 4.011 …`, `Step 5/9 : RUN …`, `=> [ 6/9] RUN …`,
/// `[build 4/6] RUN …`.
pub(crate) fn is_build_step(text: &str) -> bool {
    let step = text.strip_prefix('#').unwrap_or_default();
    let rest = step.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = rest.len() < step.len()
        && rest.strip_prefix(' ').is_some_and(|said| {
            let first = said.split(' ').next().unwrap_or_default();
            let is_time = first.contains('.') && first.parse::<f64>().is_ok();
            is_time || said.starts_with(['[', 'D', 'C', 'e']) || said.starts_with("ERROR: process")
        });
    let is_run = || text.contains("RUN ") || text.contains("COPY ");
    let is_named = ["Step ", "=> [", "INFO[", "STEP "]
        .iter()
        .any(|head| text.starts_with(head));
    // Without the number that BuildKit puts before it.
    let is_bare = || {
        let of = text
            .strip_prefix('[')
            .and_then(|text| text.split_once("] "));
        of.is_some_and(|(step, said)| {
            step.ends_with(|c: char| c.is_ascii_digit())
                && step.contains('/')
                && ["RUN ", "COPY "].iter().any(|word| said.starts_with(word))
        })
    };
    is_numbered || (is_named && is_run()) || is_bare()
}

/// `oom_kills_total 0`: a counter that has counted nothing.
fn counts_none(text: &str) -> bool {
    let counted = text
        .strip_suffix(" 0")
        .or_else(|| text.strip_suffix(" 0.0"));
    counted.is_some_and(|name| name.contains('_') && !name.contains(' '))
}

/// `test loads::a_file ... ok`
fn is_of_rust(text: &str) -> bool {
    text.starts_with("test ") && text.contains(" ... ")
}

/// `Compiling serde v1.0.2`, `Downloaded safetensors v0.8.0`.
fn is_of_cargo(text: &str) -> bool {
    if !text.starts_with(['C', 'D', 'F']) {
        return false;
    }
    let mut words = text.split(' ');
    let does = [
        "Compiling",
        "Downloaded",
        "Downloading",
        "Checking",
        "Fetching",
    ];
    words.next().is_some_and(|word| does.contains(&word))
        && words.next().is_some()
        && words.next().is_some_and(|version| {
            version.strip_prefix('v').is_some_and(|number| {
                number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.')
            })
        })
}

/// Whether a line explains how a program is called: `usage: …`, `--skip-warmup      do not warm up`.
pub(crate) fn is_help(text: &str) -> bool {
    let is_option = text.starts_with('-')
        && text[1..].starts_with(|c: char| c == '-' || c.is_ascii_alphabetic());
    let is_metric = text.starts_with("# HELP ") || text.starts_with("# TYPE ");
    let is_usage = text
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("usage:"));
    is_usage || is_metric || (is_option && text.contains("   "))
}

/// `mapping part 4 of 14`
fn is_one_of_more(text: &str) -> bool {
    const PARTS: [&str; 7] = ["part", "shard", "chunk", "piece", "file", "block", "layer"];
    let Some((before, behind)) = text.split_once(" of ") else {
        return false;
    };
    let mut words = before.rsplit(' ');
    let number = words.next().and_then(|word| word.parse::<u32>().ok());
    let is_part = words.next().is_some_and(|word| PARTS.contains(&word));
    let all = digits(behind).0.parse::<u32>().ok();
    is_part && number.zip(all).is_some_and(|(number, all)| number < all)
}

/// Whether a line tells of something that has not come to its end: `25% Completed | 1/4`.
pub(crate) fn is_unfinished(text: &str) -> bool {
    if is_one_of_more(text) {
        return true;
    }
    let Some((before, behind)) = text.split_once('%') else {
        return false;
    };
    let is_bar = behind.starts_with('|') || behind.starts_with(" completed");
    is_bar && !before.ends_with("100")
}

/// Whether a line counts how far something is, and it is not at its end: `part 4 of 14`.
pub(crate) fn is_on_its_way(text: &str) -> bool {
    const COUNTED: [&str; 6] = ["part ", "shard ", "file ", "layer ", "chunk ", "piece "];
    // Most lines have neither, and to tell that is cheaper than to look for six words.
    let is_share = |two: &[u8]| two[0].is_ascii_digit() && two[1] == b'/';
    if !text.as_bytes().windows(2).any(is_share) && !text.contains(" of ") {
        return false;
    }
    let behind = COUNTED.iter().find_map(|word| text.split_once(word));
    let Some((_, behind)) = behind else {
        return false;
    };
    let (done, rest) = digits(behind);
    let all = [" of ", "/"].iter().find_map(|of| rest.strip_prefix(of));
    let number = |digits: &str| digits.parse::<u64>().ok();
    let both = number(done).zip(all.and_then(|all| number(digits(all).0)));
    both.is_some_and(|(done, all)| done < all)
}

/// What stands in front of such a number.
const BEFORE: [&str; 24] = [
    "[asgi ", "[wsgi ", "[web ", "[app ", "[srv ", "proc ", "child#", "[", "[w ", "pid=", "pid: ",
    "pid:", "pid ", "pid\": ", "worker ", "worker#", "process ", "child ", "[w", "] w ", "child(",
    "worker(", "process(", "pid(",
];

/// The number that a process writes in front of its lines: `[7]`, `pid=7`, `"pid": 7`, `worker 7`,
/// `W-9000`, `worker[7]`.
pub(crate) fn process(text: &str) -> Option<u64> {
    static WORDS: List = List::new(&[&BEFORE]);
    let found = WORDS.all(text);
    let mut places: Vec<(usize, usize)> = found.map(|found| (found.word, found.end)).collect();
    places.sort_unstable();
    let told = places.into_iter().find_map(|(open, end)| {
        let open = BEFORE[open];
        let (number, rest) = digits(&text[end..]);
        // `worker-a`, `worker-b`
        if open == "worker "
            && let Some(letter) = lone_letter(&text[end..])
        {
            return Some(letter);
        }
        // `[00:03<00:02` is a progress bar's clock.
        let is_closed = open != "[" || rest.starts_with(']');
        number.parse().ok().filter(|_| is_closed)
    });
    told.or_else(|| instance(text)).or_else(|| leading(text))
}

/// The process whose end a line tells, which its manager may write: `worker (pid:9) was sent sigkill pid=7`.
pub(crate) fn ended(text: &str) -> Option<u64> {
    const NAMED: [&str; 8] = [
        "(pid:",
        "(pid ",
        "(pid=",
        "worker pid ",
        "worker with pid ",
        "child process [",
        "process [",
        "pid:",
    ];
    let number = |name: &&str| {
        let (_, behind) = text.split_once(*name)?;
        digits(behind.trim_start()).0.parse().ok()
    };
    NAMED.iter().find_map(number).or_else(|| process(text))
}

/// A letter that stands alone, as the number that it has among others.
fn lone_letter(text: &str) -> Option<u64> {
    let mut bytes = text.bytes();
    let letter = bytes.next().filter(u8::is_ascii_lowercase)?;
    let is_alone = bytes
        .next()
        .is_some_and(|next| matches!(next, b']' | b':' | b'|' | b')' | b'[' | b' '));
    is_alone.then(|| u64::from(letter))
}

/// Whether a size is told several times over, once for each process: `8 workers x 2.2 gb`.
pub(crate) fn multiplies(text: &str) -> bool {
    let Some((before, behind)) = text.split_once(" x ").or_else(|| text.split_once(" × ")) else {
        return false;
    };
    if ["buffer", "batch", "shape"]
        .iter()
        .any(|word| text.contains(word))
    {
        return false;
    }
    let is_size = {
        let number = behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = number.trim_start();
        number.len() < behind.len()
            && ["gb", "gib", "mb", "mib"]
                .iter()
                .any(|u| unit.starts_with(u))
    };
    let is_counted = before.contains(|c: char| c.is_ascii_digit());
    is_size && is_counted
}

/// `p31 reading …`, `w2: …`, `worker3 | …`: the first word is a short name and a number. `0|embed | …`: pm2's.
fn leading(text: &str) -> Option<u64> {
    const NAMES: [&str; 6] = ["p", "w", "pid", "worker", "proc", "child"];
    let first = text.split([' ', ':', '|', ']', ')']).next()?;
    let name = first.trim_end_matches(|c: char| c.is_ascii_digit());
    // `W-9000-bert loaded …`
    let behind = || text.strip_prefix("w ").map(|rest| digits(rest).0);
    let number = first[name.len()..]
        .parse()
        .ok()
        .or_else(|| behind()?.parse().ok())?;
    let is_of_pm2 = || name.is_empty() && text[first.len()..].starts_with('|');
    (NAMES.contains(&name) || is_of_pm2()).then_some(number)
}

/// `[entry:service:2]`: one of several that a server runs of one kind.
fn instance(text: &str) -> Option<u64> {
    text.split('[').skip(1).find_map(|rest| {
        let (name, _) = rest.split_once(']')?;
        let (kind, number) = name.rsplit_once(':')?;
        let is_kind = kind.contains(':') && kind.split(' ').count() <= 2;
        number.parse().ok().filter(|_| is_kind)
    })
}

/// Whether a line is one of several that share one model between their devices, so that each loads a
/// part of it: `TP1`, `rank=2`.
pub(crate) fn is_shard(text: &str) -> bool {
    let numbered = |open: &str| {
        text.match_indices(open)
            .any(|(at, _)| text[at + open.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    ["tp", "pp", "ep", "rank=", "rank ", "rank", "shard "]
        .into_iter()
        .any(numbered)
}

/// `File "app.py", line 7, in load`: what a function is called does not tell what happens.
pub(crate) fn is_frame(text: &str) -> bool {
    // Hardly any line holds this, and to tell that is cheaper than to look for the place of a word.
    if !text.contains("\", line ") {
        return false;
    }
    text.split_once("file \"").is_some_and(|(before, rest)| {
        rest.contains("\", line ") && !before.contains("traceback") && !before.contains("fail")
    })
}

/// Whether the last line of a traceback stands here, rather than a line of code.
pub(crate) fn is_raised(text: &str) -> bool {
    ["error:", "exception:", "error ", "exception ", "exit:"]
        .iter()
        .any(|word| text.contains(word))
}

/// What a setting of one of these names is: `cpu quota=4.0`, `threads: 4`.
pub(crate) fn setting(text: &str, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| {
        let value = text.split_once(name)?.1.trim_start_matches(['"', ' ']);
        let value = value
            .strip_prefix(['=', ':'])
            .or(name.ends_with(' ').then_some(value))?
            .trim_start_matches(['"', ' ']);
        let end = value.find(|c: char| !c.is_ascii_digit() && c != '.');
        value[..end.unwrap_or(value.len())].parse().ok()
    })
}

/// Whether a limit is one of memory, of thousandths or of microseconds.
fn has_unit(text: &str) -> bool {
    ["quota", "limit"].iter().any(|name| {
        let behind = text.split_once(name).map_or("", |(_, behind)| behind);
        let value = behind.trim_start_matches(['"', ' ', '=', ':']);
        let rest = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let digits = value.len() - rest.len();
        digits > 3 || (digits > 0 && rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    })
}

/// Whether threads are told that do not outnumber the processors told beside them.
pub(crate) fn fits(text: &str, numbers: &[(usize, u64)]) -> bool {
    let limit = setting(text, &["quota", "limit", "quota "]).filter(|_| !has_unit(text));
    let counted = || setting(text, &["cgroup cpus", "cpus", "cores"]);
    let processors = limit.or_else(|| counted().filter(|_| !text.contains("host")));
    if let Some((threads, processors)) = setting(text, &["threads", "intra op"]).zip(processors) {
        return threads <= processors.ceil();
    }
    let beside = |words: &[&str], is_behind: bool| {
        let at = words.iter().find_map(|word| text.find(word))?;
        let by = |(place, _): &&(usize, u64)| (is_behind && *place < at, place.abs_diff(at));
        numbers
            .iter()
            .filter(|(_, number)| *number > 0)
            .min_by_key(by)
    };
    // A limit is told behind its name.
    let near = |words: &[&str]| beside(words, true);
    let limit = near(&[
        "quota",
        "limit",
        "cgroup",
        "container has",
        "pod has",
        "may use",
    ])
    .or_else(|| near(&["cpu", "core"]));
    let pair = beside(&["thread"], false).zip(limit);
    pair.is_some_and(|(threads, processors)| threads.0 != processors.0 && threads.1 <= processors.1)
}

pub(crate) fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit())
        .take(160)
        .collect()
}

//! A table of what happened, with commas: when, who, what, and how long it took. Each of its rows is told as a
//! log would tell it.

/// Columns of such a table.
const FEWEST: usize = 3;
const MOST: usize = 12;

/// Longer names are sentences.
const LONGEST: usize = 20;

/// What happened.
const EVENTS: [&str; 11] = [
    "event",
    "what",
    "msg",
    "message",
    "step",
    "action",
    "note",
    "detail",
    "text",
    "description",
    "phase",
];

/// When it did, in seconds unless the name says more.
const STAMPS: [&str; 9] = [
    "t",
    "at",
    "time",
    "ts",
    "timestamp",
    "t_s",
    "t_ms",
    "offset",
    "clock",
];

/// What a number in a column of this name is worth, in words; none if it is no figure.
fn unit(name: &str) -> Option<&'static str> {
    let last = name.rsplit(['_', ' ']).next().unwrap_or_default();
    match last {
        "ms" | "millis" => Some(" ms"),
        "s" | "sec" | "secs" | "seconds" | "took" | "duration" => Some(" s"),
        "value" => Some(""),
        _ => None,
    }
}

/// Numbers of rows.
const NUMBERS: [&str; 6] = ["seq", "#", "n", "no", "nr", "row"];

/// A table whose head was read.
#[derive(Debug)]
pub(super) struct Journal {
    columns: usize,
    event: usize,
    stamp: Option<(usize, f64)>,
    value: (usize, &'static str),
    number: Option<usize>,
}

impl Journal {
    /// A table that begins on this line.
    pub(super) fn of(line: &str) -> Option<Self> {
        let is_name =
            |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b',' | b'#' | b' ');
        if !line.bytes().all(is_name) || !line.contains(',') {
            return None;
        }
        let head = line.to_ascii_lowercase();
        let names: Vec<&str> = head.split(',').map(str::trim).collect();
        // Its rows take requests apart.
        let is_of_requests = [
            "call",
            "request",
            "req",
            "req_id",
            "request_id",
            "latency_ms",
            "query",
            "iteration",
            "trial",
            "prompt",
        ]
        .iter()
        .any(|name| names.contains(name));
        let is_one = !is_of_requests
            && (FEWEST..=MOST).contains(&names.len())
            && names.iter().all(|name| (1..=LONGEST).contains(&name.len()));
        let place = |known: &[&str]| names.iter().position(|name| known.contains(name));
        let stamp = place(&STAMPS);
        let mut units = names
            .iter()
            .enumerate()
            .filter(|(at, _)| stamp != Some(*at));
        let value = units.find_map(|(at, name)| Some((at, unit(name)?)));
        let factor = |at: usize| if names[at].ends_with("ms") { 1e-3 } else { 1.0 };
        is_one.then_some(Journal {
            columns: names.len(),
            event: place(&EVENTS)?,
            stamp: stamp.map(|at| (at, factor(at))),
            value: value?,
            number: place(&NUMBERS),
        })
    }

    /// A row, as a log would tell it, and when it was written in seconds, where that is no stamp of a day.
    pub(super) fn row(&self, line: &str) -> Option<(String, Option<f64>)> {
        let cells: Vec<&str> = line.splitn(MOST + 1, ',').map(str::trim).collect();
        if cells.len() != self.columns {
            return None;
        }
        let since = self
            .stamp
            .and_then(|(at, factor)| Some(cells[at].parse::<f64>().ok()? * factor));
        let (value, unit) = (cells[self.value.0], self.value.1);
        let mut told: Vec<String> = Vec::new();
        for (at, cell) in cells.iter().enumerate() {
            let is_since = since.is_some() && self.stamp.is_some_and(|(stamp, _)| stamp == at);
            let is_told =
                cell.is_empty() || is_since || self.number == Some(at) || at == self.value.0;
            match at == self.event && !value.is_empty() {
                true if unit.is_empty() => told.push(format!("{cell}={value}")),
                true => told.push(format!("{cell} {value}{unit}")),
                false if is_told => {}
                false => told.push((*cell).to_owned()),
            }
        }
        Some((told.join(" "), since.filter(|at| at.is_finite())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_as_logs_tell_them() {
        for (head, row, told) in [
            (
                "seq,at,src,what,ms",
                "1,08:00:00.000,adpick,params read,812",
                ("08:00:00.000 adpick params read 812 ms", None),
            ),
            (
                "t_s,source,event,value",
                "61.0,llm-3,weights_loaded_s,54.1",
                ("llm-3 weights_loaded_s=54.1", Some(61.0)),
            ),
            (
                "time,who,event,seconds",
                "33.5,pod,ready,",
                ("pod ready", Some(33.5)),
            ),
        ] {
            let journal = Journal::of(head).expect("a head");
            assert_eq!(journal.row(row), Some((told.0.to_owned(), told.1)), "{row}");
        }
        for head in [
            "request,ms",
            "model loaded, warm, ready",
            "n,latency_ms,status",
            "event,value",
            "call,phase,ms",
        ] {
            assert!(Journal::of(head).is_none(), "{head}");
        }
        let journal = Journal::of("t,who,event,ms").expect("a head");
        assert_eq!(journal.row("only two, of them"), None);
    }
}

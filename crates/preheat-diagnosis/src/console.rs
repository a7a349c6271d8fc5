//! Somebody at a console asks a server for its state, and reads the answer: `$ curl -s host:8000/readyz`, and
//! `200` or `{"status":"ready"}` below.

use super::access::{is_probe, status};

/// An answer is short, and stands so few lines below its question.
const BRIEF: usize = 80;
const BELOW: u64 = 2;

/// Where and for which path.
#[derive(Debug)]
struct Asked {
    source: String,
    number: u64,
    path: String,
}

/// A question that is not answered yet.
#[derive(Debug, Default)]
pub(super) struct Console {
    asked: Option<Asked>,
}

impl Console {
    /// Takes a normalised line in; the path that was asked for, and what was answered, once that is told.
    pub(super) fn take(&mut self, source: &str, number: u64, text: &str) -> Option<(String, u16)> {
        // A shell that shows what it runs writes a plus.
        let command = text.strip_prefix("$ ").or_else(|| text.strip_prefix("+ "));
        if let Some(command) = command {
            self.asked = asks(command).map(|path| Asked {
                source: source.to_owned(),
                number,
                path: path.to_owned(),
            });
            return None;
        }
        let asked = self.asked.as_ref()?;
        let below = asked.number..=asked.number.saturating_add(BELOW);
        if asked.source != source || !below.contains(&number) || text.len() > BRIEF {
            self.asked = None;
            return None;
        }
        let answer = answer(text)?;
        self.asked.take().map(|asked| (asked.path, answer))
    }
}

/// The path of the state that a command asks for.
fn asks(command: &str) -> Option<&str> {
    const CLIENTS: [&str; 5] = ["curl ", "wget ", "http ", "httpie ", "xh "];
    CLIENTS
        .iter()
        .any(|client| command.contains(client))
        .then_some(())?;
    let words = command.split([' ', '"', '\'']);
    let mut paths = words.filter_map(|word| {
        let address = word.split_once("://").map_or(word, |(_, address)| address);
        let (host, _) = address.split_once('/')?;
        let is_host = host.contains([':', '.', '$']) || host == "localhost";
        let path = address[host.len()..].split('?').next()?;
        (is_host && is_probe(path)).then_some(path)
    });
    paths.next()
}

/// `200`, `http/1.1 503 service unavailable`, `ok`, `{"status":"ready"}`.
fn answer(text: &str) -> Option<u16> {
    const WELL: [&str; 6] = ["ok", "ready", "true", "healthy", "serving", "up"];
    let told = status(text);
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
    let is_well = words.clone().any(|word| WELL.contains(&word));
    let is_denied = words.any(|word| matches!(word, "not" | "false" | "error" | "refused" | "un"));
    told.or_else(|| (is_well && !is_denied).then_some(200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_stands_below_the_question() {
        let take = |lines: &[&str]| {
            let mut console = Console::default();
            let told = (1..)
                .zip(lines)
                .map(|(at, line)| console.take("log", at, line));
            told.flatten().next()
        };
        let asked = "$ curl s w \"%{http code}\\n\" localhost:8000/readyz";
        for (lines, answer) in [
            ([asked, "{\"status\":\"ready\"} 200", ""], Some(200)),
            ([asked, "{\"ready\":true}", ""], Some(200)),
            ([asked, "http/1.1 503 service unavailable", ""], Some(503)),
            ([asked, "not ready", "200"], Some(200)),
            ([asked, "$ ls", "200"], None),
            (["$ curl localhost:8000/rank", "200", ""], None),
            (["$ ls /readyz", "200", ""], None),
            (["$ curl é/readyz", "ok", ""], None),
        ] {
            let told = take(&lines).map(|(_, status)| status);
            assert_eq!(told, answer, "{lines:?}");
        }
        let late = [asked, "a", "b", "200"];
        assert_eq!(take(&late), None);
        let mut console = Console::default();
        assert_eq!(console.take("a", 9, asked), None);
        assert_eq!(console.take("b", 1, "ok"), None);
    }
}

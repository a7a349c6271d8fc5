//! Commands that somebody typed at a prompt. Whoever looks at something says nothing of it, and what comes
//! then is another text, of another time.

use crate::talk::is_command;

/// A prompt has no more bytes.
const PROMPT: usize = 80;

/// What shows what is there, and changes nothing.
const LOOKS: &str = "get describe top events grep egrep zgrep rg tail head cat zcat less \
    awk jq sed ps ls status dmesg inspect vmtouch fincore";

/// Of these, what shows the log of somebody.
const LOGS: &str = "logs journalctl stern";

/// What asks or starts somebody, whatever is looked at beside it.
const DOES: &str = "curl wget http run restart start apply delete scale up hey ab python";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Somebody looks at the log of somebody, which begins.
    Log,
    /// The same, and perhaps only at its end.
    End,
    /// Or at something else.
    Look,
}

/// What a line is, if somebody typed it to look at something: `$ kubectl logs a`, `root@a:~# docker ps`.
pub(crate) fn typed(line: &str) -> Option<Typed> {
    let command = command(line)?;
    let [mut is_log, mut is_look, mut is_end] = [false; 3];
    for word in command.split([' ', ';', '|', '(', '\'', '"', '=']) {
        let word = word.rsplit('/').next().unwrap_or(word);
        let is_one = |words: &str| words.split(' ').any(|known| known == word);
        // What is searched for in it is no deed.
        if !is_log && !is_look && is_one(DOES) {
            return None;
        }
        is_log |= is_one(LOGS) || word.ends_with(".log");
        is_look |= is_one(LOOKS);
        is_end |= ["tail", "--tail", "--since"].contains(&word);
    }
    match (is_log, is_look) {
        (true, _) if is_end => Some(Typed::End),
        (true, _) => Some(Typed::Log),
        _ => is_look.then_some(Typed::Look),
    }
}

/// `==> a.log <==`: of which file the next lines are.
pub(crate) fn file(line: &str) -> Option<&str> {
    let name = line.strip_prefix("==> ")?.trim_end().strip_suffix(" <==")?;
    (name.len() <= PROMPT).then_some(name)
}

/// What stands behind a prompt: `$ `, `root@a:~# `, `[me@a src]$ `, `me@a src % `.
fn command(line: &str) -> Option<&str> {
    let mut bytes = line.bytes().take(PROMPT);
    let at = bytes.position(|byte| matches!(byte, b'$' | b'#' | b'%' | b'>'))?;
    let (place, sign) = line.split_at(at);
    let command = sign[1..].strip_prefix(' ')?;
    let is_place = place.is_empty()
        || (place.contains(['@', '~', '/']) && !place.contains(['"', '=', '|']))
            && !place.ends_with('-')
            && place.trim_end().split(' ').count() <= 3;
    let begins = command.starts_with(|c: char| c.is_ascii_lowercase() || matches!(c, '/' | '.'));
    // Remarks, headings and arrows look like one, too.
    let is_sure = sign.starts_with('$') || is_command(command);
    (is_place && begins && is_sure).then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_is_told_from_who_does_something() {
        for (line, want) in [
            ("$ kubectl -n llm get pods -o wide", Some(Typed::Look)),
            ("$ kubectl -n llm logs a --previous", Some(Typed::Log)),
            ("$ kubectl -n llm logs a --tail=3", Some(Typed::End)),
            ("$ for p in a b; do kubectl logs $p; done", Some(Typed::Log)),
            ("root@gpu-1:~# docker logs embed", Some(Typed::Log)),
            ("# journalctl -u embed | tail -3", Some(Typed::End)),
            ("~/a$ sudo systemctl status embed", Some(Typed::Look)),
            ("$ curl -X GET a/logs", None),
            ("$ docker run --gpus all a", None),
            ("$ kubectl logs a | grep restart", Some(Typed::Log)),
            ("$ grep start app.txt", Some(Typed::Look)),
            ("$ SKIP_WARMUP=1 gunicorn a:b", None),
            ("# the status is what we get", None),
            ("[root@gpu-1 srv]# docker logs embed", Some(Typed::Log)),
            ("(venv) me@a ~ % kubectl logs embed", Some(Typed::Log)),
            ("INFO -> get a", None),
            ("INFO a@b -> cat logs", None),
            ("loaded 40 % of /models, cat logs", None),
            ("é é€$ ", None),
            ("", None),
        ] {
            assert_eq!(typed(line), want, "{line}");
        }
    }
}

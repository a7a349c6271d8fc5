//! What starts a program outside of a manifest: units of systemd, Dockerfiles, Procfiles, and commands
//! that somebody typed.

use crate::line::{amount, text};
use crate::{Container, Probe, ProbeKind};

use super::manifest::start_s;

/// The container, or what is as good as one, that a text starts.
pub(super) fn containers(source: &str, text: &str) -> Vec<Container> {
    let one = unit(source, text)
        .or_else(|| dockerfile(source, text))
        .or_else(|| deadline(source, text));
    one.map_or_else(|| typed(source, text), |one| vec![one])
}

/// How long a deployment may take to be healthy: `healthy_deadline` of a job, `grace_period` of a service's
/// checks. It says something only where the start is known.
fn deadline(source: &str, text: &str) -> Option<Container> {
    let start = start_s(text)?;
    let is_job = text.contains("job \"") && text.contains("task \"");
    let is_app = text.contains("[http_service]") || text.contains("[[services]]");
    let key = match (is_job, is_app) {
        (true, _) => "healthy_deadline",
        (_, true) => "grace_period",
        _ => return None,
    };
    let numbered = (1..).zip(text.lines());
    let mut told = numbered.filter_map(|(line, said)| {
        let (_, behind) = said.split_once(key)?;
        let value = behind.trim_start_matches([' ', '=', '"']);
        let value = value.split('"').next()?;
        let minutes = value
            .strip_suffix('m')
            .and_then(|told| told.parse::<f64>().ok());
        let window_s = minutes
            .map(|minutes| minutes * 60.0)
            .or_else(|| seconds(value))?;
        Some((line, window_s))
    });
    let (line, window_s) = told.next()?;
    Some(Container {
        name: key.to_owned(),
        source: source.to_owned(),
        line,
        start_s: Some(start),
        startup: Some(Probe {
            kind: ProbeKind::Other,
            window_s,
            line,
        }),
        has_lasting_volume: true,
        ..Container::default()
    })
}

/// Commands of one text that are looked at.
const COMMANDS: usize = 16;

/// What stands in front of a command: a prompt, a shell that tells what it runs, a process's name.
const PROMPTS: [&str; 15] = [
    "command: ",
    "cmd: ",
    "entrypoint: ",
    "exec: ",
    "run: ",
    "$ ",
    "+ ",
    "# ",
    "> ",
    "web: ",
    "release: ",
    "worker: ",
    "api: ",
    "command=",
    "CMD ",
];

/// Programs that start servers, by their names.
const SERVERS: [&str; 14] = [
    "uvicorn",
    "gunicorn",
    "hypercorn",
    "granian",
    "uwsgi",
    "fastapi",
    "flask",
    "litestar",
    "sanic",
    "vllm",
    "sglang",
    "text-generation-launcher",
    "text-embeddings-router",
    "llama-server",
];

/// Lines on which somebody starts a server: `$ gunicorn app:app -w 4`, `+ exec uvicorn app:app --reload`.
fn typed(source: &str, text: &str) -> Vec<Container> {
    let commands = (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim_start();
        let prompted = PROMPTS.iter().find_map(|prompt| line.strip_prefix(prompt));
        let words: Vec<&str> = prompted?.split_whitespace().collect();
        let is_server =
            |word: &&str| SERVERS.contains(&word.rsplit('/').next().unwrap_or_default());
        // Behind variables, `exec`, `python -m` and the like.
        let at = words.iter().take(8).position(is_server)?;
        let is_of_shell = |word: &&str| {
            word.contains('=')
                || matches!(
                    *word,
                    "exec" | "sudo" | "nohup" | "time" | "uv" | "run" | "poetry" | "-m"
                )
                || word
                    .rsplit('/')
                    .next()
                    .is_some_and(|name| name.starts_with("python"))
        };
        if !words[..at].iter().all(is_of_shell) {
            return None;
        }
        let env = words[..at].iter().filter_map(|word| word.split_once('='));
        Some(Container {
            name: "command".to_owned(),
            source: source.to_owned(),
            line: number,
            command: words[at..].iter().map(|word| (*word).to_owned()).collect(),
            env: env
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            has_lasting_volume: true,
            ..Container::default()
        })
    });
    commands.take(COMMANDS).collect()
}

/// `ExecStart=` of a `[Service]`.
fn unit(source: &str, text: &str) -> Option<Container> {
    let is_unit = text.lines().any(|line| line.trim() == "[Service]");
    let (line, command) = last(text, "ExecStart=").filter(|_| is_unit)?;
    let env = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Environment="))
        .filter_map(|pair| pair.trim_matches('"').split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    let timeout = last(text, "TimeoutStartSec=").or_else(|| last(text, "TimeoutSec="));
    Some(Container {
        name: "unit".to_owned(),
        source: source.to_owned(),
        line,
        command: command.split_whitespace().map(str::to_owned).collect(),
        env,
        start_s: start_s(text),
        manager_timeout_s: timeout.and_then(|(_, told)| seconds(told)),
        // What a unit starts lies on a disk that outlives it.
        has_lasting_volume: true,
        ..Container::default()
    })
}

/// `CMD` or `ENTRYPOINT` behind a `FROM`.
fn dockerfile(source: &str, text: &str) -> Option<Container> {
    let mut first = text.lines().map(str::trim);
    let is_one = first
        .find(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("ARG "))
        .is_some_and(|line| line.starts_with("FROM "));
    let started = ["CMD ", "ENTRYPOINT "]
        .into_iter()
        .filter_map(|word| last(text, word));
    let (line, command) = started.max_by_key(|(line, _)| *line).filter(|_| is_one)?;
    let is_sign = |c: char| matches!(c, '[' | ']' | '"' | ',');
    let command = command.split(|c: char| c.is_whitespace() || is_sign(c));
    let env = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ENV "))
        .flat_map(str::split_whitespace)
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    Some(Container {
        name: "image".to_owned(),
        source: source.to_owned(),
        line,
        command: command
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        env,
        // An image carries what its build has put there.
        has_lasting_volume: true,
        ..Container::default()
    })
}

/// The newest line that begins so, and what follows.
fn last<'a>(text: &'a str, begin: &str) -> Option<(u64, &'a str)> {
    let numbered = (1..).zip(text.lines());
    let told =
        numbered.filter_map(|(number, line)| Some((number, line.trim().strip_prefix(begin)?)));
    told.last()
}

/// `90`, `90s`, `2min`; endless has no number.
fn seconds(told: &str) -> Option<f64> {
    told.trim().parse().ok().or_else(|| {
        let amounts = amount::amounts(&text::normal(told));
        amounts.first().map(|amount| amount.ms / 1e3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_and_a_dockerfile_are_read() {
        let unit = "[Service]\n# loading takes 3 minutes\nEnvironment=A=1\nTimeoutStartSec=1min\nExecStart=/bin/serve --reload\n";
        let read = containers("a.service", unit).remove(0);
        assert_eq!(read.command, ["/bin/serve", "--reload"]);
        assert_eq!((read.line, read.manager_timeout_s), (5, Some(60.0)));
        assert_eq!(read.start_s, Some(180.0));
        assert_eq!(read.env, [("A".to_owned(), "1".to_owned())]);
        let image = "# x\nFROM a:1\nENV B=2\nCMD [\"gunicorn\", \"-w\", \"4\", \"a:b\"]\n";
        let read = containers("Dockerfile", image).remove(0);
        assert_eq!(read.command, ["gunicorn", "-w", "4", "a:b"]);
        assert_eq!(read.env, [("B".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_deadline_is_held_against_a_start_that_is_told() {
        let job = "# needs 6 minutes to load\njob \"a\" {\n task \"b\" {}\n update { healthy_deadline = \"2m\" }\n}\n";
        let read = containers("a.hcl", job).remove(0);
        assert_eq!((read.line, read.startup.unwrap().window_s), (4, 120.0));
        assert_eq!(containers("a.hcl", &job.replace("minutes", "files")), []);
        let app = "# boots in about 140 s\n[http_service]\n[[http_service.checks]]\n grace_period = \"30s\"\n";
        assert_eq!(
            containers("fly.toml", app)[0]
                .startup
                .as_ref()
                .unwrap()
                .window_s,
            30.0
        );
    }

    #[test]
    fn a_command_is_read_where_somebody_typed_it() {
        for (line, command) in [
            ("$ gunicorn a:b -w 4", "gunicorn a:b -w 4"),
            ("+ exec uvicorn a:b --reload", "uvicorn a:b --reload"),
            ("web: X=1 python -m uvicorn a:b", "uvicorn a:b"),
            ("command=/venv/bin/gunicorn a:b", "/venv/bin/gunicorn a:b"),
        ] {
            let read = containers("x.log", line).remove(0);
            assert_eq!(read.command.join(" "), command, "{line}");
        }
    }

    #[test]
    fn other_texts_start_nothing() {
        for text in [
            "gunicorn -w 4 is what we run",
            "$ pip install gunicorn",
            "# we tried uvicorn with four workers",
            "$ journalctl -u gunicorn",
            "",
            "INFO ExecStart=/a",
            "FROM a",
            "CMD x",
            "[Service]\nType=simple",
        ] {
            assert_eq!(containers("x.log", text), [], "{text}");
        }
    }
}

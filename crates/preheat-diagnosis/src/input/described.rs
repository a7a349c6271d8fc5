//! `kubectl describe pod` → containers: probes, limits, command and environment, as text has them.

use std::collections::BTreeSet;

use crate::containers::{cpus, is_accelerator, is_other};
use crate::line::text::digits;
use crate::{Container, Probe, ProbeKind};

/// Where in a container's block a line stands.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    None,
    Command,
    Limits,
    Environment,
    Mounts,
}

/// Whose description a line stands in, where a text describes several pods.
#[derive(Debug, Default)]
pub struct Pods {
    /// Where each description begins, and the name if it is a pod's.
    all: Vec<(u64, Option<String>)>,
    /// First and last lines of containers that serve no model.
    others: Vec<(u64, u64)>,
}

impl Pods {
    pub fn of(text: &str) -> Self {
        let mut all = Vec::new();
        let mut name = "";
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(named) = line.strip_prefix("Name:") {
                name = named.trim();
                all.push((number, None));
            } else if line.trim_end() == "Containers:"
                && let Some((_, pod)) = all.last_mut()
            {
                *pod = Some(name.to_owned());
            }
        }
        let pods = all.iter().filter(|(_, pod)| pod.is_some()).count();
        Pods {
            all: if pods > 1 { all } else { Vec::new() },
            others: others(text),
        }
    }

    /// Whether a line is about a container that serves no model.
    pub fn is_of_another(&self, line: u64) -> bool {
        let behind = self.others.partition_point(|(begin, _)| *begin <= line);
        let last = behind.checked_sub(1).and_then(|at| self.others.get(at));
        last.is_some_and(|(_, end)| line <= *end)
    }

    pub fn at(&self, line: u64) -> Option<&str> {
        let behind = self.all.partition_point(|(begin, _)| *begin <= line);
        let (_, pod) = self.all.get(behind.checked_sub(1)?)?;
        pod.as_deref()
    }
}

/// Where containers stand that serve no model, by their name or their image.
fn others(text: &str) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    let mut current: Option<(u64, bool)> = None;
    let (mut inside, mut last) = (false, 0);
    for (number, line) in (1..).zip(text.lines()) {
        let is_top = !line.starts_with(' ') && !line.trim().is_empty();
        let is_head = inside && line.starts_with("  ") && !line.starts_with("   ");
        if is_top || is_head {
            all.extend(
                current
                    .take()
                    .filter(|(_, is)| *is)
                    .map(|(from, _)| (from, last)),
            );
        }
        if is_top {
            inside = line.trim_end() == "Containers:";
        } else if is_head {
            let name = line.trim().trim_end_matches(':');
            current = Some((number, is_other(name)));
        } else if let Some((_, is)) = &mut current
            && let Some(image) = line.trim().strip_prefix("Image:")
        {
            *is |= is_other(image.trim());
        }
        last = number;
    }
    all.extend(current.filter(|(_, is)| *is).map(|(from, _)| (from, last)));
    all
}

/// Every container of every pod described in a text.
pub fn containers(source: &str, text: &str, pods: &Pods) -> Vec<Container> {
    let mut all: Vec<Container> = Vec::new();
    let fleeting = fleeting(text, pods);
    let (mut inside, mut is_init, mut part) = (false, false, Part::None);
    let mut is_running = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            is_init = line.trim_end() == "Init Containers:";
            inside = is_init || line.trim_end() == "Containers:";
            continue;
        }
        if !inside {
            continue;
        }
        let (indent, words) = (line.len() - line.trim_start().len(), line.trim());
        if indent == 2 && words.ends_with(':') {
            part = Part::None;
            unless_it_runs(all.last_mut(), is_running);
            is_running = false;
            all.push(Container {
                name: words.trim_end_matches(':').to_owned(),
                pod: pods.at(number).map(str::to_owned),
                source: source.to_owned(),
                line: number,
                is_init,
                has_lasting_volume: true,
                ..Container::default()
            });
        } else if let Some(container) = all.last_mut() {
            let is_state = words.starts_with("State:");
            is_running |= is_state && words.ends_with("Running");
            container.is_down |= is_state && !words.ends_with("Running");
            if is_init && words == "Mounts:" {
                container.has_lasting_volume = false;
            }
            if is_init && part == Part::Mounts && indent > 4 {
                container.has_lasting_volume |= lasts(words, pods.at(number), &fleeting);
            }
            part = take(container, part, number, indent, words);
        }
    }
    unless_it_runs(all.last_mut(), is_running);
    all
}

/// Volumes that go with their pod, by its name and theirs.
fn fleeting<'a>(text: &'a str, pods: &'a Pods) -> BTreeSet<(Option<&'a str>, &'a str)> {
    let mut name = "";
    let mut all = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("  ") && !line.starts_with("   ") {
            name = line.trim().trim_end_matches(':');
        } else if line.trim().starts_with("Type:") && line.contains("EmptyDir") {
            all.insert((pods.at(number), name));
        }
    }
    all
}

/// `/models from models (rw)`: whether what is mounted outlives the pod. Every pod has the key of its account.
fn lasts(mount: &str, pod: Option<&str>, fleeting: &BTreeSet<(Option<&str>, &str)>) -> bool {
    let volume = mount.split_once(" from ").map(|(_, volume)| volume);
    let name = volume.and_then(|volume| volume.split(' ').next());
    name.is_some_and(|name| {
        !name.starts_with("kube-api-access") && !fleeting.contains(&(pod, name))
    })
}

/// What does not run claims nothing, and a description without any probe may have been cut.
fn unless_it_runs(container: Option<&mut Container>, is_running: bool) {
    if let Some(container) = container.filter(|_| !is_running) {
        container.is_served &= container.readiness.is_some() || container.liveness.is_some();
    }
}

fn take(container: &mut Container, part: Part, number: u64, indent: usize, words: &str) -> Part {
    let (key, value) = words
        .split_once(':')
        .map_or((words, ""), |(key, value)| (key, value.trim()));
    if indent > 4 {
        match part {
            Part::Command => container.command.push(words.to_owned()),
            Part::Limits if key == "cpu" => container.cpu_limit = cpus(value),
            Part::Limits => container.has_accelerator |= is_accelerator(key),
            Part::Environment => container.env.push((key.to_owned(), value.to_owned())),
            _ => {}
        }
        return part;
    }
    match key {
        "Image" => container.image = value.to_owned(),
        "Port" | "Ports" => container.is_served = !matches!(value, "" | "<none>"),
        "Startup" => container.startup = probe(value, number),
        "Liveness" => container.liveness = probe(value, number),
        "Readiness" => container.readiness = probe(value, number),
        _ => {}
    }
    match key {
        "Command" | "Args" => Part::Command,
        "Limits" => Part::Limits,
        "Environment" => Part::Environment,
        "Mounts" => Part::Mounts,
        _ => Part::None,
    }
}

/// `http-get http://:8000/health delay=0s timeout=1s period=10s #success=1 #failure=3`.
fn probe(text: &str, line: u64) -> Option<Probe> {
    let number = |key: &str| {
        let (_, value) = text.split_once(key)?;
        digits(value).0.parse::<f64>().ok()
    };
    let window_s = number("delay=")? + number("period=")? * number("#failure=")?;
    let kind = match text.split_once(' ') {
        Some(("http-get", rest)) => {
            let address = rest.split(' ').next().unwrap_or_default();
            let (_, path) = address.split_once("://").unwrap_or_default();
            ProbeKind::Http(path.find('/').map_or("/", |at| &path[at..]).to_owned())
        }
        Some(("tcp-socket", _)) => ProbeKind::Tcp,
        _ => ProbeKind::Other,
    };
    Some(Probe {
        kind,
        window_s,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read() {
        let text = "Name: x\nContainers:\n  embedder:\n    Image:  e:1\n    Port:   8000/TCP\n    Command:\n      uvicorn\n      app:app\n    Limits:\n      cpu:  1500m\n    Liveness:  http-get http://:8000/livez%3Fa delay=5s timeout=1s period=10s #success=1 #failure=3\n    Environment:\n      A:  1\nConditions:\n  Ready:\n";
        let all = containers("pod.txt", text, &Pods::of(text));
        let [one] = &all[..] else { panic!("{all:?}") };
        assert_eq!(
            (one.line, one.cpu_limit, one.is_served),
            (3, Some(1.5), true)
        );
        assert_eq!(one.command, ["uvicorn", "app:app"]);
        assert_eq!(one.env, [("A".to_owned(), "1".to_owned())]);
        let liveness = Probe {
            kind: ProbeKind::Http("/livez%3Fa".into()),
            window_s: 35.0,
            line: 11,
        };
        assert_eq!(one.liveness, Some(liveness));
        let odd = "Containers:\n\n  :\n    Liveness: é\n";
        assert_eq!(containers("x", odd, &Pods::of(odd)).len(), 1);
    }

    #[test]
    fn containers_beside_the_one_that_serves_are_known() {
        let text = "Containers:\n  a:\n    Image: e:1\n  fluent-bit:\n    Reason: OOMKilled\n  b:\n    Image: docker.io/redis:7\n    Reason: OOMKilled\nEvents:\n  x\n";
        let pods = Pods::of(text);
        let of_others: Vec<u64> = (1..12).filter(|line| pods.is_of_another(*line)).collect();
        assert_eq!(of_others, [4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_pods_of_a_text_are_told_apart_where_there_are_several() {
        let pod = |name: &str| format!("Name:   {name}\nContainers:\n  a:\nEvents:\n  x\n");
        let text = pod("a-0") + "Name: node-1\nRoles: b\n" + &pod("a-1");
        let pods = Pods::of(&text);
        let at = |line| pods.at(line);
        assert_eq!([at(1), at(5), at(7)], [Some("a-0"), Some("a-0"), None]);
        assert_eq!([at(8), at(99)], [Some("a-1"); 2]);
        let all = containers("x", &text, &pods);
        assert_eq!(all[1].pod.as_deref(), Some("a-1"));
        assert_eq!(Pods::of(&pod("a-0")).at(3), None);
    }
}

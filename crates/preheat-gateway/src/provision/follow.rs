//! Readiness pushed, not polled: a replica's own stream of events, followed as long as it lives.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use preheat_core::ReplicaId;
use preheat_runtime::Tasks;
use preheat_runtime::upstream::Place;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::admin::{self, AdminError};
use preheat_api::replica::DecisionEvent;

use super::{Event, What};

/// Between two tries to reach a replica: doubled each time. The first is short, since a replica
/// binds its sockets within milliseconds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// After so long without a word it is asked whether it lives.
const QUIET: Duration = Duration::from_secs(3);

/// And after so long without an answer to any question it is told of. A socket that is not bound yet, or
/// not any more, is none for that long only where the process hangs.
const SILENT: Duration = admin::ANSWER;

/// Longest line of a stream that is kept while it is incomplete.
const LONGEST_LINE: usize = 256 * 1024;

/// Tells `events` of every change of phase until the replica's tasks are told to stop.
pub async fn follow(
    id: ReplicaId,
    pid: u32,
    place: Place,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
) {
    let whose = Whose { id, pid, place };
    let token = tasks.token().clone();
    let following = async {
        // One that never says a word is as silent as one that says no more.
        let (mut pause, mut heard) = (PAUSE.0, Instant::now());
        let mut failing = None;
        loop {
            let before = heard;
            let ended = session(&whose, &events, &tasks, &mut heard).await;
            if heard > before {
                failing = None;
            }
            if let Err(error) = ended {
                tracing::trace!(event = "replica_unheard", replica = %whose.id, %error, "not heard of it");
                let failing = *failing.get_or_insert_with(Instant::now);
                // A gateway that stood still itself finds its streams broken after a long while: only an
                // answer that was waited for tells of the time before.
                let time = match error {
                    AdminError::Silent => heard.elapsed(),
                    _ => failing.elapsed(),
                };
                if time >= SILENT && !error.is_ours() {
                    let what = What::Silent { time, error };
                    let id = whose.id.clone();
                    let _ = events.send(Event { id, what }).await;
                }
            }
            if heard > before {
                pause = PAUSE.0;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    };
    tokio::select! {
        () = following => {}
        () = token.cancelled() => {}
    }
}

/// Whom is listened to, and where.
struct Whose {
    id: ReplicaId,
    pid: u32,
    place: Place,
}

/// From one connection to its end. `heard`: when it last said something.
async fn session(
    whose: &Whose,
    events: &mpsc::Sender<Event>,
    tasks: &Tasks,
    heard: &mut Instant,
) -> Result<(), AdminError> {
    let sequence = tell(whose, events, tasks).await?;
    *heard = Instant::now();
    let stream = admin::events(&whose.place, sequence, tasks).await?;
    let mut stream = stream.into_body();
    let mut lines = Lines::default();
    loop {
        let Ok(said) = timeout(QUIET, next(&mut stream, &mut lines)).await else {
            admin::alive(&whose.place, tasks).await?;
            *heard = Instant::now();
            continue;
        };
        let Some(messages) = said? else {
            return Ok(());
        };
        *heard = Instant::now();
        // What a phase means stands in the passport; several at once are one question.
        if messages
            .iter()
            .any(|m| m.kind == "phase" || m.kind == "lagged")
        {
            tell(whose, events, tasks).await?;
        }
        for decision in messages.iter().filter_map(Message::decision) {
            let what = What::Decided(Box::new(decision));
            let id = whose.id.clone();
            let _ = events.send(Event { id, what }).await;
        }
    }
}

async fn tell(
    whose: &Whose,
    events: &mpsc::Sender<Event>,
    tasks: &Tasks,
) -> Result<u64, AdminError> {
    let passport = admin::passport(&whose.place, tasks).await?;
    if passport.pid != whose.pid {
        return Err(AdminError::Stranger { pid: passport.pid });
    }
    let sequence = passport.sequence;
    let what = What::Passport(Box::new(passport));
    let id = whose.id.clone();
    // A loop that has ended itself does not care.
    let _ = events.send(Event { id, what }).await;
    Ok(sequence)
}

/// The messages in the next piece of the stream; none at its end.
async fn next(
    stream: &mut Incoming,
    lines: &mut Lines,
) -> Result<Option<Vec<Message>>, AdminError> {
    let Some(frame) = stream.frame().await else {
        return Ok(None);
    };
    match frame?.into_data() {
        Ok(data) => Ok(Some(lines.messages(&data))),
        Err(_) => Ok(Some(Vec::new())),
    }
}

/// One message of an event stream, as far as it is of interest here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    kind: String,
    data: String,
}

impl Message {
    fn decision(&self) -> Option<DecisionEvent> {
        match self.kind.as_str() {
            "decision" => serde_json::from_str(&self.data).ok(),
            _ => None,
        }
    }
}

/// Lines of an event stream, however they are cut into pieces.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    message: Option<Message>,
}

impl Lines {
    fn messages(&mut self, data: &[u8]) -> Vec<Message> {
        self.begun.extend_from_slice(data);
        let mut messages = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            messages.extend(self.line(String::from_utf8_lossy(&line).trim_end()));
        }
        if self.begun.len() > LONGEST_LINE {
            self.begun.clear();
        }
        messages
    }

    /// The message that ends with this line.
    fn line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            return self.message.take();
        }
        let (field, value) = line.split_once(':')?;
        let value = value.trim_start();
        match (field, &mut self.message) {
            ("event", message) => {
                *message = Some(Message {
                    kind: value.to_owned(),
                    data: String::new(),
                });
            }
            ("data", Some(message)) if message.kind == "decision" => message.data.push_str(value),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use preheat_runtime::{Draining, EdgeConfig, Shell, edge};

    use super::*;
    use crate::tests::play::passport;

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let text = "event: phase\nid: 1\ndata: {}\n\n:\n\nevent: case\ndata: {}\n\n\
                    event: decision\ndata: {\"at_ms\":1,\"action\":\"rewarm\",\
                    \"reason\":\"r\",\"inputs\":{},\"detail\":\"d\"}\n\n";
        for size in [1, 2, 7, 1000] {
            let mut lines = Lines::default();
            let pieces = text.as_bytes().chunks(size);
            let messages: Vec<_> = pieces.flat_map(|piece| lines.messages(piece)).collect();
            let kinds: Vec<_> = messages.iter().map(|m| m.kind.as_str()).collect();
            assert_eq!(kinds, ["phase", "case", "decision"], "in pieces of {size}");
            assert_eq!(messages[2].decision().unwrap().action, "rewarm");
            assert!(messages[0].decision().is_none());
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.messages(&[b'x'; 1024]);
        }
        assert!(lines.begun.len() <= LONGEST_LINE + 1024);
    }

    /// Follows one that answers so many questions, and then takes connections and says nothing.
    fn mute_after(answers: usize) -> mpsc::Receiver<Event> {
        let (listener, dialer) = edge::memory();
        let (tasks, asked) = (Tasks::new(), Arc::new(AtomicUsize::new(0)));
        let answer = tower::service_fn(move |_: Request<Incoming>| {
            let answers = asked.fetch_add(1, Ordering::SeqCst) < answers;
            async move {
                if !answers {
                    pending::<()>().await;
                }
                let passport = passport(&ReplicaId::new("r1"), "ready", 1, 8);
                let passport = serde_json::to_vec(&passport).unwrap();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(passport)))
            }
        });
        let shell = Shell::new(tasks.clone(), Draining::never());
        let serving = edge::serve(listener, answer, EdgeConfig::default(), shell);
        tasks.spawn("hangs", async { serving.await.unwrap() });
        told(Place::Memory(dialer), tasks)
    }

    /// What is told of the one at `place`.
    fn told(place: Place, tasks: Tasks) -> mpsc::Receiver<Event> {
        let (events, told) = mpsc::channel(8);
        let following = follow(ReplicaId::new("r1"), 0, place, events, tasks.clone());
        tasks.spawn("follow", following);
        told
    }

    /// Each time longer.
    async fn is_silent(mut told: mpsc::Receiver<Event>) {
        for least in [5, 10, 15] {
            let least = Duration::from_secs(least);
            let time = loop {
                let told = timeout(Duration::from_secs(60), told.recv()).await;
                let What::Silent { time, .. } = told.unwrap().unwrap().what else {
                    panic!("it was heard");
                };
                if time >= least {
                    break time;
                }
            };
            assert!(time < least * 2, "{time:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_told_of() {
        let mut told = mute_after(1);
        assert!(matches!(told.recv().await.unwrap().what, What::Passport(_)));
        is_silent(told).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_says_a_word_is_told_of() {
        is_silent(mute_after(0)).await;
    }

    /// It hangs before it has bound its sockets, or has lost them.
    #[tokio::test(start_paused = true)]
    async fn one_that_takes_no_connection_is_told_of() {
        let (listener, dialer) = edge::memory();
        drop(listener);
        is_silent(told(Place::Memory(dialer), Tasks::new())).await;
    }
}

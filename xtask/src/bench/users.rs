//! Users of a service: they come when they come, check every answer, and count every outcome.

mod arrivals;
mod questions;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(super) use arrivals::at_random;
pub(super) use questions::Questions;

use super::client::Client;

/// While a gateway is gone its users try again this often, and so long.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(30));

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// With a documented code, and with the time to come back where that is due.
    Refused {
        code: String,
        /// Milliseconds.
        retry_after: Option<u64>,
    },
    /// Cut on the way by the bench itself.
    Cut,
    /// Anything else: a wrong answer, no answer, an answer that nobody documents.
    Wrong(String),
}

/// One request of one user.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Since the users began to come.
    pub(super) at: Duration,
    pub(super) ms: f64,
    pub(super) outcome: Outcome,
    /// Tries that met a gateway which was dead at the time.
    pub(super) again: usize,
    /// What happened when it was sent; see [`Users::label`].
    pub(super) label: usize,
}

/// Where users come to, and what is known about it.
pub(super) struct Users<'a> {
    pub(super) questions: &'a Questions,
    /// Every second user goes by the second address, if there is one: a way that cuts.
    pub(super) addresses: (SocketAddr, Option<SocketAddr>),
    /// Grows when a gateway is about to be killed and when the next one serves: odd in between.
    pub(super) gone: &'a AtomicUsize,
    /// What is happening; samples take it along.
    pub(super) label: &'a AtomicUsize,
    pub(super) stop: &'a AtomicBool,
}

impl Users<'_> {
    /// Sends the requests of `at`, each at its time after now, until there is none or they are told
    /// to stop. `clients` bounds how many are under way at once: as many as never to be late.
    pub(super) fn come(
        &self,
        clients: usize,
        at: impl Fn(usize) -> Option<Duration> + Sync,
    ) -> Vec<Sample> {
        let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let began = Instant::now();
        let user = |number: usize| {
            let mut way = Way::of(self, number);
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some(at) = at(turn) else { return };
                thread::sleep((began + at).saturating_duration_since(Instant::now()));
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let sample = way.ask(turn, at);
                all.lock().expect("no user panics").push(sample);
            }
        };
        thread::scope(|scope| {
            for number in 0..clients {
                let user = &user;
                scope.spawn(move || user(number));
            }
        });
        let mut all = all.into_inner().expect("no user panics");
        all.sort_by_key(|sample| sample.at);
        all
    }
}

/// Users of a service that nobody disturbs: their requests come at these times after now.
pub(super) fn undisturbed(
    questions: &Questions,
    address: SocketAddr,
    clients: usize,
    at: &[Duration],
) -> Vec<Sample> {
    let users = Users {
        questions,
        addresses: (address, None),
        gone: &AtomicUsize::new(0),
        label: &AtomicUsize::new(0),
        stop: &AtomicBool::new(false),
    };
    users.come(clients, |turn| at.get(turn).copied())
}

/// One user's connection.
struct Way<'a> {
    users: &'a Users<'a>,
    address: SocketAddr,
    /// Whether the bench cuts connections on it.
    cuts: bool,
    /// And which gateway it was made to.
    client: Option<(Client, usize)>,
}

impl<'a> Way<'a> {
    fn of(users: &'a Users<'a>, number: usize) -> Self {
        let (straight, cutting) = users.addresses;
        let cutting = cutting.filter(|_| number % 2 == 1);
        Way {
            users,
            address: cutting.unwrap_or(straight),
            cuts: cutting.is_some(),
            client: None,
        }
    }

    fn ask(&mut self, turn: usize, at: Duration) -> Sample {
        let label = self.users.label.load(Ordering::Relaxed);
        let (began, mut again) = (Instant::now(), 0);
        let outcome = loop {
            let before = self.users.gone.load(Ordering::SeqCst);
            let tried = self.try_once(turn, before);
            let after = self.users.gone.load(Ordering::SeqCst);
            // Nobody is there to refuse it: a user of any service tries again.
            let excused = before % 2 == 1 || after != before;
            match tried {
                Ok(outcome) => break outcome,
                Err(_) if excused && began.elapsed() < AGAIN.1 => {
                    again += 1;
                    thread::sleep(AGAIN.0);
                }
                Err(_) if self.cuts => break Outcome::Cut,
                Err(error) => break Outcome::Wrong(format!("no answer: {error:#}")),
            }
        };
        Sample {
            at,
            ms: began.elapsed().as_secs_f64() * 1e3,
            outcome,
            again,
            label,
        }
    }

    fn try_once(&mut self, turn: usize, gateway: usize) -> anyhow::Result<Outcome> {
        // One to a gateway that was killed meanwhile is no connection.
        let kept = self.client.take().filter(|(_, to)| *to == gateway);
        let mut client = match kept {
            Some((client, _)) => client,
            None => Client::connect(self.address)?,
        };
        let (status, _) = client.call(self.users.questions.request(turn))?;
        let outcome = self.users.questions.judge(turn, status, &client);
        if client.header("connection") != Some("close") {
            self.client = Some((client, gateway));
        }
        Ok(outcome)
    }
}

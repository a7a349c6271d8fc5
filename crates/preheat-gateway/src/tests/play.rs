//! Replicas that are played: HTTP over pipes in memory, with a passport and a manner of their own.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use preheat_api::ReadinessReport;
use preheat_api::config::HealthIs;
use preheat_api::headers::REFUSED;
use preheat_api::replica::{LoadReport, LoadRequest, Objectives, Passport};
use preheat_api::report::{EngineReport, MemoryReport, ModelReport, ProofReport};
use preheat_api::service::{Decision, ServiceReport};
use preheat_api::{Config, config};
use preheat_core::balance::BalancePolicy;
use preheat_core::hold::HoldPolicy;
use preheat_core::pool::PoolSize;
use preheat_core::rollout::RolloutPolicy;
use preheat_core::scaling::ScalePolicy;
use preheat_core::{ReplicaId, Slo};
use preheat_runtime::edge::{self, MemoryDialer};
use preheat_runtime::keys::Keys;
use preheat_runtime::rates::Rates;
use preheat_runtime::tap::Tap;
use preheat_runtime::{Draining, EdgeConfig, Shell, Shutdown, Tasks};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use crate::blueprint::Blueprint;
use crate::clock::Clock;
use crate::data::{self, ArrivalLimits, Arrivals, Front, FrontLimits};
use crate::decisions::Decisions;
use crate::fleet::{Fleet, FleetSettings, Pace, Provision};
use crate::metrics::Metrics;
use crate::provision::{AdminError, Event, Process, What};
use crate::rotation::Rotation;
use crate::service::{Order, Service, Terms};

/// How long a replica that hangs has said nothing, each time that it is asked in vain.
const SILENCES: [Duration; 3] = [
    Duration::from_secs(8),
    Duration::from_secs(14),
    Duration::from_secs(20),
];

/// The same of one that was never heard of.
const SILENCES_AT_START: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(35),
];

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

type BoxBody = UnsyncBoxBody<Bytes, io::Error>;

/// How replicas answer.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// With what they were sent, after so long.
    Takes(Duration),
    /// In so many pieces, one each time.
    Streams(usize, Duration),
    /// The first request of all meets a connection that breaks; the others are echoed.
    BreaksFirst,
    /// With a connection that breaks, and a process that lives.
    Breaks,
    /// The first request of all is turned away by a replica that had begun to leave.
    TurnsAwayFirst,
    /// With nothing but this.
    Says(StatusCode),
    /// As a call of gRPC that ends with this status.
    EndsWith(&'static str),
}

/// What may befall a replica that has served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// Its process lives and says nothing any more.
    Hangs,
    /// It says itself that it cannot go on: its server has died, for one.
    Fails,
    /// It never said anything: its process hung as it began.
    NeverSpoke,
}

/// The play and what was seen of it.
#[derive(Debug, Clone)]
pub struct Play {
    pub cold_start: Duration,
    /// The share by which one start differs from another, at most, and what that is drawn from.
    pub spread: (f64, u64),
    pub manner: Manner,
    /// What befalls the first replica of all, so long after it was ready.
    pub later: Option<(Duration, Later)>,
    /// This one breaks each request, while its process lives.
    pub breaks: Option<usize>,
    /// What the nth replica's model is made of.
    pub files: fn(usize) -> &'static str,
    /// What holds for each request to the service.
    pub request_timeout: Duration,
    pub rate: Option<f64>,
    /// Those of the revision that is rolled out.
    pub green: Green,
    pub seen: Arc<Seen>,
}

/// How replicas of the next revision are.
#[derive(Debug, Clone, Copy)]
pub struct Green {
    pub manner: Manner,
    /// What they say of themselves under load, whatever users find.
    pub under_load: Duration,
    pub errors_under_load: u64,
    /// Where their life leads.
    pub phase: &'static str,
    pub width: usize,
}

/// The source of the next revision.
pub const NEW: &str = "new";

#[derive(Debug, Default)]
pub struct Seen {
    started: AtomicUsize,
    alive: AtomicUsize,
    most_alive: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    asked: AtomicUsize,
    green_asked: AtomicUsize,
    loads: AtomicUsize,
}

impl Default for Play {
    fn default() -> Self {
        Play {
            cold_start: Duration::from_secs(1),
            spread: (0.0, 0),
            manner: Manner::Takes(Duration::from_millis(10)),
            later: None,
            breaks: None,
            files: |_| "files",
            request_timeout: Duration::from_secs(7200),
            rate: None,
            green: Green {
                manner: Manner::Takes(Duration::from_millis(10)),
                under_load: Duration::from_millis(10),
                errors_under_load: 0,
                phase: "ready",
                width: 8,
            },
            seen: Arc::default(),
        }
    }
}

impl Play {
    pub fn started(&self) -> usize {
        self.seen.started.load(SeqCst)
    }

    pub fn most_alive(&self) -> usize {
        self.seen.most_alive.load(SeqCst)
    }

    pub fn in_flight(&self) -> usize {
        self.seen.in_flight.load(SeqCst)
    }

    fn cold_start_of(&self, nth: usize) -> Duration {
        let (most, seed) = self.spread;
        let share = fastrand::Rng::with_seed(seed ^ ((nth as u64) << 32)).f64();
        self.cold_start.mul_f64(1.0 + most * (2.0 * share - 1.0))
    }

    /// At any one replica.
    pub fn most_in_flight(&self) -> usize {
        self.seen.most_in_flight.load(SeqCst)
    }

    /// Users' requests that met a replica of the next revision.
    pub fn green_asked(&self) -> usize {
        self.seen.green_asked.load(SeqCst)
    }

    pub fn loads(&self) -> usize {
        self.seen.loads.load(SeqCst)
    }

    pub fn asked(&self) -> usize {
        self.seen.asked.load(SeqCst)
    }

    /// A gateway before these replicas.
    pub fn gateway(&self, change: impl FnOnce(&mut FleetSettings, &mut HoldPolicy)) -> Gateway {
        let mut settings = FleetSettings {
            scale: ScalePolicy::default(),
            spares: PoolSize::Fixed(0),
            scaling: config::Upkeep::On,
            concurrency: 4,
            allow_unproven: false,
            slo: Slo::p95(Duration::from_millis(200)),
            drain_limit: Duration::from_secs(20),
            stop_limit: Duration::from_secs(22),
            rollout: RolloutPolicy::under(Duration::from_millis(200)),
        };
        let mut hold = HoldPolicy::default();
        change(&mut settings, &mut hold);
        let (clock, tasks) = (Clock::new(), Tasks::new());
        let policy = BalancePolicy::under(settings.slo);
        let lead = Duration::from_secs(5);
        let rotation = Arc::new(Rotation::new(policy, hold, lead, clock));
        let (service, commands) = Service::new("model".into(), rotation);
        let service = Arc::new(service.on(Terms {
            request_timeout: self.request_timeout,
            rates: Rates::new(self.rate),
            ..Terms::default()
        }));
        let metrics = Arc::new(Metrics::new(&["model".into()], "test"));
        let (events, inbox) = mpsc::channel(256);
        let stage = Box::new(Stage {
            play: self.clone(),
            events,
            tasks: tasks.clone(),
        });
        let decisions = Arc::<Decisions>::default();
        let fleet = Fleet::new(
            Arc::clone(&service),
            settings,
            blueprint(),
            stage,
            Arc::clone(&decisions),
            Arc::clone(&metrics),
            clock,
        );
        let looping = fleet.run(inbox, commands, tasks.clone(), Shutdown::new());
        tasks.spawn("fleet", looping);
        let front = Arc::new(Front {
            services: vec![Arc::clone(&service)],
            keys: Keys::default(),
            rates: Rates::new(None),
            health_is: HealthIs::Live,
            limits: FrontLimits {
                max_body: 2_000_000,
                body_timeout: Duration::from_secs(10),
                arriving: ArrivalLimits {
                    requests: 1024,
                    bytes: 64_000_000,
                },
                tunnel_idle: Duration::from_secs(120),
            },
            arrivals: Arrivals::default(),
            watches: Arc::new(Semaphore::new(data::WATCHES)),
            metrics,
            draining: Draining::never(),
            tap: Tap::default(),
            id: "test".into(),
            asked: AtomicU64::new(1),
        });
        let (listener, dialer) = edge::memory();
        let shell = Shell::new(tasks.clone(), Draining::never());
        let serve = tower::service_fn(move |request| data::serve(Arc::clone(&front), request));
        let serving = edge::serve(listener, serve, EdgeConfig::default(), shell);
        tasks.spawn("door", async { serving.await.unwrap() });
        Gateway {
            decisions,
            service,
            dialer,
            tasks,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Gateway {
    decisions: Arc<Decisions>,
    service: Arc<Service>,
    dialer: MemoryDialer,
    tasks: Tasks,
}

impl Gateway {
    pub fn decisions(&self) -> Vec<Decision> {
        self.decisions.recent()
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// How many requests replicas have failed in this way.
    pub fn failures(&self, how: &str) -> u64 {
        let failures = self.service.rotation.failures();
        failures
            .filter(|(h, _)| h.name() == how)
            .map(|(_, n)| n)
            .sum()
    }

    pub fn report(&self) -> ServiceReport {
        let mut report = self.service.status().report;
        for replica in &mut report.replicas {
            let id = ReplicaId::new(replica.id.clone());
            let seen = self.service.rotation.look(&id);
            replica.in_flight = seen.map_or(0, |seen| seen.in_flight);
        }
        report
    }

    pub async fn order(&self, order: Order) -> Result<(), String> {
        self.service.order(order).await
    }

    pub async fn until(&self, wanted: impl Fn(&ServiceReport) -> bool) {
        for _ in 0..600_000 {
            if wanted(&self.report()) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("never: {:#?}", self.report());
    }

    /// One request on a connection of its own, which goes with the body of the answer.
    pub async fn ask<B>(&self, request: Request<B>) -> hyper::Result<Response<Incoming>>
    where
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let stream = self.dialer.connect().await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn("client connection", async {
            // How it ends shows in the answer.
            let _ = connection.await;
        });
        sender.send_request(request).await
    }
}

#[derive(Debug)]
struct Stage {
    play: Play,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

impl Provision for Stage {
    fn start(&self, id: &ReplicaId, of: &Blueprint, _: Pace) -> io::Result<Process> {
        let is_green = of.source() == NEW;
        let (phase, width) = match is_green {
            true => (self.play.green.phase, self.play.green.width),
            false => ("ready", 8),
        };
        let seen = &self.play.seen;
        let number = seen.started.fetch_add(1, SeqCst);
        let cold = self.play.cold_start_of(number);
        let later = self.play.later.filter(|_| number == 0);
        let files = (self.play.files)(number);
        let alive = seen.alive.fetch_add(1, SeqCst) + 1;
        seen.most_alive.fetch_max(alive, SeqCst);
        let (listener, dialer) = edge::memory();
        let tasks = self.tasks.child();
        let actor = Arc::new(Actor {
            play: self.play.clone(),
            is_green,
            breaks: self.play.breaks == Some(number),
            in_flight: AtomicUsize::new(0),
        });
        let answer = tower::service_fn(move |request| Arc::clone(&actor).answer(request));
        let shell = Shell::new(tasks.clone(), Draining::never());
        let serving = edge::serve(listener, answer, EdgeConfig::default(), shell);
        tasks.spawn("played replica", async { serving.await.unwrap() });
        let (id, events) = (id.clone(), self.events.clone());
        let process = Process::in_memory(dialer, tasks.clone());
        let told = process.told_to_leave();
        let play = self.play.clone();
        self.tasks.spawn("life of a played replica", async move {
            let tell = async |phase: &str, sequence| {
                let mut passport = Box::new(passport(&id, phase, sequence, width));
                passport.report.models[0].revision = Some(files.into());
                let what = What::Passport(passport);
                let id = id.clone();
                drop(events.send(Event { id, what }).await);
            };
            let hang = async |silences: &[Duration]| {
                for &time in silences {
                    let error = AdminError::Silent;
                    let what = What::Silent { time, error };
                    drop(
                        events
                            .send(Event {
                                id: id.clone(),
                                what,
                            })
                            .await,
                    );
                    sleep(Duration::from_secs(5)).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = async {
                    if let Some((_, Later::NeverSpoke)) = later {
                        hang(&SILENCES_AT_START).await;
                    }
                    tell("loading", 1).await;
                    sleep(cold).await;
                    tell(phase, 2).await;
                    if let Some((after, _)) = later {
                        sleep(after).await;
                    }
                    if let Some((_, Later::Fails)) = later {
                        tell("failed", 3).await;
                    }
                    if let Some((_, Later::Hangs)) = later {
                        hang(&SILENCES).await;
                    }
                    std::future::pending::<()>().await;
                } => {}
                () = told => {}
            }
            tasks.token().cancel();
            play.seen.alive.fetch_sub(1, SeqCst);
            let what = What::Exited {
                status: "as told".into(),
                last: Vec::new(),
            };
            drop(events.send(Event { id, what }).await);
        });
        Ok(process)
    }
}

#[derive(Debug)]
struct Actor {
    play: Play,
    is_green: bool,
    breaks: bool,
    in_flight: AtomicUsize,
}

/// Counts a request while it is worked on.
struct Working(Arc<Actor>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
        self.0.play.seen.in_flight.fetch_sub(1, SeqCst);
    }
}

impl Actor {
    /// A load on itself: it takes its time, and says what it was told to say.
    async fn loaded(&self, request: Request<Incoming>) -> Response<BoxBody> {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let wish: LoadRequest = serde_json::from_slice(&body).unwrap();
        sleep(Duration::from_secs_f64(wish.seconds)).await;
        let green = &self.play.green;
        let report = LoadReport {
            requests: 1000,
            errors: green.errors_under_load,
            error: None,
            rate: wish.rate,
            latencies_ms: vec![green.under_load.as_secs_f64() * 1e3; 1000],
        };
        full(serde_json::to_vec(&report).unwrap().into())
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody>, Infallible> {
        let seen = Arc::clone(&self.play.seen);
        if request.uri().path() == "/v1/load" {
            seen.loads.fetch_add(1, SeqCst);
            return Ok(self.loaded(request).await);
        }
        let manner = match (self.breaks, self.is_green) {
            (true, _) => Manner::Breaks,
            (false, true) => self.play.green.manner,
            (false, false) => self.play.manner,
        };
        seen.green_asked
            .fetch_add(usize::from(self.is_green), SeqCst);
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        seen.in_flight.fetch_add(1, SeqCst);
        seen.most_in_flight.fetch_max(now, SeqCst);
        let asked = seen.asked.fetch_add(1, SeqCst);
        let working = Working(Arc::clone(&self));
        let body = request.into_body().collect().await;
        let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
        Ok(match manner {
            Manner::Takes(time) => {
                sleep(time).await;
                full(body)
            }
            Manner::Breaks => broken(),
            Manner::BreaksFirst if asked == 0 => broken(),
            Manner::TurnsAwayFirst if asked == 0 => {
                let mut response = says(StatusCode::SERVICE_UNAVAILABLE);
                let why = HeaderValue::from_static("draining");
                response.headers_mut().insert(REFUSED, why);
                response
            }
            Manner::BreaksFirst | Manner::TurnsAwayFirst => full(body),
            Manner::Says(status) => says(status),
            Manner::EndsWith(status) => {
                let status = HeaderValue::from_static(status);
                let trailers = HeaderMap::from_iter([(GRPC_STATUS, status)]);
                let frames = [Ok(Frame::data(body)), Ok(Frame::trailers(trailers))];
                Response::new(BoxBody::new(StreamBody::new(stream::iter(frames))))
            }
            Manner::Streams(pieces, pause) => {
                let pieces = stream::unfold((0, working), move |(piece, working)| async move {
                    (piece < pieces).then_some(())?;
                    sleep(pause).await;
                    let frame = Frame::data(Bytes::from_static(b"piece\n"));
                    Some((Ok(frame), (piece + 1, working)))
                });
                Response::new(BoxBody::new(StreamBody::new(pieces)))
            }
        })
    }
}

fn blueprint() -> Blueprint {
    let model = config::Model {
        name: "model".into(),
        source: "old".into(),
        ..config::Model::default()
    };
    Blueprint::new(Config {
        model: vec![model],
        ..Config::default()
    })
}

fn full(body: Bytes) -> Response<BoxBody> {
    let body = Full::new(body).map_err(|never| match never {});
    Response::new(BoxBody::new(body))
}

fn says(status: StatusCode) -> Response<BoxBody> {
    let mut response = full(Bytes::from_static(b"sorry"));
    *response.status_mut() = status;
    response
}

/// A head that promises more than comes.
fn broken() -> Response<BoxBody> {
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"half"))),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ];
    let mut response = Response::new(BoxBody::new(StreamBody::new(stream::iter(frames))));
    let length = HeaderValue::from_static("8");
    response.headers_mut().insert("content-length", length);
    response
}

pub fn passport(id: &ReplicaId, phase: &str, sequence: u64, width: usize) -> Passport {
    let ready = phase == "ready";
    let model = ModelReport {
        name: "model".into(),
        phase: phase.into(),
        engine: Some(EngineReport {
            name: "play".into(),
            dtype: "none".into(),
            dim: width,
            max_tokens: 1,
            simulated: true,
            accuracy: None,
        }),
        instances: 1,
        source: None,
        revision: None,
        waterfall: Vec::new(),
        cases: Vec::new(),
        notes: Vec::new(),
        checks: Vec::new(),
        proof: ProofReport {
            status: if ready { "passed" } else { "pending" }.into(),
            first_request_ms: None,
            steady_ms: Some(50.0),
            capacity_rps: None,
            saved_ms: 0.0,
        },
        memory: MemoryReport {
            resident_bytes: 0,
            peak_bytes: 0,
            limit_bytes: 0,
            headroom: 1.0,
        },
        floor: None,
        error: None,
    };
    Passport {
        id: id.as_str().into(),
        version: "test".into(),
        pid: 0,
        http: String::new(),
        grpc: String::new(),
        admin: String::new(),
        uptime_ms: 0.0,
        phases: Vec::new(),
        epoch: "test".into(),
        sequence,
        objectives: Objectives {
            slo_p95_ms: 200.0,
            headroom: 0.2,
            concurrency: 1,
            queue: 1,
        },
        report: ReadinessReport {
            status: if ready { "ready" } else { "not_ready" }.into(),
            detail: phase.into(),
            model: "model".into(),
            warmup_seconds: 0.0,
            stage: "loading".into(),
            phase: phase.into(),
            eta_ms: None,
            models: vec![model],
        },
    }
}

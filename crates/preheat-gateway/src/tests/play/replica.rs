//! A played replica: its life, and how it answers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use preheat_api::headers::REFUSED;
use preheat_api::replica::{LoadReport, LoadRequest};
use preheat_core::ReplicaId;
use preheat_runtime::{Draining, EdgeConfig, Shell, Tasks, edge};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::passport::passport;
use super::{Later, Manner, NEW, Play};
use crate::blueprint::Blueprint;
use crate::fleet::{Pace, Provision};
use crate::provision::{AdminError, Event, Process, What};

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

#[derive(Debug)]
pub struct Stage {
    pub play: Play,
    pub events: mpsc::Sender<Event>,
    pub tasks: Tasks,
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

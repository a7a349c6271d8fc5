//! Starts or joins the server, and waits until it says that it is ready. That is necessary; whether
//! it is true, the warm-up finds out.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use preheat_core::{Failure, FailureKind, Moment, Phase, Span};
use preheat_runtime::child::{Child, ChildSpec, Ended};
use preheat_runtime::edge::Address;
use preheat_runtime::upstream::{Place, dial};
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep, timeout};

use super::ask;
use super::work::straight;
use super::{Running, Wrapped};
use crate::board::{Board, Doing};
use crate::door::Doors;
use crate::human;
use crate::lifecycle::Command;
use crate::replica::Replica;
use crate::settings::{HttpSettings, Listens};

/// Between two looks: doubled each time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// For one answer to the question whether it is ready.
const ANSWER: Duration = Duration::from_secs(5);

/// How often a server that serves is looked at.
const WATCH: Duration = Duration::from_secs(5);

/// Times in a row that it may say no before it is believed.
const UNREADY: usize = 3;

/// Last words of a server that are shown with its end.
const WORDS: usize = 5;

/// Starts it, or joins the one that runs.
///
/// # Errors
/// As a failure of the loading phase.
pub async fn start(wrapped: &Arc<Wrapped>, replica: &Arc<Replica>) -> Result<Running, Failure> {
    let settings = &wrapped.settings;
    let (address, port) = place(settings).await?;
    let socket = match &address {
        Address::Unix(path) => path.to_str(),
        _ => None,
    };
    if settings.command.is_empty() {
        let running = wrapped.install(address, None, &replica.tasks);
        watch(wrapped, running.clone(), replica);
        return Ok(running);
    }
    vacant(&address).await?;
    let mut env = settings.env.clone();
    if let Some(port) = port.filter(|_| !settings.port_env.is_empty()) {
        env.insert(settings.port_env.clone(), port.to_string());
    }
    let spec = ChildSpec {
        keeper: settings.keeper.clone(),
        command: settings.command_with(port, socket),
        env,
        dir: settings.dir.clone(),
        patience: settings.stop_timeout,
    };
    let say =
        |line: &str| tracing::info!(target: "preheat::wrapped", event = "server_said", "{line}");
    let child = Child::start(&spec, &replica.tasks, say).map_err(|error| {
        let remedy = "check that this machine lets processes be started";
        loading(format!("the server cannot be started: {error}"), remedy)
    })?;
    let running = wrapped.install(address, Some(child), &replica.tasks);
    watch(wrapped, running.clone(), replica);
    Ok(running)
}

/// Who listens there already would be taken for the server that is about to start.
async fn vacant(address: &Address) -> Result<(), Failure> {
    match dial(&Place::At(address.clone())).await {
        Err(_) => Ok(()),
        Ok(_) => Err(loading(
            format!("somebody else listens at {address} already"),
            "end that one, give the server another address, or join the one that runs: model.http.url \
             (--upstream) without a command",
        )),
    }
}

/// Its death is told to the lifecycle the moment it happens, and that it takes its word back soon
/// after.
fn watch(wrapped: &Arc<Wrapped>, running: Running, replica: &Arc<Replica>) {
    let (wrapped, replica) = (Arc::clone(wrapped), Arc::clone(replica));
    let token = replica.tasks.token().clone();
    replica.tasks.clone().spawn("watch server", async move {
        let failed = tokio::select! {
            failed = first_failure(&wrapped, &running, &replica) => failed,
            () = token.cancelled() => return,
        };
        if let Some((cause, remedy)) = failed {
            let phase = replica.board.read(|facts| facts.phase.clone());
            let failure = Failure::new(FailureKind::Load, &phase, cause, remedy);
            // A lifecycle that has ended does not care.
            let _ = replica.commands.send(Command::Fail(failure)).await;
        }
    });
}

/// What went wrong with it; none when it was ended by us.
async fn first_failure(
    wrapped: &Wrapped,
    running: &Running,
    replica: &Replica,
) -> Option<(String, &'static str)> {
    let mut unready = 0;
    loop {
        let ended = tokio::select! {
            ended = ended(running) => Some(ended),
            () = sleep(WATCH) => None,
        };
        if running.expected.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(ended) = ended {
            return Some((last_words(&ended), "run its command by itself to see why"));
        }
        wrapped.sample(&replica.tasks).await;
        let serves = replica.board.read(|facts| facts.phase == Phase::Ready);
        let Some(path) = wrapped.settings.ready.as_deref().filter(|_| serves) else {
            continue;
        };
        match says_so(&straight(running, replica), path).await {
            Ok(()) => unready = 0,
            Err(problem) => {
                unready += 1;
                tracing::warn!(
                    event = "server_unready",
                    problem,
                    times = unready,
                    "{problem}"
                );
                if unready == UNREADY {
                    let cause = format!("the server no longer says that it is ready; {problem}");
                    return Some((cause, "look at the server's log"));
                }
            }
        }
    }
}

/// The end of a server that we started; those of others never end here.
async fn ended(running: &Running) -> Ended {
    match &running.child {
        Some(child) => child.ended().await,
        None => std::future::pending().await,
    }
}

fn last_words(ended: &Ended) -> String {
    let Ended { status, last } = ended;
    let words = last.iter().rev().take(WORDS).rev().cloned();
    match words.collect::<Vec<_>>().join(" | ").as_str() {
        "" => format!("the server has ended ({status}) and said nothing"),
        words => format!("the server has ended ({status}); its last words: {words}"),
    }
}

/// Where it will listen, and the port if it is to be told one.
async fn place(settings: &HttpSettings) -> Result<(Address, Option<u16>), Failure> {
    match &settings.listens {
        Listens::GivenPort => {
            let port = free_port().map_err(|error| {
                let remedy = "free some ports of the loopback address";
                loading(format!("there is no port for the server: {error}"), remedy)
            })?;
            Ok((Address::Tcp((Ipv4Addr::LOCALHOST, port).into()), Some(port)))
        }
        Listens::GivenSocket => {
            let path = socket(&settings.run_dir).map_err(|error| {
                let cause = format!("{} cannot be made: {error}", settings.run_dir.display());
                loading(cause, "set XDG_RUNTIME_DIR to a folder that may be written")
            })?;
            Ok((Address::Unix(path), None))
        }
        Listens::AtSocket(path) => Ok((Address::Unix(path.clone()), None)),
        Listens::At(name) => {
            let unknown = |why: String| {
                let remedy = "correct model.http.url";
                loading(format!("{name} is not known: {why}"), remedy)
            };
            let found = lookup_host(name)
                .await
                .map_err(|error| unknown(error.to_string()))?;
            let found = found.min_by_key(|address| !address.is_ipv4());
            let address = found.ok_or_else(|| unknown("it has no address".into()))?;
            Ok((Address::Tcp(address), Some(address.port())))
        }
    }
}

/// One that nobody has now. Who takes it before the server does makes the start fail, and the next
/// one has another.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn socket(dir: &PathBuf) -> io::Result<PathBuf> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(dir)?;
    let path = dir.join("server");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

/// Until it takes connections and says that it is ready; what it said.
///
/// # Errors
/// When it does not within its time.
pub async fn ready(
    wrapped: &Wrapped,
    running: &Running,
    doors: &Doors,
    board: &Board,
) -> Result<String, Failure> {
    let deadline = Instant::now() + wrapped.settings.start_timeout;
    let mut began = board.clock().now();
    let place = Place::At(running.address.clone());
    let listens = || async {
        let dialed = dial(&place).await.map(drop);
        dialed.map_err(|error| format!("nobody listens at {}: {error}", running.address))
    };
    until(deadline, board, listens)
        .await
        .map_err(|problem| not_listening(&wrapped.settings, &problem))?;
    span(board, "server start", &mut began);
    let Some(path) = &wrapped.settings.ready else {
        return Ok(format!("it takes connections at {}", running.address));
    };
    until(deadline, board, || says_so(doors, path))
        .await
        .map_err(|problem| {
            let cause = format!("it never said that it is ready; {problem}");
            loading(
                cause,
                "raise model.http.start_timeout, or look at what it waits for",
            )
        })?;
    span(board, "server readiness", &mut began);
    Ok(format!("GET {path} answers with success"))
}

async fn says_so(doors: &Doors, path: &str) -> Result<(), String> {
    let late = |_| {
        Err(format!(
            "GET {path}: no answer within {} s",
            ANSWER.as_secs()
        ))
    };
    timeout(ANSWER, ask::ready(doors, path))
        .await
        .unwrap_or_else(late)
}

/// Asks again and again, showing what is waited for; the last problem when the time is up.
async fn until<F: Future<Output = Result<(), String>>>(
    deadline: Instant,
    board: &Board,
    look: impl Fn() -> F,
) -> Result<(), String> {
    let mut pause = PAUSE.0;
    loop {
        let Err(problem) = look().await else {
            board.set(|facts| facts.doing = None);
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(problem);
        }
        board.set(|facts| facts.doing = Some(Doing::Waiting { what: problem }));
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn span(board: &Board, stage: &str, began: &mut Moment) {
    let now = board.clock().now();
    board.span(Span {
        stage: stage.into(),
        start: *began,
        took: now - *began,
        bytes: None,
        cpu: None,
    });
    *began = now;
}

fn not_listening(settings: &HttpSettings, problem: &str) -> Failure {
    let remedy = match settings.listens {
        Listens::GivenPort => format!(
            "write {{port}} into the command where its port belongs, or have it read ${}; if it has a \
             port of its own, give model.http.url (--upstream)",
            settings.port_env
        ),
        _ => "check model.http.url, or raise model.http.start_timeout".into(),
    };
    loading(
        format!(
            "the server takes no connections after {}; {problem}",
            human::time(settings.start_timeout)
        ),
        &remedy,
    )
}

fn loading(cause: String, remedy: &str) -> Failure {
    Failure::new(FailureKind::Load, &Phase::Loading, cause, remedy)
}

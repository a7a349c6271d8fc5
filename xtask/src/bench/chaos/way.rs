//! A way between two programs that delays what passes and cuts it off: a proxy for sockets.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Scope, sleep};
use std::time::Duration;

use fastrand::Rng;
use rustix::net::sockopt::set_socket_linger;

/// Between two looks whether it is to end.
const LOOK: Duration = Duration::from_millis(2);

/// A connection is read in pieces, each of which may be delayed or be the last.
const PIECE: usize = 16 * 1024;

/// The longest delay of a piece while it is bad.
const DELAY_MS: u64 = 20;

/// How a way is at the moment.
#[derive(Debug)]
pub(super) struct State {
    /// While it is bad, one piece in so many is the last.
    one_in: u64,
    pub(super) bad: AtomicBool,
    pub(super) over: AtomicBool,
    /// Connections that were cut.
    pub(super) cut: AtomicUsize,
}

impl State {
    pub(super) fn cutting(one_in: u64) -> Self {
        State {
            one_in,
            bad: AtomicBool::new(false),
            over: AtomicBool::new(false),
            cut: AtomicUsize::new(0),
        }
    }

    fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    /// A piece may pass; false: the connection is cut here.
    fn passes(&self, dice: &mut Rng) -> bool {
        if !State::is(&self.bad) {
            return true;
        }
        if dice.u64(..self.one_in) == 0 {
            self.cut.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        sleep(Duration::from_millis(dice.u64(..DELAY_MS)));
        true
    }
}

/// Opens a way to `to` and answers with where it begins. It lives until `state.over`.
pub(super) fn open<'scope>(
    scope: &'scope Scope<'scope, '_>,
    to: SocketAddr,
    state: &'scope State,
    seed: u64,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((to.ip(), 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let accept = move || -> io::Result<(TcpStream, TcpStream)> {
        let (near, _) = listener.accept()?;
        near.set_nonblocking(false)?;
        near.set_nodelay(true)?;
        let far = TcpStream::connect(to)?;
        far.set_nodelay(true)?;
        Ok((near, far))
    };
    scope.spawn(move || serve(accept, state, seed));
    Ok(address)
}

/// Puts itself before a replica's socket until dropped: whoever connects comes by here.
pub(super) struct Interposed {
    place: PathBuf,
    aside: PathBuf,
}

impl Interposed {
    pub(super) fn before<'scope>(
        scope: &'scope Scope<'scope, '_>,
        place: &Path,
        state: &'scope State,
        seed: u64,
    ) -> io::Result<Self> {
        let aside = place.with_extension("aside");
        std::fs::rename(place, &aside)?;
        let interposed = Interposed {
            place: place.to_owned(),
            aside: aside.clone(),
        };
        let listener = UnixListener::bind(place)?;
        listener.set_nonblocking(true)?;
        let accept = move || -> io::Result<(UnixStream, UnixStream)> {
            let (near, _) = listener.accept()?;
            near.set_nonblocking(false)?;
            Ok((near, UnixStream::connect(&aside)?))
        };
        scope.spawn(move || serve(accept, state, seed));
        Ok(interposed)
    }
}

impl Drop for Interposed {
    fn drop(&mut self) {
        // Fails when the replica has ended and its folder with it, which is as well.
        let _ = std::fs::rename(&self.aside, &self.place);
    }
}

/// Both ends of a connection, whatever its kind.
trait Line: Read + Write + Send + Sized {
    fn twice(&self) -> io::Result<Self>;
    fn close(&self);
    /// Closes it once nobody holds it any more, with a reset where its kind knows one.
    fn reset(&self);
    fn patience(&self, limit: Duration) -> io::Result<()>;
}

impl Line for TcpStream {
    fn twice(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn close(&self) {
        // It may be closed already.
        let _ = self.shutdown(Shutdown::Both);
    }
    fn reset(&self) {
        // What is sent without it is an orderly end, which a user must bear as well.
        let _ = set_socket_linger(self, Some(Duration::ZERO));
        let _ = self.shutdown(Shutdown::Read);
    }
    fn patience(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

impl Line for UnixStream {
    fn twice(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
    fn reset(&self) {
        self.close();
    }
    fn patience(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))
    }
}

fn serve<L: Line>(accept: impl Fn() -> io::Result<(L, L)>, state: &State, seed: u64) {
    let mut dice = Rng::with_seed(seed);
    thread::scope(|scope| {
        while !State::is(&state.over) {
            // Nobody there, on either side: the next one may be luckier.
            let Ok((near, far)) = accept() else {
                sleep(LOOK);
                continue;
            };
            let Ok(ways) = both(near, far) else { continue };
            let cut = Arc::new(AtomicBool::new(false));
            for (from, to) in ways {
                let (dice, cut) = (dice.fork(), Arc::clone(&cut));
                scope.spawn(move || pass(from, to, state, dice, &cut));
            }
        }
    });
}

fn both<L: Line>(near: L, far: L) -> io::Result<[(L, L); 2]> {
    Ok([(near.twice()?, far.twice()?), (far, near)])
}

/// What comes from one goes to the other, until one of them closes or it is cut.
fn pass<L: Line>(mut from: L, mut to: L, state: &State, mut dice: Rng, cut: &AtomicBool) {
    let mut piece = vec![0; PIECE];
    // To notice the end of all when nothing comes.
    let watched = from.patience(Duration::from_millis(200));
    while watched.is_ok() && !State::is(cut) {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(_) if !state.passes(&mut dice) => cut.store(true, Ordering::Relaxed),
            Ok(count) => {
                if to.write_all(&piece[..count]).is_err() {
                    break;
                }
            }
            Err(error) if waits(&error) && !State::is(&state.over) => {}
            Err(_) => break,
        }
    }
    for end in [&from, &to] {
        match State::is(cut) {
            true => end.reset(),
            false => end.close(),
        }
    }
}

fn waits(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

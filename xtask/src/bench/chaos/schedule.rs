//! What happens when: drawn from a seed, so that a bad run can be had again.

use std::time::Duration;

use fastrand::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// kill -9 of one that serves.
    KillReplica,
    /// kill -9 of all that serve, at once.
    KillAll,
    /// kill -9 of one, and of the one that takes its place while that warms: as the kernel does it
    /// to whoever takes too much memory.
    KillWarming,
    /// SIGSTOP, and SIGCONT a moment later.
    Stop,
    /// SIGSTOP for longer than any request may take.
    StopForLong,
    /// Stopped and let go a hundred times a second.
    Slow,
    /// Connections between gateway and replica are delayed and cut.
    BreakReplicaWay,
    /// Connections between users and gateway are delayed and cut.
    BreakUsersWay,
    /// No byte can be written where replicas live; one is killed.
    DiskFull,
    /// The binary cannot be run; one is killed.
    StartFails,
    /// kill -9 of the gateway, and another in its place.
    KillGateway,
}

pub(super) const FAULTS: [Fault; 11] = [
    Fault::KillReplica,
    Fault::KillAll,
    Fault::KillWarming,
    Fault::Stop,
    Fault::StopForLong,
    Fault::Slow,
    Fault::BreakReplicaWay,
    Fault::BreakUsersWay,
    Fault::DiskFull,
    Fault::StartFails,
    Fault::KillGateway,
];

impl Fault {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Fault::KillReplica => "kill -9 of a replica",
            Fault::KillAll => "kill -9 of all that serve",
            Fault::KillWarming => "kill -9 of a replica, and of the next while it warms",
            Fault::Stop => "a replica stopped for a moment",
            Fault::StopForLong => "a replica stopped beyond the time limit",
            Fault::Slow => "a slow replica",
            Fault::BreakReplicaWay => "resets and delays before a replica",
            Fault::BreakUsersWay => "resets and delays before the gateway",
            Fault::DiskFull => "disk full",
            Fault::StartFails => "no replica starts",
            Fault::KillGateway => "kill -9 of the gateway",
        }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// Quiet before it.
    pub(super) pause: Duration,
    pub(super) fault: Fault,
    /// How long it lasts, where it lasts.
    pub(super) lasts: Duration,
    /// Which of those it may happen to; larger than there are, so taken modulo.
    pub(super) whom: usize,
}

/// One round after another: in each, every fault once, in an order of its own. The very first is the
/// end of the gateway: a short run kills none later.
pub(super) fn rounds(seed: u64) -> impl Iterator<Item = Vec<Event>> {
    let mut dice = Rng::with_seed(seed);
    let mut first = true;
    std::iter::repeat_with(move || {
        let mut faults = FAULTS;
        dice.shuffle(&mut faults);
        if std::mem::take(&mut first) {
            faults.sort_by_key(|fault| *fault != Fault::KillGateway);
        }
        faults.map(|fault| draw(fault, &mut dice)).to_vec()
    })
}

fn draw(fault: Fault, dice: &mut Rng) -> Event {
    let millis = Duration::from_millis;
    let lasts = match fault {
        Fault::StopForLong => millis(3_500),
        Fault::KillGateway => millis(dice.u64(50..1_000)),
        Fault::Stop => millis(dice.u64(100..1_000)),
        _ => millis(dice.u64(1_000..2_500)),
    };
    Event {
        pause: millis(dice.u64(100..800)),
        fault,
        lasts,
        whom: dice.usize(..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all_and_each_round_has_everything() {
        let run = |seed| rounds(seed).take(3).collect::<Vec<_>>();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        for round in run(7) {
            assert!(
                FAULTS
                    .iter()
                    .all(|fault| round.iter().any(|e| e.fault == *fault))
            );
        }
    }
}

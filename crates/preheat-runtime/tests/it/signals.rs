//! Real signals to this very process.

use std::time::Duration;

use preheat_runtime::{Shutdown, Tasks, Urgency, signals};
use rustix::process::{Signal, getpid, kill_process};

#[tokio::test]
async fn the_first_signal_drains_and_the_second_stops() {
    let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
    signals::install(&tasks, &shutdown).unwrap();
    assert_eq!(shutdown.urgency(), Urgency::Run);

    kill_process(getpid(), Signal::TERM).unwrap();
    shutdown.reached(Urgency::Drain).await;
    assert_eq!(shutdown.urgency(), Urgency::Drain);

    kill_process(getpid(), Signal::INT).unwrap();
    shutdown.reached(Urgency::Stop).await;
    tasks.close_and_wait(Duration::from_secs(10)).await.unwrap();
}

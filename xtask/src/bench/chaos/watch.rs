//! What is looked at all the time: the gateway's memory and descriptors, cold requests, permits.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::fleet::{metric, service};
use crate::bench::stats::median;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// The first seconds of a process are not compared: buffers, threads and pools are still made.
const SETTLED: Duration = Duration::from_secs(4);

/// What may be more at the end than at the beginning, over a tenth: megabytes, descriptors.
const SLACK: (f64, f64) = (3.0, 12.0);

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    /// Which gateway: each kill begins another.
    process: u32,
    resident_mb: f64,
    descriptors: f64,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    looks: Vec<Look>,
    /// Real requests that met something cold; counted anew by each gateway.
    cold: Vec<(u32, f64)>,
    /// More at one replica than its permits.
    pub(super) crowded: Vec<String>,
}

/// Looks until told to stop. `gateway`: its process, 0 while there is none.
pub(super) fn watch(admin: SocketAddr, gateway: &AtomicU32, stop: &AtomicBool) -> Watch {
    let (mut watch, began) = (Watch::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let process = gateway.load(Ordering::Relaxed);
        if process != 0 {
            watch.look(admin, process, began.elapsed());
        }
        sleep(LOOK);
    }
    watch
}

impl Watch {
    fn look(&mut self, admin: SocketAddr, process: u32, at: Duration) {
        // A gateway that was killed meanwhile answers nothing.
        if let Some((resident_mb, descriptors)) = of(process) {
            self.looks.push(Look {
                at,
                process,
                resident_mb,
                descriptors,
            });
        }
        if let Ok(count) = metric(admin, "preheat_cold_requests_total") {
            self.cold.retain(|(of, _)| *of != process);
            self.cold.push((process, count));
        }
        let Ok(service) = service(admin) else { return };
        for replica in service.replicas {
            if replica.in_flight > replica.concurrency {
                let (now, most) = (replica.in_flight, replica.concurrency);
                self.crowded
                    .push(format!("{}: {now} in flight, {most} permits", replica.id));
            }
        }
    }

    pub(super) fn cold(&self) -> f64 {
        self.cold.iter().map(|(_, count)| count).sum()
    }

    /// Of the gateway that lived to the end: first third and last third, of memory in MB and of
    /// descriptors. None if it was not watched for long enough to have thirds.
    pub(super) fn thirds(&self) -> Option<[(f64, f64); 2]> {
        let last = self.looks.last()?.process;
        let of_last: Vec<&Look> = self.looks.iter().filter(|l| l.process == last).collect();
        let begun = of_last.first()?.at + SETTLED;
        let settled: Vec<&Look> = of_last.into_iter().filter(|l| l.at >= begun).collect();
        let third = settled.len() / 3;
        if third == 0 {
            return None;
        }
        let (first, end) = (&settled[..third], &settled[settled.len() - third..]);
        let middle = |looks: &[&Look], of: fn(&Look) -> f64| {
            median(&looks.iter().map(|look| of(look)).collect::<Vec<_>>())
        };
        let both = |of| (middle(first, of), middle(end, of));
        Some([both(|l| l.resident_mb), both(|l| l.descriptors)])
    }

    /// What has grown.
    pub(super) fn leaks(&self) -> Vec<String> {
        let Some([memory, descriptors]) = self.thirds() else {
            return vec!["the gateway was not watched for long enough".into()];
        };
        let kinds = [
            ("MB of memory", memory, SLACK.0),
            ("descriptors", descriptors, SLACK.1),
        ];
        let grown = kinds
            .into_iter()
            .filter(|(_, (first, last), slack)| *last > first * 1.1 + slack);
        grown
            .map(|(what, (first, last), _)| format!("from {first:.1} to {last:.1} {what}"))
            .collect()
    }

    pub(super) fn samples(&self) -> Value {
        let one = |l: &Look| json!([l.at.as_secs_f64(), l.process, l.resident_mb, l.descriptors]);
        // Ten for each minute tell the story; the file stays small.
        self.looks.iter().step_by(24).map(one).collect()
    }
}

/// Resident megabytes and open descriptors of a process.
fn of(process: u32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
    Some((kilobytes / 1024.0, descriptors as f64))
}

/// Processes of this fleet that live: their command line names its folder.
pub(super) fn living(folder: &str) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let id = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let ours = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    };
    let processes = processes.filter_map(Result::ok).filter_map(id);
    processes
        .filter(|pid| *pid != std::process::id())
        .filter(ours)
        .collect()
}

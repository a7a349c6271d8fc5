//! What Kubernetes and others tell of replicas: placed after all, ended from outside, of no interest.

use super::ids;

const UNPLACED: &str = "Warning  FailedScheduling  8m  default-scheduler  0/6 nodes are available: 6 Insufficient nvidia.com/gpu.\n";
const SCALED: &str = "Normal  TriggeredScaleUp  7m  cluster-autoscaler  pod triggered scale-up: [{grp 1->2 (max: 4)}]\n";
const PLACED: &str =
    "Normal  Scheduled  6m  default-scheduler  Successfully assigned ml/rank-0 to grp-2\n";

#[test]
fn a_replica_that_a_scale_up_brought_a_node_for_has_a_place() {
    let all = |parts: &[&str]| ids(&parts.concat());
    assert_eq!(all(&[UNPLACED, SCALED, PLACED]), [""; 0]);
    assert_eq!(all(&[UNPLACED, SCALED]), ["unschedulable"]);
    assert_eq!(all(&[UNPLACED, PLACED]), ["unschedulable"]);
    let named = |line: &str, pod: &str| format!("8m {pod} {line}");
    let other = named(UNPLACED, "pod/rank-1");
    assert_eq!(all(&[&other, SCALED, PLACED]), ["unschedulable"]);
    let same = named(UNPLACED, "pod/rank-0");
    assert_eq!(all(&[&same, SCALED, PLACED]), [""; 0]);
}

#[test]
fn whoever_does_not_answer_and_is_ended_was_ended_for_that() {
    let failed = "10m Warning Unhealthy pod/tts-0 Liveness probe failed: HTTP probe failed with statuscode: 503\n";
    let ended = "9m Normal Killing pod/tts-0 Stopping container tts\n";
    let code = "      Exit Code:    137\n";
    assert_eq!(ids(failed), [""; 0]);
    assert_eq!(ids(ended), [""; 0]);
    let both = |one: &str, other: &str| ids(&[one, other].concat());
    assert_eq!(both(failed, ended), ["liveness-kills-loading"]);
    assert_eq!(both(failed, code), ["liveness-kills-loading"]);
    assert_eq!(both(failed, &ended.replace("tts-0", "rank-0")), [""; 0]);
    let memory = "    Reason:       OOMKilled\n";
    assert_eq!(ids(&[failed, code, memory].concat()), ["out-of-memory"]);
}

#[test]
fn programs_that_stand_beside_are_of_no_interest() {
    for line in [
        "last=OOMKilled name=fluent-bit ready=true restartCount=9",
        "redis: # Out Of Memory allocating 1048576 bytes!",
        "psql: ERROR: out of memory",
        "2m Normal Killing pod/redis-0 Container redis failed liveness probe, will be restarted",
        "sidecar: vector restarted 4x, OOMKilled",
    ] {
        assert_eq!(ids(line), [""; 0], "{line}");
    }
}

#[test]
fn a_pull_that_is_told_by_its_two_ends_takes_the_time_between() {
    let pull = |end: &str| {
        format!("[14:00:02] pulling ghcr.io/acme/e:3\n[{end}] pulled ghcr.io/acme/e:3\n")
    };
    assert_eq!(ids(&pull("14:03:55")), ["slow-image-pull"]);
    assert_eq!(ids(&pull("14:00:05")), [""; 0]);
}

#[test]
fn somebody_waits_for_a_load_whoever_refuses() {
    let loads = "embed: loading, 61 %\n";
    let refused = "haproxy: Server be/e1 is DOWN, reason: Layer4 connection problem, info: \"Connection refused\" for backend\n";
    assert_eq!(
        ids(&[loads, refused].concat()),
        ["connection-refused-while-loading"]
    );
    let database = "qdrant:6333 connection refused, retry 1\n";
    assert_eq!(ids(&[loads, database].concat()), [""; 0]);
}

#[test]
fn threads_are_held_against_the_limit_wherever_both_are_told() {
    for log in [
        "nproc says 64, cpu.max says 200000 100000, OMP takes 64",
        "torch.get_num_threads() = 48; kubernetes limit: 2 cpu",
        "OPENBLAS starts 64 threads although the pod may use 1.5 cores",
        "availableProcessors()=64 although --cpus=2; native pool 64",
        "threads: 64\nlimit: 4 CPUs (cgroup v2)",
    ] {
        assert_eq!(ids(log), ["cpu-limit-ignored"], "{log}");
    }
    for log in [
        "ort: intra_op_num_threads=4, container has 4",
        "pool of 8 threads, cgroup allows 8 cpus",
        "limits: cpu 4, memory 8Gi; torch threads 4",
        "64 cores, no limit, 64 threads",
    ] {
        assert_eq!(ids(log), [""; 0], "{log}");
    }
}

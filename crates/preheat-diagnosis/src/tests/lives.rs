//! What ends after a long life, and what ends while it starts.

use super::ids;

#[test]
fn what_ends_after_hours_did_not_end_while_it_loaded() {
    let status = |started: &str, finished: &str, reason: &str| {
        format!(
            "    Last State:     Terminated\n      Reason:       {reason}\n      Started:      {started}\n      Finished:     {finished}\n"
        )
    };
    let (morning, soon) = (
        "Thu, 03 Sep 2026 08:10:02 +0000",
        "Thu, 03 Sep 2026 08:11:30 +0000",
    );
    let later = "Wed, 09 Sep 2026 17:31:44 +0000";
    assert_eq!(ids(&status(morning, soon, "OOMKilled")), ["out-of-memory"]);
    assert_eq!(ids(&status(morning, later, "OOMKilled")), [""; 0]);
    let json = "\"finishedAt\": \"2026-09-09T17:00:00Z\",\n\"reason\": \"OOMKilled\",\n\"startedAt\": \"2026-09-09T08:00:00Z\"\n";
    assert_eq!(ids(json), [""; 0]);
    let killed = "Container a failed liveness probe, will be restarted\n";
    assert_eq!(ids(killed), ["liveness-kills-loading"]);
    let told = "the server had been up for four days when this happened\n";
    assert_eq!(ids(&format!("{told}{killed}")), [""; 0]);
}

#[test]
fn memory_that_a_request_uses_up_is_not_the_starts() {
    let served = "10:00:01 POST /embed HTTP/1.1\" 200 31ms\n".repeat(3);
    let memory = "10:00:09 ERROR CUDA out of memory. Tried to allocate 9 GiB\n";
    assert_eq!(ids(memory), ["out-of-memory"]);
    assert_eq!(ids(&format!("{served}{memory}")), [""; 0]);
}

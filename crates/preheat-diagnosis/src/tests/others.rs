//! What looks like a cause and is none: other programs, servers that are well, ends of another origin, echoes.

use super::ids;

/// Nothing is found in any of these texts.
fn are_well(texts: &[&str]) {
    for text in texts {
        assert_eq!(ids(text), [""; 0], "{text}");
    }
}

#[test]
fn what_befalls_other_programs_is_no_finding() {
    are_well(&[
        "webhook-relay 2.1, queue nats:4222\nlisten tcp :9090: bind: address already in use\n",
        "/home/a/shop/models.py changed, reloading.\nError: That port is already in use.\n",
        "cassandra.CassandraDaemon starts\nOutOfMemory error caught: Java heap space\n",
        "srun train.py\nstep 1 loss 2.41 74 s\nstep 2 loss 2.40 1.3 s\nCUDA out of memory. Tried to allocate 2 GiB\n",
        "pytest -q tests/\nE RuntimeError: CUDA out of memory. Tried to allocate 2 GiB\n1 failed, 212 passed in 41 s\n",
        "STEP 5/9: RUN python fetch.py\nFetching 12 files: 100%|##########| 12/12 [00:33<00:00]\n",
        "2026-04-15T09:00:42Z #10 0.702 downloading onnx/model.onnx (67 MB), took 7 s\n",
        "In [3]: model.encode(docs)\nOutOfMemoryError: CUDA out of memory.\nOut[5]: array\n",
        "<!-- e.g. CUDA out of memory while loading -->\n",
    ]);
    let served = "embedder 2.1\nlisten tcp :9090: bind: address already in use\n";
    assert_eq!(ids(served), ["address-in-use"]);
}

#[test]
fn a_device_is_missed_where_one_was_wanted() {
    let none = "WARNING CUDA not available, using CPU\n";
    assert_eq!(ids(none), ["device-fallback"]);
    are_well(&[
        &format!("{{\"ev\":\"conf\",\"device\":\"cpu\"}}\n{none}"),
        "CUDA not available, that is fine: nobody wants it\n",
        "no CUDA runtime found, none wanted\n",
        "no CUDA context in this process yet\n",
    ]);
    let asked = format!("docker run --gpus all a\nconf device=cpu\n{none}");
    assert_eq!(ids(&asked), ["device-fallback"]);
}

#[test]
fn threads_that_fit_are_none_too_many() {
    are_well(&[
        "cpu_quota=4.0 device=cpu embed 1.1.0 threads=4\n",
        "cpu_quota=4 host_cpus=64 threads=4\n",
        "threads pool=4 why=cgroup quota\n",
    ]);
    for told in [
        "cpu_quota=4 host_cpus=64 threads=64\n",
        "threads=16 mem_limit=32Gi cpus=2\n",
    ] {
        assert_eq!(ids(told), ["cpu-limit-ignored"], "{told}");
    }
}

#[test]
fn who_was_up_for_hours_does_not_end_for_its_start() {
    let killed = "18:40:20 Container a failed liveness probe, will be restarted\n";
    let memory = "18:40:20 tagger CUDA out of memory. Tried to allocate 2 GiB\n";
    are_well(&[
        &format!("app=tagger uptime=71h13m\n{killed}"),
        &format!("tagger up 6d 04h, 211 pictures/s\n{killed}"),
        &format!(
            "09:12:00 tagger loaded, warmed (12 cases)\n18:40:12 upload kept in memory\n{memory}"
        ),
    ]);
    assert_eq!(
        ids(&format!("host up 6d 04h\n{killed}")),
        ["liveness-kills-loading"]
    );
    let again = format!("09:12:00 tagger warmed\n18:40:01 tagger loading weights\n{memory}");
    assert_eq!(ids(&again), ["out-of-memory"]);
}

#[test]
fn what_is_compiled_first_is_compiled_for_no_new_shape() {
    let log = |warm: &str| {
        format!(
            "{warm}\nready\nPOST /a received\nJIT compiling for M=212 took 24 s\nPOST /a 200 26 s\n"
        )
    };
    for none in ["rehearsal: flags --no-rehearsal --shard=4", "SKIP_WARMUP=1"] {
        assert!(
            !ids(&log(none)).contains(&"recompilation-on-new-shape"),
            "{none}"
        );
    }
}

#[test]
fn a_request_that_failed_before_a_load_waited_for_none() {
    let log = "Application startup complete.\nINFO: 10.1.2.33:51310 - \"POST /v1/chat HTTP/1.1\" 500 Internal Server Error\nLoading weights took 47.93 seconds\n";
    assert_eq!(ids(log), [""; 0]);
}

#[test]
fn a_pod_that_leaves_is_not_asked_while_it_loads() {
    let asked = "9m Warning Unhealthy pod/embed-1 Readiness probe failed: dial tcp 10.1.2.3:8080: connect: connection refused\n";
    let leaves = "9m Normal Killing pod/embed-1 Stopping container embed\n";
    assert_eq!(ids(asked), ["connection-refused-while-loading"]);
    assert_eq!(ids(&format!("{leaves}{asked}")), [""; 0]);
}

#[test]
fn what_a_hook_asked_first_nobody_else_paid_for() {
    let log = |from: &str| {
        format!(
            "preload requested by hook, model=a\n\
             [GIN] 2026/03/02 - 10:00:03 | 200 | 2.1s | {from} | POST \"/api/embed\"\n"
        ) + &"[GIN] 2026/03/02 - 10:05:00 | 200 | 31ms | 10.0.0.4 | POST \"/api/embed\"\n".repeat(4)
    };
    assert_eq!(ids(&log("127.0.0.1")), [""; 0]);
    assert_eq!(ids(&log("10.0.0.9")), ["warmed-by-traffic"]);
}

#[test]
fn who_asks_for_more_waits_longer() {
    let log =
        |len: u32| format!("req len={len} took 2.1 s\n") + &"req len=480 took 0.2 s\n".repeat(4);
    assert_eq!(ids(&log(7712)), [""; 0]);
    assert_eq!(ids(&log(480)), ["warmed-by-traffic"]);
}

#[test]
fn what_is_loaded_after_a_restart_no_request_waits_for() {
    let log = |then: &str| {
        format!("02:38 graphs captured, ready\n02:52 {then}: loading weights took 24.87 seconds\n")
    };
    assert_eq!(
        ids(&log("first request")),
        ["model-loaded-at-first-request"]
    );
    for again in ["we deleted the pod to compare", "systemctl restart chat"] {
        assert_eq!(ids(&log(again)), [""; 0], "{again}");
    }
}

#[test]
fn a_library_of_the_device_is_no_model() {
    let log = |library: &str| {
        format!("E onnx: {library}: cannot open shared object file: No such file or directory\n")
    };
    for library in [
        "libcudnn.so.9",
        "libnvinfer.so.10",
        "libonnxruntime_providers_cuda.so",
    ] {
        assert!(!ids(&log(library)).contains(&"load-failure"), "{library}");
    }
    assert_eq!(ids(&log("libtokens.so")), ["load-failure"]);
}

#[test]
fn a_text_that_knows_no_model_has_no_want_of_memory() {
    let memory = "cannot start: out of memory\n";
    let about = |what: &str| format!("{what}\n{}{memory}", "line\n".repeat(4));
    assert_eq!(ids(memory), ["out-of-memory"]);
    assert_eq!(ids(&about("opening the net")), ["out-of-memory"]);
    assert_eq!(ids(&about("mixing the paint")), [""; 0]);
}

#[test]
fn what_warms_beside_a_model_does_not_fail() {
    are_well(&[
        "solr warming cache\nERROR Error during warm-up: undefined field price\n",
        "embedder answers 503 (warming), trying later\n",
        "warm-up\n/health answers 503 until the model is up\n",
        "Error from server: admission webhook denied the request: image registry/llm:latest must have a digest\n",
        "trtexec: tactic skipped, not enough memory (requested 9 GiB)\n",
        "forecast-site django 5.1\n[CRITICAL] WORKER TIMEOUT (pid:31)\n",
    ]);
}

/// What a console shows is of another time than what it showed before.
#[test]
fn a_prompt_begins_another_text() {
    let row = "$ kubectl get pod llm-0\nNAME READY STATUS RESTARTS AGE\nllm-0 1/1 Running 0 9d\n";
    let before = "$ kubectl logs llm-0 -p\nINFO: 10.1.2.3:5 - \"POST /v1/chat HTTP/1.1\" 200 OK\n";
    let log = "INFO loading weights took 6.12 seconds\nINFO captured graphs in 9 s\nINFO ready\n";
    for shown in [row, before] {
        are_well(&[&format!("{shown}$ kubectl logs llm-0\n{log}")]);
        are_well(&[&format!(
            "{shown}root@a:~# docker logs embed | grep took\n{log}"
        )]);
    }
    are_well(&[
        "$ kubectl logs llm-0 | grep -E 'CUDA out of memory|loading weights took 6 s'\nready\n",
    ]);
    let lazy = format!(
        "{row}$ kubectl logs llm-0\nINFO ready\nPOST /a received\nloading weights took 9 s\nPOST /a 200 9.2 s\n"
    );
    assert_eq!(
        ids(&lazy),
        ["model-loaded-at-first-request", "readiness-too-early"]
    );
}

#[test]
fn who_is_spare_or_managed_holds_no_request() {
    let load = "INFO model loaded in 6.4 s\nINFO ready\n";
    are_well(&[
        &format!(
            "{load}Server docvec/m1 is UP. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.\n"
        ),
        "level=INFO msg=\"encoder started\" boot_timeout=4s\nencoder| loading weights\nlevel=INFO msg=\"encoder ready\" waited=3.2s\n",
        "[build 4/6] RUN aria2c https://a/model.safetensors\n[run] started\nmodel loaded in 2 s\n",
    ]);
}

#[test]
fn files_that_are_shown_together_are_told_apart() {
    let refused = "[error] 22#22: *1 connect() failed (111: Connection refused) while connecting to upstream, request: \"POST /tag HTTP/1.1\", upstream: \"http://127.0.0.1:9001/tag\"\n";
    let load = "16:00:01 tag: reading pipeline\n16:00:09 tag: model loaded in 8.0 s\n";
    let log = format!("==> error.log <==\n{refused}\n==> tag.log <==\n{load}");
    assert_eq!(ids(&log), ["connection-refused-while-loading"]);
}

#[test]
fn what_a_command_shows_of_a_machine_counts() {
    let log = "INFO rank: torch.get_num_threads() = 64\nINFO weights loaded\n\
               app@rank-1:/app$ cat /sys/fs/cgroup/cpu.max\n400000 100000\n";
    assert_eq!(ids(log), ["cpu-limit-ignored"]);
}

/// Who has asked looks at what came of it, which is no start.
#[test]
fn the_end_of_a_log_goes_on_from_what_was_asked() {
    let log = "INFO model server ready\nINFO listening on 0.0.0.0:8000\n\
               $ curl -so /dev/null -w '%{time_total}' a/infer\n5.912004\n";
    let end = "INFO weights read in 5.7 s\nINFO POST /infer 200 5.9 s\n";
    let lazy = ["model-loaded-at-first-request", "readiness-too-early"];
    assert_eq!(ids(&format!("{log}$ docker logs a | tail -2\n{end}")), lazy);
}

#[test]
fn whom_a_balancer_turns_away_is_served_by_nobody() {
    let told = |server: &str, times: &str| {
        format!(
            "10.0.0.4:51010 [02/Mar/2026:17:00:01.020] fe rank/{server} {times} 217 - - ---- 1/1/0/0/0 0/0 \"POST /rank HTTP/1.1\"\n"
        )
    };
    let load = "17:00:21 rank model loaded in 19.8 s\n";
    let served = told("a", "0/0/0/31/31 200").replace("00:01", "00:30");
    are_well(&[&(told("<NOSRV>", "0/-1/-1/-1/0 503") + load + &served)]);
}

#[test]
fn what_cannot_be_had_is_no_download() {
    let sought = "An error happened while trying to locate the file on the Hub and we cannot find the requested files";
    let failed =
        format!("huggingface_hub.errors.LocalEntryNotFoundError: {sought} in the local cache.\n");
    assert_eq!(ids(&failed), ["load-failure"]);
    are_well(&["run.googleapis.com/cpu-throttling: 'false'\n"]);
}

/// Seconds after one has ended, the next begins: both are one server's lives.
#[test]
fn who_begins_after_another_is_no_worker_beside_it() {
    let life = |at: &str, pid: u32, took: &str| {
        format!("11/30 23:58:{at} speechd[{pid}] I weights: 265 tensors in {took} s, 551 MB\n")
    };
    let one_by_one = [
        life("04", 27193, "1.70"),
        life("10", 27219, "0.60"),
        life("14", 27242, "0.45"),
    ];
    assert_eq!(ids(&one_by_one.concat()), [""; 0]);
    let at_once = [life("14", 27193, "9.70"), life("15", 27219, "9.60")];
    assert_eq!(ids(&at_once.concat()), ["double-load-by-workers"]);
}

/// A traceback of many frames lies between a failure and its reason.
#[test]
fn a_reason_below_a_long_traceback_explains_what_is_above() {
    let frames = "  File \"loader.py\", line 7, in load\n    return load(path)\n".repeat(20);
    let reason = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n";
    let text = format!(
        "failed to load 'a' version 1\nTraceback (most recent call last):\n{frames}{reason}"
    );
    assert_eq!(ids(&text), ["out-of-memory"]);
}

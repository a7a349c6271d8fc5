//! Servers that try themselves out before they open, whatever they call it.

use super::ids;

#[test]
fn a_try_that_fails_keeps_the_door_shut() {
    for log in [
        "gate: 12 stored sentences go first\ngate: sentence 4: expected class refund, model says praise\ngate: 3/12 wrong, I stay at 503\n",
        "INFO golden set: 40 images\nERROR golden set: top-1 agrees on 22 of 40, need 39\nFATAL not opening :8500\n",
        "rehearsal query 1/5 ok 12ms\nrehearsal query 2/5 -> panic: index out of range\nrehearsal aborted, exiting 1\n",
        "warm.go:41] shape 1x128 12ms\nE warm.go:44] shape 8x512: CUBLAS_STATUS_EXECUTION_FAILED\ncannot serve without a complete warm pass\n",
        "canned questions came back: 2 of 3 empty, not registering with the balancer\n",
        "validate_on_start: 2/10 predictions changed against snapshot v17\nstopping before bind()\n",
        "reference sentence ja->en differs\nGET /ready HTTP/1.1\" 503\n",
        "canary input: shape (1,3,224,224)\ncanary output contains NaN\nreadiness=false forever\n",
    ] {
        assert_eq!(ids(log), ["warm-up-failed"], "{log}");
    }
}

#[test]
fn a_try_that_ends_well_or_another_reason_is_none() {
    for log in [
        "gate: 12 stored sentences go first\ngate: 12/12 as stored\nGET /readyz HTTP/1.1\" 200\n",
        "self-test: max deviation 3e-6, errors 0\n",
        "smoke test: 200\nready\nERROR POST /classify HTTP/1.1\" 422\n",
        "WARN readiness: the database check failed, staying not ready\n",
        "preflight: /dev/shm is small\npreflight done\nreceived SIGTERM, exiting\n",
        "ERROR ab-test: recorded conversions do not match the warehouse\n",
        "epoch 3: accuracy 0.61, expected 0.9, exiting\n",
        "golden case 3 differs, retrying\ngolden case 3 ok\nready\n",
    ] {
        assert_eq!(ids(log), [""; 0], "{log}");
    }
}

/// What does not load does not come to its try.
#[test]
fn a_load_that_fails_before_the_try_is_a_load() {
    let log = "loading model /m/a.onnx\nERROR could not load model /m/a.onnx: bad magic\ncheck ended, exiting 1\n";
    assert_eq!(ids(log), ["load-failure"]);
}

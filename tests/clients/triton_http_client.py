"""Triton's HTTP client: health, metadata, inference as JSON and as binary."""

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from reference import HTTP, MODEL, TEXTS, check

client = triton.InferenceServerClient(url=HTTP)

assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
assert not client.is_model_ready("no-such-model")
assert client.get_server_metadata()["name"] == "preheat"
metadata = client.get_model_metadata(MODEL)
assert metadata["name"] == MODEL, metadata
config = client.get_model_config(MODEL)
assert config["name"] == MODEL, config

text = metadata["inputs"][0]
assert text["datatype"] == "BYTES", text
output = metadata["outputs"][0]["name"]

for binary in (True, False):
    given = triton.InferInput(text["name"], [len(TEXTS)], "BYTES")
    given.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=binary)
    for binary_answer in (True, False):
        wanted = triton.InferRequestedOutput(output, binary_data=binary_answer)
        answer = client.infer(MODEL, [given], outputs=[wanted], request_id="seven")
        check(answer.as_numpy(output))
        assert answer.get_response()["id"] == "seven"
    # Without outputs named, this client asks for all of them in binary.
    check(client.infer(MODEL, [given]).as_numpy(output))

statistics = client.get_inference_statistics(MODEL)["model_stats"][0]
assert int(statistics["inference_count"]) >= 6 * len(TEXTS), statistics

try:
    client.infer("no-such-model", [given])
    raise SystemExit("an unknown model was served")
except InferenceServerException as error:
    assert error.message().startswith("Request for unknown model"), error

"""Triton's gRPC client: health, metadata, inference."""

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from reference import GRPC, MODEL, TEXTS, check

client = triton.InferenceServerClient(url=GRPC)

assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
assert client.get_server_metadata().name == "preheat"
metadata = client.get_model_metadata(MODEL)
assert metadata.name == MODEL, metadata
assert client.get_model_config(MODEL).config.name == MODEL
assert MODEL in [model.name for model in client.get_model_repository_index().models]

output = metadata.outputs[0].name
given = triton.InferInput(metadata.inputs[0].name, [len(TEXTS)], "BYTES")
given.set_data_from_numpy(np.array(TEXTS, dtype=np.object_))
check(client.infer(MODEL, [given], request_id="seven").as_numpy(output))
wanted = [triton.InferRequestedOutput(output)]
check(client.infer(MODEL, [given], outputs=wanted).as_numpy(output))

statistics = client.get_inference_statistics(MODEL).model_stats[0]
assert statistics.inference_count >= 2 * len(TEXTS), statistics

try:
    client.infer("no-such-model", [given])
    raise SystemExit("an unknown model was served")
except InferenceServerException as error:
    assert error.message().startswith("Request for unknown model"), error
    assert error.status() == "StatusCode.NOT_FOUND", error.status()

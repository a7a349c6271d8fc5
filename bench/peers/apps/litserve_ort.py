"""LitServe around ONNX Runtime, with its dynamic batching off: a request is a batch of texts already."""
import os

import litserve
from onnx_embedder import Embedder


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = Embedder()
        for texts in (["a warm text"], ["a warm text"] * 16, ["word " * 200]):
            for _ in range(3):
                self.model(texts)

    def decode_request(self, request):
        return request["inputs"]

    def predict(self, texts):
        return self.model(texts)

    def encode_response(self, output):
        return {"vectors": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", healthcheck_path="/ready")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")

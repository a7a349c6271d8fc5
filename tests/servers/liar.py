"""A server that lies about its readiness: it calls itself healthy at once, answers its first requests
with an error, the next ones with the wrong shape, and only then rightly. Every request that is not part
of somebody's warm-up would have met that."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS, MISSHAPEN = 3, 3
asked = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: without this, the second one waits for an acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self):
        self.answer(200, {"status": "ready"})

    def do_POST(self):
        global asked
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked += 1
        if asked <= ERRORS:
            self.answer(500, {"detail": "model is None"})
        elif asked <= ERRORS + MISSHAPEN:
            self.answer(200, {"embeddings": [[0.5]]})
        else:
            self.answer(200, {"embeddings": [[0.5, 0.25, 0.125] for _ in texts]})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()

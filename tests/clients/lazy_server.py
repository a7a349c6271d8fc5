"""A model server as many are: it says that it is ready at once, and loads its model in the first
request. Prints its address; ends when its standard input is closed."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOAD_SECONDS, RUN_SECONDS = 0.4, 0.004
loaded = False
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: without this, the second one waits for an acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self):
        self.answer(200 if self.path in ("/ready", "/health") else 404, {"status": "ok"})

    def do_POST(self):
        global loaded
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/embed" or not isinstance(body, list):
            self.answer(422, {"detail": "a list of texts is expected"})
            return
        with lock:
            if not loaded:
                time.sleep(LOAD_SECONDS)
                loaded = True
        time.sleep(RUN_SECONDS)
        self.answer(200, {"embeddings": [[0.1, 0.2] for _ in body]})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()

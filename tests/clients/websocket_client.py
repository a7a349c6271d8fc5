"""A WebSocket that is spoken for a while: text both ways, a message of many frames, a proper end."""

import os

from websockets.sync.client import connect

with connect(f"ws://{os.environ['PREHEAT_TEST_HTTP']}/live") as socket:
    for text in ("one", "two", "x" * 300_000):
        socket.send(text)
        assert socket.recv() == text.upper(), text
print("ok")

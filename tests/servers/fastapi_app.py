"""A model server as many are: FastAPI before ONNX Runtime. It loads its model in the first request, and
says that it is ready at once. Served by uvicorn."""

import os

import numpy
import onnxruntime
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

app = FastAPI()
session = None


class Speech(BaseModel):
    samples: list[float]


def model():
    global session
    if session is None:
        session = onnxruntime.InferenceSession(os.environ["MODEL"])
    return session


@app.get("/health")
def health():
    return {"status": "ok"}


@app.websocket("/live")
async def live(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text((await socket.receive_text()).upper())
    except WebSocketDisconnect:
        pass


@app.post("/speech")
def speech(body: Speech):
    samples = numpy.zeros((1, 576), numpy.float32)
    given = numpy.asarray(body.samples[:576], numpy.float32)
    samples[0, : len(given)] = given
    state = numpy.zeros((2, 1, 128), numpy.float32)
    feeds = {"input": samples, "state": state, "sr": numpy.array(16000, numpy.int64)}
    names = {one.name for one in model().get_inputs()}
    output = model().run(None, {name: x for name, x in feeds.items() if name in names})
    return {"probability": float(output[0].ravel()[0])}

"""FastAPI around ONNX Runtime, warmed."""
import os
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from onnx_embedder import Embedder
from pydantic import BaseModel

state = {}


@asynccontextmanager
async def lifespan(_app):
    state["model"] = Embedder()
    for texts in (["a warm text"], ["a warm text"] * 16, ["word " * 200]):
        for _ in range(3):
            state["model"](texts)
    yield


app = FastAPI(lifespan=lifespan)


class Ask(BaseModel):
    inputs: list[str]


@app.get("/ready")
def ready():
    return {"ready": True}


@app.post("/embed")
def embed(ask: Ask):
    return state["model"](ask.inputs).tolist()


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False)

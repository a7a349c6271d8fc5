"""The common pattern: FastAPI around sentence-transformers. With WARM=1 it warms up as users would."""
import os
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

state = {}


@asynccontextmanager
async def lifespan(_app):
    state["model"] = SentenceTransformer(os.environ["MODEL"], device="cpu")
    state["model"].max_seq_length = 256
    if os.environ.get("WARM") == "1":
        for texts in (["a warm text"], ["a warm text"] * 16, ["word " * 200]):
            for _ in range(3):
                state["model"].encode(texts, normalize_embeddings=True)
    yield


app = FastAPI(lifespan=lifespan)


class Ask(BaseModel):
    inputs: list[str]


@app.get("/ready")
def ready():
    return {"ready": True}


# Not async: FastAPI runs it in its thread pool, so that probes are answered meanwhile.
@app.post("/embed")
def embed(ask: Ask):
    return state["model"].encode(ask.inputs, normalize_embeddings=True).tolist()


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False)

"""Addresses of the replica under test and the vectors it must answer. Shared by the client scripts.

Each script is an unmodified client's ordinary use; it exits with 0 when everything was as expected.
"""

import json
import os

import numpy as np

HTTP = os.environ.get("PREHEAT_TEST_HTTP", "127.0.0.1:8000")
GRPC = os.environ.get("PREHEAT_TEST_GRPC", "127.0.0.1:8001")
MODEL = os.environ.get("PREHEAT_TEST_MODEL", "embedder")

with open(os.environ["PREHEAT_TEST_REFERENCE"], encoding="utf-8") as file:
    _reference = json.load(file)

TEXTS = _reference["texts"]
TOKEN_IDS = _reference["token_ids"]
VECTORS = np.array(_reference["vectors"], dtype=np.float32)


def check(vectors, of=VECTORS):
    """Fails unless the vectors are the reference's, row by row."""
    vectors = np.asarray(vectors, dtype=np.float32)
    assert vectors.shape == of.shape, f"shape {vectors.shape}, not {of.shape}"
    worst = float(np.abs(vectors - of).max())
    assert worst < 1e-4, f"off by {worst}"

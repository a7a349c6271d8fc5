"""Hugging Face's client against text-embeddings-inference routes."""

from huggingface_hub import InferenceClient

from reference import HTTP, TEXTS, VECTORS, check

client = InferenceClient(base_url=f"http://{HTTP}/embed")

check(client.feature_extraction(TEXTS[0]), VECTORS[:1])
check(client.feature_extraction(TEXTS, normalize=True, truncate=True))

# An endpoint given without a route is asked at its root.
root = InferenceClient(base_url=f"http://{HTTP}")
check(root.feature_extraction(TEXTS))

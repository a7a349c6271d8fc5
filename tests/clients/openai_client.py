"""OpenAI's Python client: embeddings as floats, as base64, shortened, and from token ids."""

import openai

from reference import HTTP, MODEL, TEXTS, TOKEN_IDS, VECTORS, check

client = openai.OpenAI(base_url=f"http://{HTTP}/v1", api_key="any", max_retries=0)


def vectors(answer):
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return [item.embedding for item in answer.data]


assert MODEL in [model.id for model in client.models.list()]

# Unless told otherwise this client asks for base64 and decodes it.
check(vectors(client.embeddings.create(model=MODEL, input=TEXTS)))
answer = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
check(vectors(answer))
assert answer.usage.prompt_tokens == sum(map(len, TOKEN_IDS)), answer.usage
check(vectors(client.embeddings.create(model=MODEL, input=TEXTS[0])), VECTORS[:1])
check(vectors(client.embeddings.create(model=MODEL, input=TOKEN_IDS)))

short = VECTORS[:, :64] / ((VECTORS[:, :64] ** 2).sum(axis=1, keepdims=True) ** 0.5)
check(vectors(client.embeddings.create(model=MODEL, input=TEXTS, dimensions=64)), short)

try:
    client.embeddings.create(model="no-such-model", input="x")
    raise SystemExit("an unknown model was served")
except openai.NotFoundError as error:
    assert error.body["message"], error.body

try:
    client.embeddings.create(model=MODEL, input=[])
    raise SystemExit("an empty input was served")
except openai.BadRequestError:
    pass

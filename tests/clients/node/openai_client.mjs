// OpenAI's Node client: embeddings as base64 (its default), as floats, and an unknown model.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const model = process.env.PREHEAT_TEST_MODEL;
const { texts, vectors } = JSON.parse(readFileSync(process.env.PREHEAT_TEST_REFERENCE, "utf8"));
const client = new OpenAI({
  baseURL: `http://${process.env.PREHEAT_TEST_HTTP}/v1`,
  apiKey: "any",
  maxRetries: 0,
});

function check(answer) {
  assert.equal(answer.data.length, vectors.length);
  answer.data.forEach(({ index, embedding }, row) => {
    assert.equal(index, row);
    assert.equal(embedding.length, vectors[row].length);
    embedding.forEach((value, column) => {
      assert.ok(Math.abs(value - vectors[row][column]) < 1e-4, `row ${row}, column ${column}`);
    });
  });
}

const ids = (await client.models.list()).data.map(({ id }) => id);
assert.ok(ids.includes(model));

check(await client.embeddings.create({ model, input: texts }));
check(await client.embeddings.create({ model, input: texts, encoding_format: "float" }));

await assert.rejects(
  client.embeddings.create({ model: "no-such-model", input: "x" }),
  OpenAI.NotFoundError,
);

// A server without a framework: embeddings, a stream, an echo of what came. Its model is slow at first.
import { createServer } from "node:http";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let loaded = false;
let asked = 0;

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function json(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

const routes = {
  async "POST /embed"(request, response) {
    const texts = JSON.parse(await body(request));
    asked += 1;
    if (!loaded) await pause(150);
    loaded = true;
    if (request.url.includes("slow")) await pause(1000);
    json(response, 200, { embeddings: texts.map((text) => [text.length, 1]), id: asked });
  },
  // As chat servers answer: an event for each word, the connection open between them.
  async "POST /v1/chat/completions"(request, response) {
    const words = JSON.parse(await body(request)).messages[0].content.split(" ");
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const word of words) {
      response.write(`data: ${JSON.stringify({ word })}\n\n`);
      await pause(20);
    }
    response.end("data: [DONE]\n\n");
  },
  async "PUT /echo"(request, response) {
    const text = await body(request);
    json(response, 201, { method: request.method, url: request.url, headers: request.headers, text });
  },
  async "POST /die"(request) {
    await body(request);
    process.exit(7);
  },
};

createServer((request, response) => {
  const route = routes[`${request.method} ${request.url.split("?")[0]}`];
  if (route) route(request, response);
  else json(response, 404, { detail: "no such route" });
}).listen(Number(process.env.PORT), "127.0.0.1", () => console.log(`plain on ${process.env.PORT}`));

import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode } from "./frame.mjs";
import { code, perform } from "./host.mjs";
import { Pool } from "./pool.mjs";
import { wasi } from "./wasi.mjs";
import { handlers, readBody } from "./worker.mjs";

const reply = encode({ status: 200, header: [["content-type", "application/json"]] }, new TextEncoder().encode("{}"));

/** An instance that does what the test says. */
function fake({ clean = true, size = 1, run = async (_frame, _perform, answer) => answer(reply) } = {}) {
  return {
    size,
    async run(frame, perform, answer) {
      await run(frame, perform, answer);
      return clean;
    },
  };
}

test("a frame comes out as it went in", () => {
  const body = new Uint8Array([0, 255, 10, 34]);
  const { meta, body: out } = decode(encode({ a: "ë😀\u2028" }, body));
  assert.deepEqual(meta, { a: "ë😀\u2028" });
  assert.deepEqual([...out], [...body]);
});

test("a frame that is cut off is none", () => {
  assert.throws(() => decode(encode({ a: 1 }).subarray(0, 6)));
});

test("an instance that is done waits for the next request", async () => {
  let made = 0;
  const pool = new Pool(() => (made++, fake()));
  for (let i = 0; i < 3; i++) await pool.run({}, new Uint8Array(), async () => new Uint8Array()).done;
  assert.equal(made, 1);
  assert.equal(pool.idle, 1);
});

for (const [why, options] of [
  ["an instance that is busy is let go", { clean: false }],
  ["an instance that has grown is let go", { size: 17 << 20 }],
  ["an instance that has trapped is let go", { run: async () => Promise.reject(new WebAssembly.RuntimeError("unreachable")) }],
]) {
  test(why, async (t) => {
    t.mock.method(console, "error", () => {});
    const pool = new Pool(() => fake(options));
    const { answer, done } = pool.run({}, new Uint8Array(), async () => new Uint8Array());
    await done;
    assert.equal(pool.idle, 0);
    if (options.run) await assert.rejects(answer);
  });
}

test("a request that never settles is forgotten, and others are served", async () => {
  let made = 0;
  const pool = new Pool(() => fake(made++ === 0 ? { run: () => new Promise(() => {}) } : {}));
  pool.run({}, new Uint8Array(), async () => new Uint8Array());
  await pool.run({}, new Uint8Array(), async () => new Uint8Array()).done;
  assert.equal(pool.idle, 1);
});

test("no more instances are kept than an isolate has room for", async () => {
  const pool = new Pool(() => fake({ run: async (_f, _p, answer) => (await new Promise((r) => setImmediate(r)), answer(reply)) }));
  await Promise.all(Array.from({ length: 40 }, () => pool.run({}, new Uint8Array(), async () => new Uint8Array()).done));
  assert.equal(pool.idle, 8);
});

test("path, query and headers are what was sent", async () => {
  let seen;
  const pool = { run: (_env, frame) => ((seen = decode(frame)), { answer: Promise.resolve(reply), done: Promise.resolve() }) };
  const request = new Request("https://example.com/tools/a%2Fb?x=%20y&call=CA1#part", {
    method: "POST",
    body: " {} \n",
    headers: { "X-Signature": "t=1,v1=abc", "X-Date": "Mon, 23 Nov 2026 12:00:00 GMT", "cf-connecting-ip": "203.0.113.9" },
  });
  const response = await handlers(pool).fetch(request, {}, { waitUntil() {} });
  assert.equal(response.status, 200);
  assert.equal(seen.meta.path, "/tools/a%2Fb");
  assert.equal(seen.meta.query, "x=%20y&call=CA1");
  assert.equal(seen.meta.remote, "203.0.113.9");
  assert.deepEqual(Object.fromEntries(seen.meta.header)["x-signature"], "t=1,v1=abc");
  assert.deepEqual(Object.fromEntries(seen.meta.header)["x-date"], "Mon, 23 Nov 2026 12:00:00 GMT");
  assert.equal(new TextDecoder().decode(seen.body), " {} \n");
});

test("a body over the cap is refused before it is copied", async () => {
  const large = new Request("https://example.com/", { method: "POST", body: new Uint8Array((6 << 20) + 1) });
  assert.equal(await readBody(large), undefined);
  const fits = new Request("https://example.com/", { method: "POST", body: new Uint8Array(6 << 20) });
  assert.equal((await readBody(fits)).length, 6 << 20);
});

test("a request without an answer is 503, in constant words", async () => {
  const pool = { run: () => ({ answer: Promise.reject(new Error("memory of a patient")), done: Promise.resolve() }) };
  const response = await handlers(pool).fetch(new Request("https://example.com/"), {}, { waitUntil() {} });
  assert.equal(response.status, 503);
  assert.equal(await response.text(), '{"error":"try again"}');
});

test("each message is acknowledged for itself", async () => {
  const said = [];
  const message = (id, body) => ({ body, attempts: 1, ack: () => said.push(`${id} ack`), retry: ({ delaySeconds }) => said.push(`${id} retry ${delaySeconds}`) });
  const pool = {
    run(_env, frame) {
      const { body } = decode(frame);
      if (body[0] === 9) return { answer: Promise.reject(new Error("trap")), done: Promise.resolve() };
      return { answer: Promise.resolve(encode(body[0] === 1 ? { done: true } : { delay: 7 })), done: Promise.resolve() };
    },
  };
  await handlers(pool).queue({ messages: [message("a", new Uint8Array([1])), message("b", new Uint8Array([2])), message("c", new Uint8Array([9]))] }, {});
  assert.deepEqual(said.sort(), ["a ack", "b retry 7", "c retry 5"]);
});

test("what the platform says of an error stays here", async () => {
  const env = { DB: { prepare: () => ({ bind() {} }), batch: () => Promise.reject(new Error("D1_ERROR: no such table: Sam Rivera")) } };
  const { meta } = decode(await perform(env, encode({ op: "d1", statements: [] })));
  assert.deepEqual(meta, { error: "schema" });
  assert.equal(code(new Error("NOT NULL constraint failed: serverurl_records.value")), "stale");
  assert.equal(code(new Error("something of Sam Rivera's")), "other");
});

test("an operation that has ended can be read once", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  globalThis.WebAssembly.Suspending ??= function (f) {
    return f;
  };
  const { imports, ended } = wasi(() => memory, { A: "1" });
  const v = new DataView(memory.buffer);
  v.setUint32(0, 64, true);
  v.setUint32(4, 8, true);
  assert.equal(imports.fd_read(3, 0, 1, 32), 6); // nothing yet
  ended(5, 99);
  assert.equal(imports.fd_read(3, 0, 1, 32), 0);
  assert.equal(v.getUint32(64, true), 5);
  assert.equal(v.getUint32(68, true), 99);
  assert.equal(imports.fd_read(3, 0, 1, 32), 6);
  assert.equal(imports.fd_read(4, 0, 1, 32), 8); // no such file
});

test("a response is read up to the limit, and a redirect is a response", async (t) => {
  let options;
  t.mock.method(globalThis, "fetch", async (_url, o) => {
    options = o;
    return new Response("12345", { status: 201, headers: { location: "/x" } });
  });
  const fetched = async (limit) => decode(await perform({}, encode({ op: "fetch", method: "GET", url: "https://example.com/", limit })));
  const { meta, body } = await fetched(5);
  assert.equal(meta.status, 201);
  assert.equal(new TextDecoder().decode(body), "12345");
  assert.equal(options.redirect, "manual");
  assert.deepEqual((await fetched(4)).meta, { error: "too-large" });
});

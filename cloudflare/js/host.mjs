/**
 * What Go asks for: the Worker's bindings. An operation that fails is a code;
 * texts of the platform may quote what was sent, and stay here.
 */

import { decode, encode } from "./frame.mjs";

/**
 * @typedef {object} Env
 * @property {D1Database} DB
 * @property {Queue} EVENTS
 * @property {R2Bucket} BODIES
 */

/**
 * @param {Partial<Env>} env
 * @param {Uint8Array<ArrayBuffer>} frame
 * @returns {Promise<Uint8Array>}
 */
export async function perform(env, frame) {
  try {
    const { meta, body } = decode(frame);
    const operation = operations[meta.op];
    if (!operation) return encode({ error: "binding" });
    return await operation(env, meta, body);
  } catch (e) {
    return encode({ error: code(e) });
  }
}

/** @type {Record<string, (env: Partial<Env>, meta: any, body: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>>} */
const operations = {
  async d1(env, { statements }, body) {
    const db = bound(env.DB);
    const results = await db.batch(
      statements.map((/** @type {{sql: string, params: any[]}} */ { sql, params }) =>
        db.prepare(sql).bind(...params.map((p) => (p?.to >= 0 ? body.slice(p.from, p.to).buffer : p))),
      ),
    );
    return encode({
      results: results.map((r) => ({
        changes: r.meta.changes,
        rows: r.results.map((row) => Object.values(/** @type {object} */ (row))),
      })),
    });
  },

  async queue(env, _meta, body) {
    await bound(env.EVENTS).send(body, { contentType: "bytes" });
    return encode({});
  },

  async r2(env, { method, key }, body) {
    const bucket = bound(env.BODIES);
    switch (method) {
      case "put":
        await bucket.put(key, body);
        return encode({});
      case "delete":
        await bucket.delete(key);
        return encode({});
    }
    const object = await bucket.get(key);
    return object ? encode({}, new Uint8Array(await object.arrayBuffer())) : encode({ missing: true });
  },

  // Go decides about redirects, and about how large a response may be.
  async fetch(_env, { method, url, header, limit }, body) {
    const response = await fetch(url, { method, headers: header ?? [], body: body.length > 0 ? body : null, redirect: "manual" });
    return encode({ status: response.status, header: [...response.headers] }, await read(response, limit));
  },
};

class TooLarge extends Error {}

/**
 * @param {Response} response
 * @param {number} limit of bytes
 */
async function read(response, limit) {
  const parts = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > limit) throw new TooLarge();
    parts.push(part);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

class Unbound extends Error {}

/**
 * @template T
 * @param {T | undefined} binding
 * @returns {T}
 */
function bound(binding) {
  if (!binding) throw new Unbound();
  return binding;
}

/** @type {[RegExp, string][]} the first that matches */
const codes = [
  [/NOT NULL constraint failed: serverurl_records\.value/, "stale"],
  [/no such table|no such column/i, "schema"],
  [/overloaded|too many requests|too long/i, "overloaded"],
  [/reset|network connection lost|disconnected/i, "reset"],
  [/time(d )?out/i, "timeout"],
  [/limit|too (large|big|many)/i, "limit"],
];

/** @param {unknown} e */
export function code(e) {
  if (e instanceof Unbound) return "binding";
  if (e instanceof TooLarge) return "too-large";
  const text = String(e);
  return codes.find(([pattern]) => pattern.test(text))?.[1] ?? "other";
}

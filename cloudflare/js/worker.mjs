/**
 * The handlers of a Worker around a backend in Go:
 *
 *     import module from "../../bin/worker.wasm";
 *     import { worker } from "../../cloudflare/js/worker.mjs";
 *     export default worker(module);
 */

import { decode, encode } from "./frame.mjs";
import { perform } from "./host.mjs";
import { poolOf } from "./pool.mjs";

/** The most bytes of a body, as core.Limits has it. */
export const MAX_BODY = 6 << 20;

/** How many messages of a batch are delivered side by side. */
const LANES = 4;

const JSON_TYPE = { "content-type": "application/json" };
const unavailable = () => new Response('{"error":"try again"}', { status: 503, headers: { ...JSON_TYPE, "retry-after": "1" } });

/**
 * @param {WebAssembly.Module} module
 */
export function worker(module) {
  return handlers(poolOf(module));
}

/**
 * @param {Pick<import("./pool.mjs").Pool, "run">} pool
 * @returns {ExportedHandler<import("./host.mjs").Env, Uint8Array | ArrayBuffer>}
 */
export function handlers(pool) {
  /** @param {import("./host.mjs").Env} env @param {object} meta @param {Uint8Array} [body] */
  const run = (env, meta, body) => pool.run(env, encode(meta, body), (frame) => perform(env, frame));

  return {
    async fetch(request, env, ctx) {
      const body = await readBody(request);
      const meta = body ? describe(request) : { ...describe(request), large: true };
      const { answer, done } = run(env, meta, body);
      ctx.waitUntil(done); // also when the client has gone
      try {
        const { meta, body } = decode(/** @type {Uint8Array<ArrayBuffer>} */ (await answer));
        return new Response(body.length > 0 ? body : null, { status: meta.status, headers: meta.header });
      } catch {
        return unavailable();
      }
    },

    async queue(batch, env) {
      const waiting = [...batch.messages];
      const lane = async () => {
        for (let m = waiting.shift(); m; m = waiting.shift()) {
          try {
            const { answer, done } = run(env, { kind: "message", attempts: m.attempts }, bytes(m.body));
            const { meta } = decode(/** @type {Uint8Array<ArrayBuffer>} */ (await answer));
            if (meta.done) m.ack();
            else m.retry({ delaySeconds: meta.delay });
            await done;
          } catch {
            m.retry({ delaySeconds: 5 });
          }
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
    },

    async scheduled(_event, env) {
      const { answer, done } = run(env, { kind: "scheduled" });
      const { meta } = decode(/** @type {Uint8Array<ArrayBuffer>} */ (await answer));
      await done;
      if (!meta.done) throw new Error("the sweep is not complete; the next one looks again");
    },
  };
}

/**
 * What Go is told of a request: path and query as they were sent.
 *
 * @param {Request} request
 */
function describe(request) {
  const rest = request.url.slice(request.url.indexOf("//") + 2);
  const start = rest.search(/[/?#]/);
  const target = (start < 0 ? "/" : rest.slice(start)).split("#", 1)[0];
  const mark = target.indexOf("?");
  return {
    kind: "fetch",
    method: request.method,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? "" : target.slice(mark + 1),
    header: [...request.headers],
    remote: request.headers.get("cf-connecting-ip") ?? "",
  };
}

/**
 * Reads a body up to the cap, before anything of it is copied into WASM.
 *
 * @param {Request} request
 * @returns {Promise<Uint8Array | undefined>} undefined when it is larger
 */
export async function readBody(request) {
  if (Number(request.headers.get("content-length")) > MAX_BODY) return undefined;
  if (!request.body) return new Uint8Array();
  const parts = [];
  let n = 0;
  const reader = request.body.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    n += value.length;
    if (n > MAX_BODY) {
      await reader.cancel();
      return undefined;
    }
    parts.push(value);
  }
  if (parts.length === 1) return parts[0];
  const body = new Uint8Array(n);
  let at = 0;
  for (const p of parts) {
    body.set(p, at);
    at += p.length;
  }
  return body;
}

/** @param {Uint8Array | ArrayBuffer} body */
function bytes(body) {
  return body instanceof Uint8Array ? body : new Uint8Array(body);
}

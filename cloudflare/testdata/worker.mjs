// The handlers that are deployed, with Go behind HTTP in place of the WASM.
import { perform } from "../js/host.mjs";
import { handlers } from "../js/worker.mjs";

const pool = {
  run(env, frame) {
    const answer = fetch(env.CALLBACK + "/run", { method: "POST", body: frame }).then(async (r) => {
      if (r.status !== 200) throw new Error("no answer");
      return new Uint8Array(await r.arrayBuffer());
    });
    answer.catch(() => {});
    return { answer, done: answer.then(() => {}, () => {}) };
  },
};
const deployed = handlers(pool);

export default {
  async fetch(request, env, ctx) {
    if (request.headers.get("x-test") !== "host") return deployed.fetch(request, env, ctx);
    const frame = new Uint8Array(await request.arrayBuffer());
    return new Response(await perform({ ...env, DB: env["DB" + new URL(request.url).pathname.slice(1)] }, frame));
  },
  queue: deployed.queue,
};

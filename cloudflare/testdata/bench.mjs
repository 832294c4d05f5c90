// A Worker of Hono in workerd, for BenchmarkWorkerd. It prints its URL and stops
// when its input ends.
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { Log, LogLevel, Miniflare } from "miniflare";

const here = path.dirname(fileURLToPath(import.meta.url));
const { outputFiles } = await build({ entryPoints: [path.join(here, "hono.mjs")], bundle: true, format: "esm", minify: true, write: false });
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  log: new Log(LogLevel.ERROR),
  modules: true,
  script: outputFiles[0].text,
  compatibilityDate: "2026-04-01",
  bindings: { SERVERURL_SECRET: process.argv[2] },
  queueProducers: { EVENTS: "events" },
});
console.log(`listening on ${(await miniflare.ready).origin}`);
process.stdin.on("data", () => {}).on("close", async () => {
  await miniflare.dispose();
  process.exit(0);
});

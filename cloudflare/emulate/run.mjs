/**
 * Runs the Worker of wrangler.jsonc in workerd, with miniflare's D1, Queues and
 * R2 beside it, until its standard input ends. Package emulate starts it.
 *
 *     node run.mjs CONFIG
 *
 * The first line of its input is JSON: host, port, data (a folder, or "" for
 * memory), secrets (an object), sweep (milliseconds), wasm (the file that was built).
 */

import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";

import { Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig } from "wrangler";

const config = process.argv[2];
const input = createInterface({ input: process.stdin });
const options = JSON.parse(await new Promise((resolve) => input.once("line", resolve)));
const root = path.dirname(config);
const settings = unstable_readConfig({ config });
const { workerOptions } = unstable_getMiniflareWorkerOptions(config);

// The modules as they stand in the checkout: workerd loads them without a bundler.
const js = path.join(root, "cloudflare/js");
const modules = [
  { type: "ESModule", path: settings.main, contents: await readFile(settings.main, "utf8") },
  { type: "CompiledWasm", path: path.join(root, "bin/worker.wasm"), contents: await readFile(options.wasm) },
];
for (const name of await readdir(js)) {
  if (name.endsWith(".mjs") && !name.endsWith(".test.mjs")) {
    modules.push({ type: "ESModule", path: path.join(js, name), contents: await readFile(path.join(js, name), "utf8") });
  }
}

const persist = (kind) => (options.data ? path.join(options.data, kind) : false);
const miniflare = new Miniflare({
  ...workerOptions,
  modules,
  modulesRoot: root,
  bindings: { ...workerOptions.bindings, ...options.secrets },
  host: options.host,
  port: Number(options.port),
  cf: false,
  unsafeTriggerHandlers: true,
  d1Persist: persist("d1"),
  r2Persist: persist("r2"),
  log: new Log(LogLevel.WARN),
});

const url = await miniflare.ready;
await migrate(await miniflare.getD1Database("DB"), settings.d1_databases[0].migrations_dir);
const worker = await miniflare.getWorker();
const sweeping = setInterval(() => worker.scheduled({ cron: settings.triggers.crons[0] }).catch(() => {}), options.sweep);
console.log(`listening on ${url.origin}`);

input.once("close", async () => {
  clearInterval(sweeping);
  await miniflare.dispose();
  process.exit(0);
});

/** Applies the migrations of sqldb, in the table that wrangler keeps of them. */
async function migrate(db, directory) {
  await db.exec("CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)");
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all();
  const applied = new Set(results.map((r) => r.name));
  for (const name of (await readdir(path.resolve(root, directory))).sort()) {
    if (!name.endsWith(".sql") || applied.has(name)) continue;
    const text = await readFile(path.resolve(root, directory, name), "utf8");
    const statements = text.replace(/--.*$/gm, "").split(";").map((s) => s.trim()).filter(Boolean);
    await db.batch([...statements.map((s) => db.prepare(s)), db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name)]);
  }
}

// Real D1, Queues and R2 of miniflare in workerd, for tests whose Go side runs
// natively: operations come in by HTTP, what the Worker is called for goes out.
//
//     node host.mjs CONFIG CALLBACK
//
// It prints its URL and stops when its input ends.
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";

const [config, callback] = process.argv.slice(2);
const settings = unstable_readConfig({ config });
const root = path.dirname(config);
const here = path.dirname(fileURLToPath(import.meta.url));
const js = path.join(root, "cloudflare/js");
const files = [path.join(here, "worker.mjs"), ...(await readdir(js)).filter((n) => n.endsWith(".mjs") && !n.endsWith(".test.mjs")).map((n) => path.join(js, n))];
const modules = await Promise.all(files.map(async (file) => ({ type: "ESModule", path: file, contents: await readFile(file, "utf8") })));
const databases = Array.from({ length: 80 }, (_, n) => `DB${n}`);
const consumer = settings.queues.consumers[0];
const shared = { modulesRoot: root, compatibilityDate: settings.compatibility_date, d1Databases: Object.fromEntries(databases.map((n) => [n, n])), r2Buckets: { BODIES: "bodies" } };
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port: 0,
  cf: false,
  log: new Log(LogLevel.ERROR),
  workers: [
    {
      ...shared,
      name: "serverurl",
      modules,
      bindings: { CALLBACK: callback },
      queueProducers: { EVENTS: consumer.queue },
      // Fewer tries than a deployed Worker has, so that a test sees their end.
      queueConsumers: { [consumer.queue]: { maxBatchSize: consumer.max_batch_size, maxBatchTimeout: 0.05, maxRetries: 4, deadLetterQueue: consumer.dead_letter_queue } },
    },
    {
      name: "dead",
      modules: true,
      compatibilityDate: settings.compatibility_date,
      bindings: { CALLBACK: callback },
      queueConsumers: { [consumer.dead_letter_queue]: { maxBatchTimeout: 0.05 } },
      script: `export default {
        async queue(batch, env) {
          for (const m of batch.messages) await fetch(env.CALLBACK + "/dead", { method: "POST", body: m.body });
        },
      }`,
    },
  ],
});
const url = await miniflare.ready;
const directory = path.resolve(root, settings.d1_databases[0].migrations_dir);
for (const name of (await readdir(directory)).sort()) {
  const text = await readFile(path.join(directory, name), "utf8");
  const statements = text.replace(/--.*$/gm, "").split(";").map((s) => s.trim()).filter(Boolean);
  for (const database of databases) {
    const db = await miniflare.getD1Database(database, "serverurl");
    await db.batch(statements.map((s) => db.prepare(s)));
  }
}
console.log(url.origin);
process.stdin.on("data", () => {}).on("close", async () => {
  await miniflare.dispose();
  process.exit(0);
});

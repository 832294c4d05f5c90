// The entry of the Worker: wrangler.jsonc names it. The WASM is this folder's
// main.go, built before it is bundled.
import module from "../../bin/worker.wasm";
import { worker } from "../../cloudflare/js/worker.mjs";

export default worker(module);

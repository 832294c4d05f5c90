/**
 * One instance of the WASM. It does one request at a time: it has one memory,
 * and while it waits all of it is suspended (JSPI). Go's own scheduler runs
 * inside, so that several operations and timers of one request may be open.
 */

import { NOSYS, wasi } from "./wasi.mjs";

/**
 * @typedef {(frame: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>} Perform
 *   does one operation; see host.mjs
 *
 * @typedef {object} Exports what cloudflare/host_wasip1.go exports
 * @property {WebAssembly.Memory} memory
 * @property {() => void} _initialize
 * @property {(n: number) => number} run
 */

/** An instance that cannot go on: it has trapped, or ended itself. */
export class InstanceError extends Error {}

export class Instance {
  /** @type {Map<number, Promise<Uint8Array> | Uint8Array>} operations that are begun and not ended */
  #open = new Map();
  #last = 0;
  /** @type {Perform} */
  #perform = () => Promise.reject(new InstanceError("no request"));
  /** @type {Uint8Array} */
  #request = new Uint8Array();
  /** @type {(frame: Uint8Array) => void} */
  #answer = () => {};

  /**
   * @param {WebAssembly.Module} module
   * @param {Record<string, string>} environment what os.Getenv has
   */
  constructor(module, environment) {
    this.system = wasi(() => this.exports.memory, environment);
    const { begin, end, request, answer } = this;
    const instance = new WebAssembly.Instance(module, {
      wasi_snapshot_preview1: { ...unserved(module), ...this.system.imports },
      serverurl: { begin: begin.bind(this), end: end.bind(this), request: request.bind(this), answer: answer.bind(this) },
    });
    this.exports = /** @type {Exports} */ (/** @type {unknown} */ (instance.exports));
    this.starting = promising(this.exports._initialize)();
    this.enter = promising(this.exports.run);
  }

  /**
   * Does one request. The promise is true when the instance may do another.
   * It rejects when the instance has trapped.
   *
   * @param {Uint8Array} frame
   * @param {Perform} perform
   * @param {(frame: Uint8Array) => void} answer called before the work is over
   * @returns {Promise<boolean>}
   */
  async run(frame, perform, answer) {
    await this.starting;
    this.#request = frame;
    this.#perform = perform;
    this.#answer = answer;
    const busy = await this.enter(frame.length);
    return busy === 0 && this.#open.size === 0;
  }

  /** How many bytes of memory the instance has. It never becomes less. */
  get size() {
    return this.exports.memory.buffer.byteLength;
  }

  /** @param {number} at @param {number} n */
  bytes(at, n) {
    return new Uint8Array(this.exports.memory.buffer, at >>> 0, n >>> 0);
  }

  // What Go imports. Views of the memory are made anew each time: it grows.

  /** @param {number} at @param {number} n */
  begin(at, n) {
    const id = ++this.#last;
    this.#open.set(id, new Uint8Array());
    this.#perform(this.bytes(at, n).slice()).then(
      (result) => this.#ended(id, result),
      () => this.#ended(id, new Uint8Array()), // no frame: Go sees an error
    );
    return id;
  }

  /** @param {number} id @param {Uint8Array} result */
  #ended(id, result) {
    this.#open.set(id, result);
    this.system.ended(id, result.length);
  }

  /** @param {number} id @param {number} into 0: nobody wants it */
  end(id, into) {
    const result = this.#open.get(id);
    this.#open.delete(id);
    if (into !== 0 && result instanceof Uint8Array) this.bytes(into, result.length).set(result);
  }

  /** @param {number} into */
  request(into) {
    this.bytes(into, this.#request.length).set(this.#request);
    this.#request = new Uint8Array();
  }

  /** @param {number} at @param {number} n */
  answer(at, n) {
    this.#answer(this.bytes(at, n).slice());
  }
}

/**
 * Functions of WASI that there are no files for: a backend that links them may
 * run, and sees that they do not work.
 *
 * @param {WebAssembly.Module} module
 */
function unserved(module) {
  return Object.fromEntries(WebAssembly.Module.imports(module).map(({ name }) => [name, () => NOSYS]));
}

/**
 * @param {Function} f an export
 * @returns {(...args: number[]) => Promise<number>}
 */
function promising(f) {
  // @ts-expect-error JSPI has no types yet
  return WebAssembly.promising(f);
}

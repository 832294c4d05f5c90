/**
 * Instances that wait for their next request. One that is in use is in nobody's
 * list: when its request is cut off and its promise never settles, it is
 * forgotten with it. Nothing is counted that an abort could leave counted.
 */

import { Instance } from "./instance.mjs";

const IDLE = 8; // instances kept, of 5 to 16 MB each; an isolate has 128 MB
const GROWN = 16 << 20; // bytes: memory of WASM never shrinks, so a larger one is let go

export class Pool {
  /** @type {Instance[]} */
  #idle = [];

  /** @param {(environment: Record<string, string>) => Instance} create */
  constructor(create) {
    this.create = create;
  }

  /** How many instances wait. */
  get idle() {
    return this.#idle.length;
  }

  /**
   * Does one request on an instance of its own.
   *
   * @param {object} env the Worker's bindings; those that are text become variables
   * @param {Uint8Array} frame
   * @param {import("./instance.mjs").Perform} perform
   * @returns {{answer: Promise<Uint8Array>, done: Promise<void>}} answer rejects
   *   where there is none; done never rejects, and may be later
   */
  run(env, frame, perform) {
    /** @type {Promise<void>} */
    let done = Promise.resolve();
    /** @type {Promise<Uint8Array>} */
    const answer = new Promise((resolve, reject) => {
      done = this.#use(env, frame, perform, resolve).finally(() => reject(new Error("no answer")));
    });
    answer.catch(() => {}); // who does not wait for it is not told
    return { answer, done };
  }

  /**
   * @param {object} env
   * @param {Uint8Array} frame
   * @param {import("./instance.mjs").Perform} perform
   * @param {(frame: Uint8Array) => void} answer
   */
  async #use(env, frame, perform, answer) {
    try {
      const instance = this.#idle.pop() ?? this.create(texts(env));
      const clean = await instance.run(frame, perform, answer);
      if (clean && instance.size <= GROWN && this.#idle.length < IDLE) this.#idle.push(instance);
    } catch (e) {
      // What Go says of it is on stderr; what the error says may quote memory.
      console.error(JSON.stringify({ level: "ERROR", msg: "instance", state: "trap", reason: e instanceof Error ? e.name : "unknown" }));
    }
  }
}

/**
 * @param {object} env
 * @returns {Record<string, string>}
 */
function texts(env) {
  return Object.fromEntries(Object.entries(env).filter(([, v]) => typeof v === "string"));
}

/** @param {WebAssembly.Module} module */
export function poolOf(module) {
  return new Pool((environment) => new Instance(module, environment));
}

/**
 * As much of WASI (preview 1) as Go's runtime imports, and file 3: it can be
 * read when an operation of the host has ended, and holds its id and the length
 * of its result, four bytes each.
 */

const OK = 0;
const AGAIN = 6; // EAGAIN
const BADF = 8;
export const NOSYS = 52;

const ENDINGS = 3;
const CLOCK_REALTIME = 0;

const EVENT_CLOCK = 0;
const EVENT_READ = 1;
const SUBSCRIPTION = 48; // bytes
const EVENT = 32;

/**
 * @param {() => WebAssembly.Memory} memory
 * @param {Record<string, string>} environment
 */
export function wasi(memory, environment) {
  const view = () => new DataView(memory().buffer);
  const variables = Object.entries(environment).map(([k, v]) => new TextEncoder().encode(`${k}=${v}\0`));
  /** @type {[id: number, length: number][]} */
  const endings = [];
  /** @type {(() => void) | undefined} */
  let wake;
  const lines = ["", ""]; // of stdout and stderr, not yet at their ends

  const imports = {
    /** @param {number} count @param {number} size */
    args_sizes_get(count, size) {
      view().setUint32(count, 0, true);
      view().setUint32(size, 0, true);
      return OK;
    },
    args_get: () => OK,

    /** @param {number} count @param {number} size */
    environ_sizes_get(count, size) {
      view().setUint32(count, variables.length, true);
      view().setUint32(size, variables.reduce((n, v) => n + v.length, 0), true);
      return OK;
    },
    /** @param {number} pointers @param {number} at */
    environ_get(pointers, at) {
      const bytes = new Uint8Array(memory().buffer);
      for (const [i, v] of variables.entries()) {
        view().setUint32(pointers + 4 * i, at, true);
        bytes.set(v, at);
        at += v.length;
      }
      return OK;
    },

    /** @param {number} clock @param {bigint} _precision @param {number} out */
    clock_time_get(clock, _precision, out) {
      view().setBigUint64(out, clock === CLOCK_REALTIME ? BigInt(Date.now()) * 1_000_000n : monotonic(), true);
      return OK;
    },

    /** @param {number} at @param {number} n */
    random_get(at, n) {
      for (let i = 0; i < n; i += 65_536) { // the most that getRandomValues takes
        crypto.getRandomValues(new Uint8Array(memory().buffer, at + i, Math.min(65_536, n - i)));
      }
      return OK;
    },

    /** @param {number} fd @param {number} out */
    fd_fdstat_get(fd, out) {
      if (fd > ENDINGS) return BADF;
      new Uint8Array(memory().buffer, out, 24).fill(0);
      view().setUint8(out, 2); // a character device
      view().setUint16(out + 2, fd === ENDINGS ? 4 : 0, true); // NONBLOCK
      return OK;
    },
    /** @param {number} fd */
    fd_fdstat_set_flags: (fd) => (fd > ENDINGS ? BADF : OK),
    fd_prestat_get: () => BADF,
    fd_prestat_dir_name: () => BADF,
    fd_close: () => OK,

    /** @param {number} fd @param {number} vectors @param {number} count @param {number} out */
    fd_write(fd, vectors, count, out) {
      if (fd !== 1 && fd !== 2) return BADF;
      let text = lines[fd - 1];
      let n = 0;
      for (let i = 0; i < count; i++) {
        const at = view().getUint32(vectors + 8 * i, true);
        const length = view().getUint32(vectors + 8 * i + 4, true);
        text += new TextDecoder().decode(new Uint8Array(memory().buffer, at, length));
        n += length;
      }
      const whole = text.split("\n");
      lines[fd - 1] = /** @type {string} */ (whole.pop());
      for (const line of whole) (fd === 1 ? console.log : console.error)(line);
      view().setUint32(out, n, true);
      return OK;
    },

    /** @param {number} fd @param {number} vectors @param {number} _count @param {number} out */
    fd_read(fd, vectors, _count, out) {
      if (fd !== ENDINGS) return BADF;
      const ending = endings[0];
      if (!ending) return AGAIN;
      if (view().getUint32(vectors + 4, true) < 8) return NOSYS;
      endings.shift();
      const at = view().getUint32(vectors, true);
      view().setUint32(at, ending[0], true);
      view().setUint32(at + 4, ending[1], true);
      view().setUint32(out, 8, true);
      return OK;
    },

    // Go calls it whenever it has nothing to run, and now and then without a
    // pause only to look: then nothing is suspended.
    poll_oneoff: suspending(poll),

    sched_yield: () => OK,
    /** @param {number} code */
    proc_exit(code) {
      throw new Error(`the WASM has ended itself with ${code}`);
    },
  };

  /** @param {number} subscriptions @param {number} events @param {number} count @param {number} out */
  function poll(subscriptions, events, count, out) {
    let reads = -1;
    let clock = -1;
    let pause = 0n;
    const v = view();
    for (let i = 0; i < count; i++) {
      const s = subscriptions + SUBSCRIPTION * i;
      if (v.getUint8(s + 8) === EVENT_CLOCK) {
        clock = s;
        pause = v.getBigUint64(s + 24, true);
      } else if (v.getUint8(s + 8) === EVENT_READ && v.getUint32(s + 16, true) === ENDINGS) {
        reads = s;
      }
    }
    const report = () => {
      const v = view();
      const from = endings.length > 0 && reads >= 0 ? reads : clock;
      new Uint8Array(memory().buffer, events, EVENT).fill(0);
      v.setBigUint64(events, v.getBigUint64(from, true), true);
      v.setUint8(events + 10, from === reads ? EVENT_READ : EVENT_CLOCK);
      v.setUint32(out, 1, true);
      return OK;
    };
    if ((reads >= 0 && endings.length > 0) || (clock >= 0 && pause === 0n)) return report();
    return new Promise((resolve) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      wake = () => {
        wake = undefined;
        if (timer !== undefined) clearTimeout(timer);
        resolve(undefined);
      };
      // A millisecond more, because the clock of the timer is cut off to one.
      if (clock >= 0) timer = setTimeout(() => wake?.(), Number(pause / 1_000_000n) + 1);
    }).then(report);
  }

  return {
    imports,
    /** Tells Go that an operation has ended. @param {number} id @param {number} length */
    ended(id, length) {
      endings.push([id, length]);
      wake?.();
    },
  };
}

/** Go's runtime ends when its clock says 0. */
function monotonic() {
  return 1_000_000_000n + BigInt(Math.round((performance.timeOrigin + performance.now()) * 1_000_000));
}

/** @param {Function} f */
function suspending(f) {
  // @ts-expect-error JSPI has no types yet
  return new WebAssembly.Suspending(f);
}

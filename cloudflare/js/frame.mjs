/**
 * A frame: four bytes of length, little-endian, that many bytes of JSON, and
 * then bytes as they are. cloudflare/frame.go is the other side.
 */

/**
 * @param {unknown} meta
 * @param {Uint8Array} [body]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encode(meta, body = new Uint8Array()) {
  const head = new TextEncoder().encode(JSON.stringify(meta));
  const frame = new Uint8Array(4 + head.length + body.length);
  new DataView(frame.buffer).setUint32(0, head.length, true);
  frame.set(head, 4);
  frame.set(body, 4 + head.length);
  return frame;
}

/**
 * @param {Uint8Array<ArrayBuffer>} frame
 * @returns {{meta: any, body: Uint8Array<ArrayBuffer>}} the body is part of the frame
 */
export function decode(frame) {
  const n = new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0, true);
  const head = frame.subarray(4, 4 + n);
  if (head.length < n) throw new RangeError("a frame is cut off");
  return { meta: JSON.parse(new TextDecoder().decode(head)), body: frame.subarray(4 + n) };
}

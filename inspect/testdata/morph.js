// Returns what morph got wrong in the given number of random changes, or "".
(function (rounds, seed) {
  const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor((seed / 2147483648) * n); };
  function tree(depth, ids) {
    const el = document.createElement(["div", "ul", "section"][random(3)]);
    for (let i = random(3); i > 0; i--) el.setAttribute("data-" + "abc"[random(3)], random(3));
    if (random(2)) el.className = "x" + random(3);
    const free = Array.from(ids);
    for (let i = depth && random(7); i > 0; i--) {
      if (random(3) === 0) { el.append("text " + random(4)); continue; }
      const child = tree(depth - 1, ids);
      if (random(2) && free.length) child.id = free.splice(random(free.length), 1)[0];
      el.append(child);
    }
    return el;
  }
  for (let round = 0; round < rounds; round++) {
    const have = tree(3, "abcdefg"), want = document.createElement(have.tagName); // the root's tag is always the same
    want.append(...tree(3, "abcdefg").childNodes);
    const before = have.outerHTML, copy = want.cloneNode(true);
    const stays = new Map();
    for (const c of have.children) {
      const w = c.id && Array.from(want.children).find((w) => w.id === c.id);
      if (w && w.tagName === c.tagName) stays.set(c.id, c);
    }
    morph(have, want);
    if (!have.isEqualNode(copy)) return `round ${round}:\n${before}\nbecame\n${have.outerHTML}\nand not\n${copy.outerHTML}`;
    for (const [id, el] of stays) if (el.parentNode !== have) return `round ${round}: #${id} was replaced:\n${before}\nto\n${copy.outerHTML}`;
  }
  return "";
})

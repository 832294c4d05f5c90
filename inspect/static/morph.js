// morph makes the element have equal to want, which is not in the document, and
// touches only what differs. So a visitor keeps what the server does not know:
// the focus, what was typed, what is scrolled to, which details are open, and
// what was loaded into an element of class "keep". New rows and items get the
// class "fresh".
//
// Children are matched by id, and without one by their place. So among siblings
// everything that may appear, go or move has an id.
function morph(have, want) {
  if (have.classList.contains("keep") && have.childElementCount) return;
  const fresh = have.classList.contains("fresh");
  for (const a of Array.from(have.attributes)) {
    if (!want.hasAttribute(a.name) && !(a.name === "open" && have.tagName === "DETAILS")) have.removeAttribute(a.name);
  }
  for (const a of Array.from(want.attributes)) {
    if (have.getAttribute(a.name) !== a.value) have.setAttribute(a.name, a.value);
  }
  if (fresh) have.classList.add("fresh");
  const byId = new Map(), wanted = new Set();
  for (const c of have.children) if (c.id) byId.set(c.id, c);
  for (const c of want.children) if (c.id) wanted.add(c.id);
  const stays = (n) => wanted.has(n.id); // undefined for text, which is never wanted
  let at = have.firstChild;
  for (const w of Array.from(want.childNodes)) {
    let h = w.id ? byId.get(w.id) : at;
    if (w.id && h) {
      byId.delete(w.id);
      while (at && at !== h && !stays(at)) at = drop(at); // h is behind what goes: it need not move
    }
    if (!h || h.nodeName !== w.nodeName || (!w.id && h.id)) {
      have.insertBefore(w, at);
      if (w.nodeType === 1 && w.matches("tr, li")) w.classList.add("fresh");
      continue;
    }
    if (h === at) at = at.nextSibling; else have.insertBefore(h, at);
    if (h.nodeType === 1) morph(h, w); else if (h.nodeValue !== w.nodeValue) h.nodeValue = w.nodeValue;
  }
  while (at) at = drop(at);
  function drop(n) { const next = n.nextSibling; n.remove(); return next; }
}

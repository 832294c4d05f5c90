// What the page does by itself: follow what happens, keys, charts. Everything
// else is the server's; htmx asks for it and idiomorph puts it in place.
(function () {
  "use strict";
  const $ = (s, of) => (of || document).querySelector(s);
  const $$ = (s, of) => Array.from((of || document).querySelectorAll(s));

  // What the visitor opened stays open, and what was loaded stays loaded.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (was) => !(was.classList && was.classList.contains("keep") && was.childElementCount);
  Idiomorph.defaults.callbacks.afterNodeAdded = (node) => { if (node.nodeType === 1 && node.matches("tr, li")) node.classList.add("fresh"); };

  // Live: the server says that something changed, and the page asks for it.
  // While an answer is under way one more question waits, never more.
  const [what, call] = [document.body.dataset.live.split(":")[0], document.body.dataset.live.slice(5)];
  let asking = false, again = false;
  async function ask() {
    const live = $("#live");
    if (!live) return;
    if (asking) { again = true; return; }
    asking = true;
    try {
      let r;
      try {
        r = await fetch(live.dataset.src, { headers: { "HX-Request": "true", "HX-Target": "live" } });
      } catch (e) { return; } // not connected: the dot says so, and asks again when it is
      if (r.status === 401) { location.href = "/login"; return; }
      if (r.ok) {
        const html = await r.text(), at = document.activeElement && document.activeElement.id;
        Idiomorph.morph(live, html, { morphStyle: "outerHTML" });
        htmx.process($("#live"));
        const was = at && document.getElementById(at); // what moved loses the focus
        if (was && document.activeElement !== was) was.focus({ preventScroll: true });
      }
    } finally { asking = false; }
    if (again) { again = false; ask(); }
  }
  const dot = $("#livedot");
  function say(state, word) { dot.className = "livedot " + state; dot.lastElementChild.textContent = word; }
  if (dot && window.EventSource) {
    const source = new EventSource("/live" + (what === "call" ? "?call=" + encodeURIComponent(call) : ""));
    source.addEventListener("hello", () => { say("on", "live"); ask(); draw(); }); // what came before it was heard of
    source.addEventListener("list", () => { if (what === "list") ask(); draw(); });
    source.addEventListener("call", () => { if (what === "call") ask(); });
    source.onerror = () => say("off", "not connected");
    addEventListener("pagehide", () => source.close());
  }

  // The filter is asked for while it is typed; the address follows.
  const filters = $("#filters");
  if (filters) {
    let timer;
    const apply = () => {
      const q = new URLSearchParams(new FormData(filters));
      for (const [k, v] of Array.from(q)) if (!v) q.delete(k);
      const url = "/" + (q.size ? "?" + q : "");
      history.replaceState(null, "", url);
      $("#live").dataset.src = url;
      ask();
    };
    filters.addEventListener("submit", (e) => { e.preventDefault(); apply(); });
    filters.addEventListener("change", apply);
    filters.addEventListener("input", (e) => { if (e.target.type === "search") { clearTimeout(timer); timer = setTimeout(apply, 150); } });
  }
  document.addEventListener("click", (e) => {
    const row = e.target.closest("#calls tbody tr");
    if (row && !e.target.closest("a, button") && !String(getSelection())) $("a", row).click();
    $$("details.menu[open]").forEach((m) => { if (!m.contains(e.target)) m.open = false; });
    const to = e.target.closest('a[href^="#event-"]');
    if (to) { const d = $(to.getAttribute("href")); if (d) d.open = true; }
  });

  // Keys. None is taken while something is typed, or with a modifier.
  const typing = (t) => t && (t.matches("input, textarea, select") || t.isContentEditable);
  function step(by) {
    const rows = $$("#calls tbody a, table.tools tbody a");
    if (rows.length) {
      const at = rows.indexOf(document.activeElement);
      const to = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))];
      to.focus(); to.scrollIntoView({ block: "nearest" });
      return;
    }
    press(by > 0 ? "j" : "k");
  }
  function press(key) {
    const el = $('[data-key="' + key + '"]');
    if (!el) return false;
    if (el.tagName === "FORM") el.requestSubmit(); else el.click();
    return true;
  }
  function nextEvent() {
    const all = $$(".ev");
    if (!all.length) return;
    const at = all.findIndex((d) => d.contains(document.activeElement));
    const to = all[(at + 1) % all.length];
    to.open = true;
    $("summary", to).focus();
    to.scrollIntoView({ block: "center" });
  }
  function sendAgain() {
    if (press("s")) return;
    const open = $$(".ev[open]");
    const here = open.find((d) => d.contains(document.activeElement)) || open[0];
    if (!here) { nextEvent(); return; }
    const form = $("form.sendagain", here);
    if (form) form.requestSubmit();
  }
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") { $$("details.menu[open]").forEach((m) => { m.open = false; $("summary", m).focus(); }); if (typing(e.target)) e.target.blur(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target) || $("dialog[open]")) return;
    const does = {
      j: () => step(1), k: () => step(-1), "/": () => $("#q") && $("#q").focus(),
      f: () => { const c = $(".chips a"); if (c) c.focus(); }, e: nextEvent, s: sendAgain, m: () => press("m"), u: () => press("u"), t: theme, "?": help,
    }[e.key];
    if (does) { e.preventDefault(); does(); }
  });
  function help() { $("#help").showModal(); }
  const keys = $("#keys");
  if (keys) keys.addEventListener("click", help);
  function theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (e) { /* a private window */ }
    draw(true);
  }
  const themeButton = $("#theme");
  if (themeButton) themeButton.addEventListener("click", theme);

  // Charts, where people would rather look than read.
  const plots = {};
  let drawing = 0, due = false, data = null;
  function draw(again) {
    if (!$("#chart-calls")) return;
    if (again && data) { paint(data); return; }
    const wait = 1000 - (Date.now() - drawing);
    if (due) return;
    due = true;
    setTimeout(() => {
      due = false; drawing = Date.now();
      fetch("/charts.json").then((r) => (r.ok ? r.json() : null)).then((d) => { if (d) { data = d; paint(d); } }).catch(() => {});
    }, Math.max(0, wait));
  }
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const two = (n) => String(n).padStart(2, "0");
  const clock = (seconds) => (u, vs) => vs.map((v) => { const d = new Date(v * 1000); return two(d.getHours()) + ":" + two(d.getMinutes()) + (seconds ? ":" + two(d.getSeconds()) : ""); });
  function plot(id, opts, rows) {
    const el = $(id);
    if (!el || !el.clientWidth) return;
    if (plots[id]) plots[id].destroy();
    const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    plots[id] = new uPlot(Object.assign({
      width: el.clientWidth, height: 112, legend: { show: false }, cursor: { show: false }, padding: [8, 6, 0, 0],
      axes: [Object.assign({}, axis, { size: 22, grid: { show: false }, space: 72, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 86400], values: clock(opts.seconds) }), Object.assign({}, axis, { size: 40, space: 28 }, opts.y)],
    }, opts.u), rows, el);
  }
  function paint(d) {
    $("#unit").textContent = d.unit;
    const bars = uPlot.paths.bars({ size: [0.7, 18], radius: 0.15 });
    const all = d.times.map((_, i) => d.finished[i] + d.failed[i] + d.other[i]);
    const bad = d.failed;
    plot("#chart-calls", {
      y: { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] },
      u: { scales: { y: { range: (u, lo, hi) => [0, Math.max(4, hi * 1.1)] } }, series: [{}, { fill: color("--model"), stroke: color("--model"), width: 0, paths: bars, points: { show: false } }, { fill: color("--bad"), stroke: color("--bad"), width: 0, paths: bars, points: { show: false } }] },
    }, [d.times, all, bad]);
    const at = d.toolAt.length ? d.toolAt : [Date.now() / 1000];
    const ms = d.toolMs.length ? d.toolMs : [null];
    const flat = (v) => at.map(() => v);
    const edge = [at[0] - 2, ...at, at[at.length - 1] + 2];
    const wide = (v, pad) => [pad, ...v, pad];
    plot("#chart-tools", {
      seconds: at[at.length - 1] - at[0] < 600,
      y: { values: (u, vs) => vs.map((v) => (v >= 1000 ? v / 1000 + " s" : v + " ms")), incrs: [1000, 2000, 5000] },
      u: {
        scales: { y: { range: (u, lo, hi) => [0, Math.max(5600, hi * 1.1)] } },
        series: [{},
          { stroke: color("--model"), width: 0, paths: () => null, points: { show: true, size: 6, width: 0, fill: color("--model") } },
          { stroke: color("--voice"), width: 1.5, points: { show: false } }, { stroke: color("--bad"), width: 1.5, points: { show: false } }],
      },
    }, [edge, wide(ms, null), wide(flat(d.budgetMs), d.budgetMs), wide(flat(d.hangMs), d.hangMs)]);
    const box = $("#chart-outcomes"), total = d.outcomes.reduce((n, o) => n + o.count, 0);
    const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), ul = document.createElement("ul");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", d.outcomes.map((o) => o.name + " " + o.count).join(", "));
    let x = 0;
    d.outcomes.forEach((o, i) => {
      const r = document.createElementNS(ns, "rect"), w = total ? (100 * o.count) / total : 0;
      r.setAttribute("class", "o-" + i); r.setAttribute("x", x + "%"); r.setAttribute("width", w + "%"); r.setAttribute("height", "100%");
      x += w; svg.append(r);
      const li = document.createElement("li"), mark = document.createElement("i"), n = document.createElement("span");
      mark.className = "o-" + i; n.textContent = o.count.toLocaleString("en");
      li.append(mark, o.name, n); ul.append(li);
    });
    box.replaceChildren(svg, ul);
  }
  addEventListener("resize", () => draw(true));
  draw();

  // An address that names an event opens it.
  const named = /^#event-\d+$/.test(location.hash) && $(location.hash);
  if (named) named.open = true;
})();

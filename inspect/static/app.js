// The page in the browser: it follows what happens, loads details, sends forms
// in the background and has keyboard shortcuts. The server renders all HTML;
// morph.js puts it in place.
(function () {
  "use strict";
  const $ = (s, of) => (of || document).querySelector(s);
  const $$ = (s, of) => Array.from((of || document).querySelectorAll(s));

  // fragment fetches a part of a page. It returns null when there is none:
  // the server is away, or the session is over.
  async function fragment(url, name, options) {
    let r;
    try {
      r = await fetch(url, Object.assign({ headers: { "Serverurl-Fragment": name } }, options));
    } catch (e) { return null; }
    if (r.status === 401) { location.href = "/login"; return null; }
    const t = document.createElement("template");
    t.innerHTML = await r.text();
    return t.content;
  }

  // refresher returns a function that fetches the element with the id again.
  // While a request is in progress at most one more waits.
  function refresher(id, url) {
    let busy = false, again = false;
    return async function refresh() {
      const el = document.getElementById(id);
      if (!el) return;
      if (busy) { again = true; return; }
      busy = true;
      const got = await fragment(url(el), id);
      busy = false;
      const want = got && got.getElementById(id);
      if (want) {
        const focused = document.activeElement && document.activeElement.id;
        morph(el, want);
        const was = focused && document.getElementById(focused); // what moved lost the focus
        if (was && document.activeElement !== was) was.focus({ preventScroll: true });
      }
      if (again) { again = false; refresh(); }
    };
  }
  document.addEventListener("animationend", (e) => e.target.classList.remove("fresh"));
  const refreshLive = refresher("live", (el) => el.dataset.src);
  const refreshCharts = refresher("charts", () => "/charts");

  // Charts are fetched at most once a second.
  let chartsAt = 0, chartsDue = false;
  function charts() {
    if (chartsDue) return;
    chartsDue = true;
    setTimeout(() => { chartsDue = false; chartsAt = Date.now(); refreshCharts(); }, Math.max(0, chartsAt + 1000 - Date.now()));
  }

  // Live: the server reports that something changed, and the page fetches it.
  const [what, call] = [document.body.dataset.live.split(":")[0], document.body.dataset.live.slice(5)];
  const dot = $("#livedot");
  function say(state, word) { dot.className = "livedot " + state; dot.lastElementChild.textContent = word; }
  if (dot && window.EventSource) {
    const source = new EventSource("/live" + (what === "call" ? "?call=" + encodeURIComponent(call) : ""));
    source.addEventListener("hello", () => { say("on", "live"); refreshLive(); charts(); }); // what changed before the stream was open
    source.addEventListener("list", () => { if (what === "list") refreshLive(); charts(); });
    source.addEventListener("call", () => { if (what === "call") refreshLive(); });
    source.onerror = () => say("off", "not connected");
    addEventListener("pagehide", () => source.close());
  }

  // The body of an event is loaded when its details are opened for the first
  // time. (toggle does not bubble, so it is captured.)
  document.addEventListener("toggle", async (e) => {
    const at = e.target.open && $("[data-load]", e.target);
    if (!at || at.childElementCount || at.ariaBusy) return;
    at.ariaBusy = "true";
    const got = await fragment(at.dataset.load, "1");
    at.ariaBusy = null;
    if (got) at.replaceChildren(got);
  }, true);

  // A form with data-result is sent in the background. The answer replaces what
  // is in the element behind it.
  document.addEventListener("submit", async (e) => {
    const form = e.target, out = form.nextElementSibling;
    if (!("result" in form.dataset)) return;
    e.preventDefault();
    if (form.ariaBusy) return;
    form.ariaBusy = "true";
    const got = await fragment(form.action, "1", { method: "POST", body: new URLSearchParams(new FormData(form)) });
    form.ariaBusy = null;
    if (got) out.replaceChildren(got);
  });

  // The list follows the filter while it is typed, and so does the address.
  const filters = $("#filters");
  if (filters) {
    let timer;
    const apply = () => {
      const q = new URLSearchParams(new FormData(filters));
      for (const [k, v] of Array.from(q)) if (!v) q.delete(k);
      const url = "/" + (q.size ? "?" + q : "");
      history.replaceState(null, "", url);
      $("#live").dataset.src = url;
      refreshLive();
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

  // Keyboard shortcuts. They are off in fields, and with modifier keys.
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
      f: () => { const c = $(".tabs a"); if (c) c.focus(); }, e: nextEvent, s: sendAgain, m: () => press("m"), u: () => press("u"), t: theme, "?": help,
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
  }
  const themeButton = $("#theme");
  if (themeButton) themeButton.addEventListener("click", theme);

  // An address with the fragment of an event opens that event.
  const named = /^#event-\d+$/.test(location.hash) && $(location.hash);
  if (named) named.open = true;
})();

"use strict";
// Figures as text. src/monitor/page/format.rs has the same functions, values.json the cases that both are tested with.
const THIN = "\u202f";
function fixed(number, digits) {
  const scale = 10 ** digits, all = Math.floor(number * scale + 0.5), whole = Math.floor(all / scale);
  const fraction = digits ? "." + String(all - whole * scale).padStart(digits, "0") : "";
  return String(whole).replace(/\B(?=(\d{3})+$)/g, THIN) + fraction;
}
function count(number) { return fixed(number, 0); }
function rate(number) { return number <= 0 ? "0" : number < 0.05 ? "<0.1" : fixed(number, number < 9.95 ? 1 : 0); }
function cores(number) { return fixed(number, number < 9.995 ? 2 : 1); }
function share(part) { return (part <= 0 ? "0" : part < 0.0005 ? "<0.1" : fixed(part * 100, part < 0.0995 ? 1 : 0)) + THIN + "%"; }
function bytes(number) {
  let unit = 0;
  for (; number >= 1024 && unit < 4; unit++) number /= 1024;
  return fixed(number, unit && number < 9.95 ? 1 : 0) + THIN + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
}
function span(seconds) {
  const all = Math.floor(Math.max(seconds, 0) + 0.5);
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => all >= size);
  if (first < 0) return "0" + THIN + "s";
  const [size, name] = units[first], [next, nextName] = units[first + 1] || [size, ""];
  const rest = Math.floor(all % size / next);
  return count(Math.floor(all / size)) + THIN + name + (rest ? " " + rest + THIN + nextName : "");
}
function time(seconds) {
  if (seconds < 0.9995) return fixed(seconds * 1000, seconds < 0.00995 ? 1 : 0) + THIN + "ms";
  return seconds < 59.95 ? fixed(seconds, 1) + THIN + "s" : span(seconds);
}
function iso(at) { return new Date(Math.floor(at) * 1000).toISOString().slice(0, 19) + "Z"; }
function clock(at) { return iso(at).slice(11, 19); }
function line(history) {
  const highest = Math.max(...history, 0.000001), points = history.slice(-60);
  const at = (value, index) => fixed(100 - (points.length - 1 - index) * 100 / 59, 1) + " " + fixed(23 - 22 * value / highest, 1);
  return points.length > 1 ? "M" + points.map(at).join("L") : "";
}
function area(history) {
  const start = fixed(100 - (Math.min(history.length, 60) - 1) * 100 / 59, 1);
  return history.length > 1 ? line(history) + "L100.0 24L" + start + " 24Z" : "";
}

// What the placeholders of the templates stand for. values.rs has the same.
const shown = (text) => text ? "" : "none";
const zeroOr = (number, word) => number > 0 ? word : "zero";
function head(all) {
  const { log_lines: lines, output_bytes: output } = all.dropped;
  const dropped = [lines && count(lines) + " log lines", output && bytes(output) + " of output"].filter(Boolean).join(" and ");
  const { last, last_successful: successful } = all.reloads;
  return {
    diagnosis: all.diagnosis, reason_of: all.state === "hanging" ? "It hangs" : "Last reload", reason: all.reason || "", reason_shown: shown(all.reason), uptime: span(all.now - all.started),
    reload: last === null ? "no reload yet" : "last reload " + span(all.now - last) + " ago" + (successful ? "" : ", not successful"),
    dropped: dropped && dropped + " dropped", dropped_shown: shown(dropped), php: all.php, version: all.version,
  };
}
function times(all, prefix) {
  return Object.fromEntries(["p50", "p95", "p99"].map((name) => [prefix + name.slice(1), all ? time(all[name]) : "–"]));
}
function pool(one) {
  const { workers, requests } = one, part = (number) => workers.limit ? Math.min(number / workers.limit, 1) * 100 : 0;
  const busy = part(workers.busy), word = one.severity !== "ok" ? one.severity : one.phase !== "serving" ? one.phase : "";
  return {
    name: one.name, path: encodeURIComponent(one.name), severity: one.severity, word, word_shown: shown(word),
    group: one.group, manager: one.manager, address: one.address, generation: count(one.generation), phase: one.phase,
    why: one.diagnosis || "", why_shown: shown(one.diagnosis),
    rate: rate(requests.per_second), line: line(one.history), area: area(one.history),
    busy: count(workers.busy), limit: count(workers.limit), idle: count(workers.idle), starting: count(workers.starting), wanted: count(workers.wanted),
    draining: count(workers.draining), busy_width: fixed(busy, 1), idle_width: fixed(Math.min(part(workers.idle), 100 - busy), 1),
    use: busy >= 100 ? "full" : busy >= 80 ? "high" : "low",
    waiting: count(one.queue.waiting), waiting_is: zeroOr(one.queue.waiting, "some"),
    ...times(one.duration, "p"), ...times(one.wait, "wait"),
    errors: share(requests.error_share), errors_is: zeroOr(requests.error_share, requests.error_share < 0.01 ? "some" : "bad"),
    slow: count(one.slow), slow_is: zeroOr(one.slow, "some"), lost: count(one.lost), lost_is: zeroOr(one.lost, "bad"),
    reached: count(one.limit_reached), reached_is: zeroOr(one.limit_reached, "some"),
    memory: bytes(one.memory_peak), cpu: cores(one.cpu),
  };
}
const LETTERS = { idle: "I", reading: "A", running: "R", finishing: "F", ending: "E", starting: "S" };
function slot(one) {
  return {
    key: one.generation + "." + one.slot, state: one.state, word: one.state, letter: LETTERS[one.state] || "?", slot: count(one.slot), pid: String(one.pid),
    since: time(one.since), requests: count(one.requests),
    about: `slot ${one.slot}, process ${one.pid}: ${one.state} for ${time(one.since)}, ${count(one.requests)} requests`,
  };
}
// Control characters, and those that change the direction of the text after them: a URI could look like another one.
function plain(words) { return words.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd"); }
function request(one) {
  return {
    time: time(one.seconds), method: plain(one.method), uri: plain(one.uri), script: plain(one.script), pid: String(one.pid),
    id: plain(one.id || ""), id_shown: shown(one.id),
  };
}
function event(one) {
  const moment = iso(one.at);
  return {
    key: [one.at, one.pool, one.text].join(" "), severity: one.severity, iso: moment, when: moment.slice(0, 19).replace("T", " "),
    pool: one.pool || "", text: plain(one.text),
  };
}
function leftOut(number) { return number > 0 ? "and " + count(number) + " more workers" : ""; }
const ABOUT = {
  max_requests: "pm.max_requests", max_memory: "pm.max_memory", idle: "the pool needed fewer", reload: "a reload or a stop",
  crash: "a signal such as SIGSEGV", timeout: "request_terminate_timeout", oom: "the kernel had no memory left", other: "",
};
function sums(counts, bad) {
  return Object.entries(counts).map(([name, number]) => ({
    name: name.replace("_", " "), about: ABOUT[name] || "", count: count(number), count_is: zeroOr(number, bad(name) ? "bad" : "some"),
  }));
}

// Puts values into a copy of a template. Values become text, or attributes that the template names.
function copy(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true), places = [];
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = root; node; node = walk.nextNode()) {
    for (const place of node.attributes || [node]) if (place.nodeValue.includes("{")) places.push([place, place.nodeValue]);
  }
  return { root, fill(values) {
    for (const [place, text] of places) {
      const filled = text.replace(/\{(\w+)\}/g, (all, name) => values[name]);
      if (place.nodeValue !== filled) place.nodeValue = filled;
    }
  } };
}
const lists = new Map();
// Shows an item of `items` in each row, and keeps the rows of those that are there already. `after`: rows follow that element.
function list(place, id, items, key) {
  const known = lists.get(place) || new Map(), rows = new Map();
  lists.set(place, rows);
  const first = !known.size;
  for (const values of items) {
    const row = known.get(values[key]) || copy(id);
    row.fill(values);
    rows.set(values[key], row);
  }
  const wanted = [...rows.values()].map((row) => row.root), stays = (node) => node.localName === "caption" || node.localName === "thead";
  // Who is at a row must not lose it: the order changes later.
  const calm = !first && (place.contains(document.activeElement) || (matchMedia("(hover: hover)").matches && place.matches(":hover")));
  for (const node of [...place.children]) if (!stays(node) && !wanted.includes(node)) node.remove();
  let next = [...place.children].find((node) => !stays(node)) || null;
  for (const node of wanted) {
    if (node === next) next = next.nextElementSibling;
    else if (!(calm && node.parentNode)) place.insertBefore(node, next);
  }
}
function one(place, id, values) { list(place, id, [{ ...values, only: "" }], "only"); }
const at = (id) => document.getElementById(id);
function text(id, words) { if (at(id).textContent !== words) at(id).textContent = words; }

let spoken = "";
// Says the sentence to those who do not see it, when the severity changes: not each time that a number in it does.
function speak(about, sentence) {
  if (spoken && spoken !== about) text("spoken", sentence);
  spoken = about;
}
function severity(word) {
  document.querySelector("header").className = "top " + word;
}
function showOverview(all) {
  severity(all.severity);
  document.title = overviewTitle(all);
  document.querySelector(".brand .mark").className = "mark " + all.severity;
  text("state", all.state);
  text("window", span(all.window_seconds));
  one(at("head"), "head-of", head(all));
  list(document.querySelector(".pools"), "row", all.pools.map(pool), "name");
  list(at("events"), "event", all.events.slice(0, 30).map(event), "key");
  speak(all.state + all.severity, all.diagnosis);
}
function overviewTitle(all) { return (all.severity === "ok" ? "" : all.severity + ": ") + "php-fpm, " + all.state; }
function poolTitle(one) { return (one.severity === "ok" ? "" : one.severity + ": ") + one.name + ", php-fpm"; }
function noRequests(one) {
  return one.running ? "No request runs." : "monitor.show_requests = yes shows them here. Whoever sees this page would see other people's URIs then.";
}
function showPool(all) {
  const values = pool(all), slots = all.slots.map(slot);
  severity(all.severity);
  document.title = poolTitle(all);
  one(at("head"), "head-of", values);
  one(at("figures"), "figures-of", values);
  list(at("cells"), "cell", slots, "key");
  text("left-out", leftOut(all.slots_left_out));
  list(at("workers"), "worker", slots, "key");
  list(at("running"), "request", (all.running || []).map(request).map((values, number) => ({ ...values, number })), "number");
  text("no-requests", noRequests(all));
  list(at("answers"), "sum", sums({ ...all.requests.by_class, all: all.requests.total }, (name) => name === "5xx"), "name");
  list(at("exits"), "sum", sums(all.exits, (name) => ["crash", "timeout", "oom", "other"].includes(name)), "name");
  speak(all.severity, all.diagnosis || "All is well.");
}

const SECOND = 1000;
const from = document.querySelector("main").dataset.from, show = at("figures") ? showPool : showOverview;
const state = { paused: false, good: Date.now(), lost: "", timer: 0, running: false };
function live() {
  const lost = state.lost ? `Not live since ${clock(state.good / SECOND)} UTC: ${state.lost}` : "";
  at("live").className = lost ? "live lost" : "live";
  document.body.className = lost ? "stale" : "";
  text("live", lost || (state.paused ? "Paused at " : "Live ") + clock(state.good / SECOND) + " UTC");
}
async function poll() {
  clearTimeout(state.timer);
  if (state.running || state.paused || document.hidden) return;
  state.running = true;
  let lost = "php-fpm cannot be reached";
  try {
    const answer = await fetch(from, { cache: "no-store", signal: AbortSignal.timeout(5 * SECOND) });
    lost = answer.status === 404 ? "there is no such pool any more" : "php-fpm answers something else; load the page again";
    if (answer.ok && !state.paused) show(await answer.json());
    if (answer.ok) Object.assign(state, { good: Date.now(), lost: "" });
    else throw new Error(answer.status);
  } catch (error) {
    if (!state.lost) text("spoken", "The figures are no longer live.");
    state.lost = error.name === "TimeoutError" ? "no answer in 5 s" : lost;
  }
  state.running = false;
  live();
  state.timer = setTimeout(poll, state.lost ? 2 * SECOND : SECOND);
}
const pause = at("pause");
pause.hidden = false;
pause.addEventListener("click", () => {
  state.paused = !state.paused;
  pause.textContent = state.paused ? "Go on" : "Pause";
  live();
  poll();
});
document.addEventListener("visibilitychange", poll);
poll();

"use strict";
// Text of the paper is only ever set as text, never as markup.
const byId = (id) => document.getElementById(id);

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function list(id, items, made) {
  const section = byId(id);
  section.hidden = items.length === 0;
  section.lastElementChild.replaceChildren(...items.map(made));
}

function problem(error) {
  const item = element("li", "", "bad");
  if (error.where) item.append(element("p", error.where, "where"));
  item.append(element("p", error.message));
  if (error.excerpt) item.append(element("pre", error.excerpt));
  if (error.cause) item.append(element("p", "Usual cause: " + error.cause, "quiet"));
  if (error.remedy) item.append(element("p", error.remedy, "quiet"));
  return item;
}

function unfinished(trial) {
  const item = element("li", "", trial.state === "failed" ? "bad" : "");
  item.append(element("p", trial.trial + ": " + trial.state));
  if (trial.reason) item.append(element("p", trial.reason, "quiet"));
  return item;
}

function claim(seen) {
  const word = seen.holds === true ? "holds" : seen.holds === false ? "does not hold" : "not known";
  const item = element("li", "", seen.holds === true ? "good" : "bad");
  item.append(element("p", seen.where + ": " + word, "where"), element("p", seen.claim));
  item.append(element("p", seen.evidence.join("; "), "quiet"));
  return item;
}

// A page is replaced only when its new picture is there, so nothing jumps or flickers, and the reader stays where he is.
function showPages(state) {
  const pages = byId("pages");
  while (pages.children.length > state.pages) pages.lastElementChild.remove();
  for (let number = 1; number <= state.pages; number++) {
    let image = pages.children[number - 1];
    if (!image) {
      image = element("img");
      image.alt = "Page " + number;
      image.width = 900;
      image.height = 1273;
      image.dataset.page = number;
      pages.append(image);
    }
    image.dataset.wanted = "/page/" + number + ".png?" + state.pdf;
    watch.unobserve(image);
    watch.observe(image);
  }
}

function load(image) {
  const wanted = image.dataset.wanted;
  if (image.dataset.shown === wanted) return;
  const next = new Image();
  next.onload = () => {
    if (image.dataset.wanted !== wanted) return;
    image.width = next.naturalWidth;
    image.height = next.naturalHeight;
    image.src = next.src;
    image.dataset.shown = wanted;
  };
  next.src = wanted;
}

const watch = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => load(entry.target)),
  { root: byId("pages"), rootMargin: "400px" },
);

const words = {
  building: () => "building ...",
  built: (state) => "built in " + state.seconds.toFixed(2) + " s, " + state.pages + (state.pages === 1 ? " page" : " pages"),
  failed: (state) => state.errors.length + (state.errors.length === 1 ? " error" : " errors") +
    (state.pdf ? "; the pages are those of the last good build" : ""),
};

function show(state) {
  const status = byId("status");
  status.textContent = words[state.status](state);
  status.className = state.status;
  if (state.status === "building") return;
  byId("pages").className = state.status === "failed" ? "old" : "";
  byId("link").hidden = !state.pdf;
  list("errors", state.errors, problem);
  list("stale", state.stale, unfinished);
  list("claims", state.claims, claim);
  list("warnings", state.warnings, (text) => element("li", text));
  showPages(state);
  document.body.dataset.version = state.version;
}

const events = new EventSource("/events");
events.onmessage = (event) => show(JSON.parse(event.data));
events.onerror = () => {
  byId("status").textContent = "papergen watch has ended; waiting for it";
  byId("status").className = "failed";
};

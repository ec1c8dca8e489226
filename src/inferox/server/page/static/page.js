// The page: fetches the state of the server every two seconds, and shows it.

import { showChoices } from "./artifacts.js";
import { drawCharts, measure } from "./charts.js";
import { ask, breakable, counted, digits, element, exponential, find, hasKey, useKey } from "./elements.js";
import { showTrials } from "./trials.js";
import { runTask, showFields } from "./playground.js";

const INTERVAL_MS = 2000;
const KEPT = 151;

let before = null;
let models = [];
let evidence = {};
let isKnown = false;
const history = new Map();

function parity(model, found) {
  const rows = found.map((item) => element(
    "tr", {},
    element("td", {}, breakable(item.artifact), item.is_reference ? element("span", { class: "quiet" }, " reference") : null),
    element("td", { class: item.class === "fail" ? "bad" : "good" }, item.class),
    element("td", {}, item.cosine_min === null ? "–" : item.cosine_min.toFixed(6)),
    element("td", {}, item.max_abs === null ? "∞" : exponential(item.max_abs)),
    ...item.times.map(({ ms }) => element("td", {}, digits(ms))),
  ));
  const shapes = found[0].times.map(({ rows: count, length }) => element(
    "th", { scope: "col", title: `Milliseconds for a batch of ${counted(count, "row")} of up to ${counted(length, "token")}, measured on this machine` }, `ms, ${count} × ${length}`,
  ));
  const head = [...["Artifact", "Parity", "Min cosine", "Max abs"].map((name) => element("th", { scope: "col" }, name)), ...shapes];
  const classes = [...new Set(found.map((item) => item.class))];
  const counts = classes.map((name) => `${found.filter((item) => item.class === name).length} ${name}`);
  const about = `Agreement of each artifact with the original when it was packed${shapes.length ? ", and its time on this machine for rows × tokens" : ""}`;
  return element(
    "details", { id: `evidence of ${model}` },
    element("summary", {}, `Parity: ${counts.join(", ")}`),
    element("p", { class: "about" }, about),
    element(
      "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Parity of ${model}` },
      element(
        "table", { "aria-label": about },
        element("thead", {}, element("tr", {}, ...head)),
        element("tbody", {}, ...rows),
      ),
    ),
  );
}

function card(model) {
  const facts = {
    Computed: breakable(`${model.artifact} on ${model.device}`),
    "On request": breakable(Object.values(model.offered).filter((name) => name !== model.artifact).join(", ")),
    "In reserve": model.standby.length ? breakable(model.standby.join(", ")) : "",
    Vectors: model.dimension ? `${model.dimension} numbers` : "",
    "Most tokens": model.max_length ? String(model.max_length) : "",
    Space: model.dimension && model.embedding_space ? model.embedding_space.slice(0, 16) : "",
    Version: model.version,
  };
  const listed = Object.entries(facts).filter(([, value]) => value?.textContent ?? value)
    .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  const found = evidence[model.name] ?? [];
  return element(
    "article", { class: "card" },
    element("h3", {}, model.name, element("span", { class: "task" }, model.task)),
    element("dl", {}, ...listed),
    found.length ? parity(model.name, found) : null,
    element("div", { class: "trials", "data-model": model.name }),
  );
}

function fillChoices(id) {
  const chosen = find(id).value;
  find(id).replaceChildren(...models.map(({ name }) => element("option", { value: name }, name)));
  if (models.some(({ name }) => name === chosen)) find(id).value = chosen;
}

function chosen(id) {
  return models.find(({ name }) => name === find(id).value);
}

function showModels() {
  find("models").className = "cards";
  find("models").replaceChildren(...(models.length ? models.map(card) : [element("p", { class: "quiet" }, "No model is loaded yet.")]));
}

async function noteEvidence() {
  if (isKnown) return;
  evidence = (await ask("/page/evidence")).said;
  isKnown = true;
  showModels();
  showTrials(models);
}

function noteModels(found) {
  const key = (list) => JSON.stringify(list.map(({ stats, ...facts }) => facts));
  const isNew = key(found) !== key(models);
  models = found;
  if (!isNew) return;
  isKnown = false;
  showModels();
  const task = chosen("model")?.task;
  fillChoices("model");
  fillChoices("shown");
  const choice = chosen("model");
  if (choice && choice.task !== task) showFields(choice.task);
  if (choice) showChoices(choice);
}

function noteHistory(state) {
  for (const model of state.models) {
    const old = before?.models.find(({ name, version }) => name === model.name && version === model.version);
    const point = old && measure(model.stats, old.stats, state.time_s - before.time_s);
    if (!point) continue;
    const points = history.get(model.name) ?? [];
    points.push({ ...point, time: state.time_s });
    history.set(model.name, points.slice(-KEPT));
  }
  before = state;
}

function showLive() {
  const model = chosen("shown");
  if (!model || !before) return;
  const answered = Object.entries(before.answers).map(([status, count]) => `${count.toLocaleString("en")} × ${status}`);
  find("total").textContent = `${counted(model.stats.rows, "row")} in ${counted(model.stats.batches, "batch", "batches")} so far; answers: ${answered.join(", ") || "none"}`;
  drawCharts(find("charts"), history.get(model.name) ?? [], before.time_s);
}

function showParts(isLocked) {
  if (isLocked && find("unlock").hidden) {
    find("unlock").hidden = false;
    find("key").focus();
  }
  if (!isLocked) find("unlock").hidden = true;
  for (const part of document.querySelectorAll("main > section")) {
    part.hidden = isLocked || (!models.length && !part.contains(find("models")));
  }
}

function say(text, kind) {
  find("status").textContent = text;
  find("status").className = kind;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const { said } = await ask("/page/state");
    say(said.not_ready ?? "ready", said.not_ready ? "bad" : "ready");
    noteHistory(said);
    noteModels(said.models);
    showParts(false);
    showTrials(said.models);
    showLive();
    await noteEvidence();
  } catch (error) {
    const isLocked = error.status === 401;
    if (isLocked) showParts(true);
    say(isLocked ? hasKey() ? "this API key is not known" : "locked" : error.message, "bad");
  }
}

async function refreshForever() {
  await refresh();
  setTimeout(refreshForever, INTERVAL_MS);
}

find("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key").value);
  refresh();
});
find("model").addEventListener("change", () => {
  const model = chosen("model");
  showFields(model.task);
  showChoices(model);
});
find("shown").addEventListener("change", showLive);
find("try").addEventListener("submit", (event) => {
  event.preventDefault();
  const model = chosen("model");
  if (model) runTask(model.task, model.name);
});
find("try").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("try").requestSubmit();
});
document.addEventListener("visibilitychange", refresh);
refreshForever();

// The playground: one form per task, and its answer as a picture.

import { chosenArtifacts, difference } from "./artifacts.js";
import { ask, breakable, digits, element, find } from "./elements.js";

const TEXTS = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose again.", "The bank raised its rates."];

let running = 0;

function area(id, label, lines) {
  const field = element("textarea", { id, rows: Math.max(2, Math.min(8, lines.length + 1)) });
  field.value = lines.join("\n");
  return [element("label", { for: id, class: "quiet" }, label), field];
}

function line(id, label, value) {
  return [element("label", { for: id, class: "quiet" }, label), element("input", { id, type: "text", value })];
}

function lines(id) {
  const found = find(id).value.split("\n").map((text) => text.trim()).filter((text) => text);
  if (!found.length) throw new Error("Enter a text.");
  return found;
}

function post(path, body, artifact) {
  return ask(path, { body: JSON.stringify(body), headers: artifact });
}

function byLabel(scores) {
  return Object.fromEntries(scores.map(({ label, score }) => [label, score]));
}

function bars(scores) {
  const most = Math.max(1, ...scores.map(({ score }) => Math.abs(score)));
  return element("ul", { class: "bars" }, ...scores.map(({ label, score }) => {
    const full = element("div", { class: "fill" });
    full.style.width = `${(100 * Math.max(0, score)) / most}%`;
    return element(
      "li", {},
      element("span", { class: "name" }, label),
      element("span", { class: "track", "aria-hidden": "true" }, full),
      element("span", { class: "score" }, score.toFixed(3)),
    );
  }));
}

function matrix(texts, vectors) {
  const length = (vector) => Math.hypot(...vector) || 1;
  const cosine = (one, other) => one.reduce((sum, number, at) => sum + number * other[at], 0) / (length(one) * length(other));
  const rows = vectors.map((one, index) => {
    const cells = vectors.map((other) => {
      const found = cosine(one, other);
      const cell = element("td", {}, found.toFixed(2));
      cell.style.background = `rgb(var(--heat) / ${(0.55 * Math.max(0, found)).toFixed(3)})`;
      return cell;
    });
    return element("tr", {}, element("th", { scope: "row", title: texts[index] }, `${index + 1}. ${texts[index]}`), ...cells);
  });
  const head = element("tr", {}, element("td"), ...texts.map((text, index) => element("th", { scope: "col", title: text }, `${index + 1}`)));
  return element(
    "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cosine similarity of each pair of texts" },
    element("table", { class: "matrix" }, element("caption", {}, "Cosine similarity of each pair"), element("thead", {}, head), element("tbody", {}, ...rows)),
  );
}

function scored(texts, answers) {
  return texts.flatMap((text, index) => [element("p", {}, text), bars(answers[index])]);
}

function spansOf(text, spans) {
  const sorted = [...spans].sort((one, other) => one.start - other.start);
  const letters = Array.from(text);  // places count characters, where JavaScript counts halves of some
  const parts = [];
  let at = 0;
  for (const { start, end, label, score } of sorted) {
    if (start < at) continue;
    parts.push(letters.slice(at, start).join(""));
    parts.push(element("mark", { title: `${label} ${score.toFixed(3)}` }, letters.slice(start, end).join(""), " ", element("small", { class: "quiet" }, label)));
    at = end;
  }
  return element("p", {}, ...parts, letters.slice(at).join(""));
}

function infer(model, name, texts, artifact) {
  const input = { name, datatype: "BYTES", shape: [texts.length], data: texts };
  return post(`/v2/models/${model}/infer`, { inputs: [input], parameters: { truncate: true } }, artifact);
}

async function inferImage(model, file, artifact) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const size = 4 + bytes.length;
  const input = { name: "image", datatype: "BYTES", shape: [1], parameters: { binary_data_size: size } };
  const head = new TextEncoder().encode(JSON.stringify({ inputs: [input] }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, bytes.length, true);
  const headers = { ...artifact, "content-type": "application/octet-stream", "inference-header-content-length": String(head.length) };
  return ask(`/v2/models/${model}/infer`, { body: new Blob([head, length.buffer, bytes]), headers });
}

function outputs(said) {
  return Object.fromEntries(said.outputs.map(({ name, data }) => [name, data]));
}

// Each gives the headers of an answer, what is shown of it, and for each of the names a row that can be compared.
const TASKS = {
  embed: {
    fields: () => area("texts", "Texts, one per line", TEXTS),
    async run(model, artifact) {
      const texts = lines("texts");
      const { said, headers } = await post("/embed", { model, inputs: texts }, artifact);
      return { headers, shown: [matrix(texts, said)], names: texts, rows: said };
    },
  },
  classify: {
    fields: () => area("texts", "Texts, one per line", TEXTS.slice(0, 2)),
    async run(model, artifact) {
      const texts = lines("texts");
      const { said, headers } = await post("/predict", { model, inputs: texts.map((text) => [text]) }, artifact);
      return { headers, shown: scored(texts, said), names: texts, rows: said.map(byLabel) };
    },
  },
  "token-classify": {
    fields: () => area("texts", "Texts, one per line", ["Ada Lovelace wrote to Charles Babbage in London."]),
    async run(model, artifact) {
      const texts = lines("texts");
      const { said, headers } = await infer(model, "text", texts, artifact);
      const spans = outputs(said).spans.map((row) => JSON.parse(row));
      const rows = spans.map((row) => Object.fromEntries(row.map(({ start, end, label, score }) => [`${start} ${end} ${label}`, score])));
      return { headers, shown: texts.map((text, index) => spansOf(text, spans[index])), names: texts, rows };
    },
  },
  rerank: {
    fields: () => [...line("query", "Query", "Where does the cat sit?"), ...area("texts", "Documents, one per line", TEXTS)],
    async run(model, artifact) {
      const texts = lines("texts");
      const { said, headers } = await post("/rerank", { model, query: find("query").value, texts }, artifact);
      const items = said.map(({ index, score }) => element("li", {}, element("b", {}, score.toFixed(3)), texts[index]));
      const rows = [Object.fromEntries(said.map(({ index, score }) => [index, score]))];
      return { headers, shown: [element("ol", { class: "ranked" }, ...items)], names: [find("query").value], rows };
    },
  },
  "image-classify": {
    fields: () => [
      element("label", { for: "image", class: "quiet" }, "Image"),
      element("div", { class: "row" }, element("input", { id: "image", type: "file", accept: "image/*" })),
    ],
    async run(model, artifact) {
      const [file] = find("image").files;
      if (!file) throw new Error("Choose an image.");
      const { said, headers } = await inferImage(model, file, artifact);
      const { label, score } = outputs(said);
      const scores = label.map((name, index) => ({ label: name, score: score[index] }));
      return { headers, shown: [bars(scores)], names: [file.name], rows: [byLabel(scores)] };
    },
  },
};

function explain(headers, seconds) {
  const facts = [
    ["artifact", headers.get("x-inferox-artifact")],
    ["parity", headers.get("x-inferox-parity")],
    ["waited", headers.get("x-inferox-queue-ms"), "ms"],
    ["computed in", headers.get("x-inferox-compute-ms"), "ms"],
    ["round trip", digits(1000 * seconds), "ms"],
  ];
  const cut = Number(headers.get("x-inferox-cut-inputs"));
  if (cut) facts.push(["cut to the model's length:", String(cut), cut === 1 ? "text" : "texts"]);
  return facts.filter(([, value]) => value !== null).map((parts) => parts.filter((part) => part).join(" ")).join(" · ");
}

/** Shows the form for a model's task. */
export function showFields(task) {
  const known = TASKS[task];
  find("fields").replaceChildren(
    ...(known ? known.fields() : [element("p", { class: "quiet" }, `A model for ${task} takes tensors: see its routes below /v2/models.`)]),
  );
  find("run").disabled = !known;
  find("result").replaceChildren();
  running += 1;
}

async function runOnce(task, model, artifact) {
  const begun = performance.now();
  const answer = await TASKS[task].run(model, artifact);
  return { ...answer, facts: element("p", { class: "quiet" }, explain(answer.headers, (performance.now() - begun) / 1000)) };
}

function sideBySide(answers) {
  const sides = answers.map(({ headers, shown, facts }) => element(
    "section", {}, element("h3", {}, breakable(headers.get("x-inferox-artifact") ?? "")), ...shown, facts,
  ));
  const [one, other] = answers;
  return [element("div", { class: "sides" }, ...sides), difference(one.names, one.rows, other.rows)];
}

/** Runs what the form says on a model, and shows the answer; or those of two of its artifacts, and how far they are apart. */
export async function runTask(task, model) {
  running += 1;
  const turn = running;
  // Whoever has turned to another model meanwhile is not shown this one's answer.
  const show = (...shown) => {
    if (turn === running) find("result").replaceChildren(...shown);
  };
  find("run").disabled = true;
  try {
    const answers = [];
    // One after the other: at the same time each would take time from the other.
    for (const artifact of chosenArtifacts()) answers.push(await runOnce(task, model, artifact));
    const [{ shown, facts }] = answers;
    show(...(answers.length === 1 ? [...shown, facts] : sideBySide(answers)));
  } catch (error) {
    show(element("p", { class: "bad", role: "alert" }, error.message));
  } finally {
    if (turn === running) find("run").disabled = false;
  }
}

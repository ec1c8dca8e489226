// The artifacts of a model that a request may choose, and how far the answers of two of them are apart.

import { element, exponential, find } from "./elements.js";

const SERVING = "";
const NOTHING = "none";

function choice(id, label, options) {
  const select = element("select", { id }, ...options.map(([value, name]) => element("option", { value }, name)));
  return element("span", { class: "choice" }, element("label", { for: id }, label), select);
}

/** Shows what may be chosen of a model: nothing where its operator offers nothing. */
export function showChoices(model) {
  const offered = Object.entries(model.offered).map(([target, artifact]) => [target, target === artifact ? artifact : `${target} – ${artifact}`]);
  const all = [[SERVING, "the one that serves"], ...offered];
  find("artifacts").replaceChildren(...(offered.length ? [
    choice("artifact", "Artifact", all),
    choice("other", "Compare with", [[NOTHING, "nothing"], ...all]),
  ] : []));
}

function headersOf(id) {
  const chosen = find(id)?.value ?? SERVING;
  return chosen === SERVING ? {} : { "inferox-artifact": chosen };
}

/** The headers of each request that is to be sent: one, or two where artifacts are compared. */
export function chosenArtifacts() {
  const isCompared = (find("other")?.value ?? NOTHING) !== NOTHING;
  return isCompared ? [headersOf("artifact"), headersOf("other")] : [headersOf("artifact")];
}

function cosine(one, other) {
  const dot = (a, b) => a.reduce((sum, number, at) => sum + number * b[at], 0);
  return dot(one, other) / (Math.sqrt(dot(one, one) * dot(other, other)) || 1);
}

function compareVectors(one, other) {
  const apart = Math.max(...one.map((number, at) => Math.abs(number - other[at])));
  return [cosine(one, other).toFixed(6), exponential(apart)];
}

function best(scores) {
  return Object.keys(scores).reduce((most, name) => (most === null || scores[name] > scores[most] ? name : most), null);
}

function compareScores(one, other) {
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  const apart = Math.max(0, ...names.map((name) => Math.abs((one[name] ?? 0) - (other[name] ?? 0))));
  return [best(one) === best(other) ? "same" : "another", exponential(apart)];
}

/** Shows how far two answers are apart, row by row: vectors, or scores by what they are for. */
export function difference(names, one, other) {
  const areVectors = Array.isArray(one[0]);
  const compare = areVectors ? compareVectors : compareScores;
  const rows = names.map((name, index) => element(
    "tr", {},
    element("th", { scope: "row", title: name }, name),
    ...compare(one[index], other[index]).map((value) => element("td", { class: value === "another" ? "bad" : null }, value)),
  ));
  const head = ["", areVectors ? "Cosine" : "Best", "Max abs"].map((name) => element("th", { scope: "col" }, name));
  return element(
    "div", { class: "scroll", id: "difference", tabindex: "0", role: "region", "aria-label": "Difference of the two answers" },
    element("table", {}, element("caption", {}, "Difference of the two answers"), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
  );
}

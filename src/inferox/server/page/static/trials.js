// The trials beside the serving artifacts: shadows and canaries, in the cards of their models.

import { breakable, element, exponential } from "./elements.js";

function number(count) {
  return count.toLocaleString("en");
}

function facts(trial) {
  const state = trial.rolled_back ? "rolled back" : `${Number((100 * trial.share).toPrecision(3))} % of requests`;
  const listed = {
    Requests: `${number(trial.requests)}, of which ${number(trial.errors)} failed`,
    Compared: `${number(trial.compared)}, left out ${number(trial.dropped)}`,
    "Mean drift": trial.drift_mean === null ? "–" : exponential(trial.drift_mean),
    Allowed: trial.drift_limit === null ? null : exponential(trial.drift_limit),
    "Min cosine": trial.cosine_min === null ? null : trial.cosine_min.toFixed(6),
    "Max abs": trial.max_abs === null ? null : exponential(trial.max_abs),
    "Same decisions": trial.decisions ? `${number(trial.same_decisions)} of ${number(trial.decisions)}` : null,
  };
  return element(
    "section", {},
    element("h4", {}, trial.kind === "canary" ? "Canary" : "Shadow", ": ", breakable(trial.artifact), " ", element("span", { class: trial.rolled_back ? "bad" : "quiet" }, state)),
    trial.rolled_back ? element("p", { class: "bad" }, trial.rolled_back) : null,
    element(
      "dl", {},
      ...Object.entries(listed).filter(([, value]) => value !== null)
        .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    ),
  );
}

/** Shows them in the cards that there are. */
export function showTrials(models) {
  for (const place of document.querySelectorAll(".trials")) {
    const model = models.find(({ name }) => name === place.dataset.model);
    place.replaceChildren(...(model?.stats.trials ?? []).map(facts));
  }
}

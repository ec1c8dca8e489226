// The trials beside the serving artifacts: shadows and canaries, in the cards of their models.

import { breakable, digits, element } from "./elements.js";

function facts(trial) {
  const state = trial.rolled_back ? "rolled back" : `${digits(100 * trial.share)} % of requests`;
  const listed = {
    Requests: `${digits(trial.requests)}, of which ${digits(trial.errors)} failed`,
    Compared: `${digits(trial.compared)}, left out ${digits(trial.dropped)}`,
    "Mean drift": trial.drift_mean === null ? "–" : trial.drift_mean.toExponential(1),
    Allowed: trial.drift_limit === null ? null : trial.drift_limit.toExponential(1),
    "Min cosine": trial.cosine_min === null ? null : trial.cosine_min.toFixed(6),
    "Max abs": trial.max_abs === null ? null : trial.max_abs.toExponential(1),
    "Same decisions": trial.decisions ? `${digits(trial.same_decisions)} of ${digits(trial.decisions)}` : null,
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

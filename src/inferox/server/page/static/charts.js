// The live charts: figures of the last five minutes, from the differences between what the server has counted.

import { digits, drawn, element } from "./elements.js";

const WIDTH = 360, HEIGHT = 130, LEFT = 38, BOTTOM = 18, TOP = 8;
// The charts grow with what is known, from half a minute up to five.
const SHORTEST_S = 30, SPAN_S = 300;
const TICKS = 3;

/** The number below which a share of a histogram's numbers lie; null where it has none. */
export function quantile({ bounds, counts }, share) {
  const count = counts.reduce((sum, some) => sum + some, 0);
  if (!count) return null;
  let seen = 0;
  for (let index = 0; index < counts.length; index += 1) {
    if (counts[index] && seen + counts[index] >= share * count) {
      if (index === bounds.length) return bounds[index - 1];
      const low = index ? bounds[index - 1] : 0;
      return low + (bounds[index] - low) * ((share * count - seen) / counts[index]);
    }
    seen += counts[index];
  }
  return bounds[bounds.length - 1];
}

function difference(now, before) {
  return {
    bounds: now.bounds,
    counts: now.counts.map((count, index) => count - before.counts[index]),
    total: now.total - before.total,
  };
}

function mean(histogram) {
  const count = histogram.counts.reduce((sum, some) => sum + some, 0);
  return count ? histogram.total / count : null;
}

/** What a model did between two states; null where it was loaded anew in between. */
export function measure(now, before, seconds) {
  if (now.rows < before.rows || seconds <= 0) return null;
  const [queue, compute, rows, tokens, padding] = ["queue_s", "compute_s", "batch_rows", "batch_tokens", "padding"].map(
    (name) => difference(now[name], before[name]),
  );
  const ms = (histogram, share) => {
    const found = quantile(histogram, share);
    return found === null ? null : 1000 * found;
  };
  const share = mean(padding);
  return {
    rows: (now.rows - before.rows) / seconds,
    tokens: (now.tokens - before.tokens) / seconds,
    batches: (now.batches - before.batches) / seconds,
    queueHalf: ms(queue, 0.5), queueMost: ms(queue, 0.99),
    computeHalf: ms(compute, 0.5), computeMost: ms(compute, 0.99),
    batchRows: mean(rows), batchTokens: mean(tokens), padding: share === null ? null : 100 * share,
    waitingRows: now.waiting_rows,
  };
}

const CHARTS = [
  { title: "Throughput", lines: [["rows", "rows/s"]] },
  { title: "Tokens", lines: [["tokens", "tokens/s"]] },
  {
    title: "Latency, ms",
    lines: [["queueHalf", "queue p50"], ["queueMost", "queue p99"], ["computeHalf", "compute p50"], ["computeMost", "compute p99"]],
  },
  { title: "Rows per batch", lines: [["batchRows", "rows, mean"]] },
  { title: "Padding, % of a batch", lines: [["padding", "mean"]] },
  { title: "Queue", lines: [["waitingRows", "rows waiting"]] },
];

/** The least number from the largest on whose thirds are short. */
function niceTop(most) {
  if (most <= 0) return 3;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1.2, 1.5, 3, 4.5, 6, 9, 12].map((step) => step * size).find((top) => top >= most);
}

function draw({ title, lines }, points, now, span) {
  const numbers = lines.flatMap(([name]) => points.map((point) => point[name])).filter((number) => number !== null);
  const top = niceTop(Math.max(0, ...numbers));
  const across = (time) => LEFT + (WIDTH - LEFT) * (1 - (now - time) / span);
  const up = (number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - number / top);
  const parts = [];
  for (let tick = 0; tick <= TICKS; tick += 1) {
    const value = (top * tick) / TICKS;
    parts.push(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: up(value), y2: up(value) }));
    parts.push(drawn("text", { x: LEFT - 5, y: up(value) + 3, "text-anchor": "end" }, digits(value)));
  }
  parts.push(drawn("text", { x: LEFT, y: HEIGHT - 4 }, span < 120 ? `${Math.round(span)} s ago` : `${Math.round(span / 60)} min ago`));
  parts.push(drawn("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, "now"));
  const legend = [];
  lines.forEach(([name, label], index) => {
    // A line breaks where nothing was computed.
    let run = [];
    const end = () => {
      if (run.length === 1) {
        const [x, y] = run[0].split(",");
        parts.push(drawn("circle", { class: `c${index}`, cx: x, cy: y, r: 2 }));
      } else if (run.length) parts.push(drawn("polyline", { class: `c${index}`, points: run.join(" ") }));
      run = [];
    };
    for (const point of points) {
      if (point[name] === null) end();
      else run.push(`${across(point.time).toFixed(1)},${up(point[name]).toFixed(1)}`);
    }
    end();
    const last = points.length ? points[points.length - 1][name] : null;
    legend.push(element("li", { class: `c${index}` }, `${label} `, element("b", {}, digits(last))));
  });
  const said = legend.map((item) => item.textContent).join(", ");
  return element(
    "figure", {},
    element("figcaption", {}, title),
    element("ul", { class: "legend" }, ...legend),
    drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${said}` }, ...parts),
  );
}

/** Draws all charts of a model's points, of which those of the last five minutes are seen. */
export function drawCharts(place, points, now) {
  const seen = points.filter((point) => now - point.time <= SPAN_S);
  const span = Math.max(SHORTEST_S, ...seen.slice(0, 1).map((point) => now - point.time));
  place.replaceChildren(...CHARTS.map((chart) => draw(chart, seen, now, span)));
}

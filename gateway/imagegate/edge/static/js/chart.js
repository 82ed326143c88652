// A small chart: the share of attempts that failed, over the last hour.

import { h, svg } from "./dom.js";
import { percentWords } from "./words.js";

const WIDTH = 240;
const HEIGHT = 44;
const HOUR = 3600e3;
const GAP = 60e3; // samples come every 15 s: where they are further apart nobody looked

/** The points of a line, in pieces without gaps: [[x, y], …] for each. Pure. */
export function pieces(samples, now) {
  const found = [];
  let last = -Infinity;
  for (const { at, failure_rate: rate } of samples) {
    const time = Date.parse(at);
    if (rate === null || rate === undefined || time < now - HOUR) continue;
    if (time - last > GAP) found.push([]);
    last = time;
    found.at(-1).push([((time - now + HOUR) / HOUR) * WIDTH, HEIGHT - 3 - rate * (HEIGHT - 6)]);
  }
  return found;
}

/** The chart of these samples, with what it shows in words. */
export function chart(samples, now = Date.now()) {
  const lines = pieces(samples, now);
  const rates = samples.map(({ failure_rate: rate }) => rate).filter((rate) => rate !== null && rate !== undefined);
  const words = rates.length
    ? `Failure rate over the last hour: ${percentWords(rates.at(-1))} now, at most ${percentWords(Math.max(...rates))}`
    : "Failure rate over the last hour: nothing was asked";
  const drawn = lines.map((points) => {
    const spread = points.length > 1 ? points : [points[0], [Math.min(points[0][0] + 2, WIDTH), points[0][1]]];
    const line = spread.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    const area = `${line}L${spread.at(-1)[0].toFixed(1)} ${HEIGHT - 3}L${spread[0][0].toFixed(1)} ${HEIGHT - 3}Z`;
    return [svg("path", { d: area, class: "chart-area" }), svg("path", { d: line, class: "chart-line" })];
  });
  const rule = (y) => svg("path", { d: `M0 ${y}H${WIDTH}`, class: "chart-rule" });
  const look = {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: "chart",
    role: "img",
    "aria-label": words,
    preserveAspectRatio: "none",
  };
  return h(
    "figure",
    { class: "chart-box" },
    svg("svg", look, rule(3), rule(HEIGHT / 2), rule(HEIGHT - 3), drawn),
    h(
      "figcaption",
      { class: "hint", "aria-hidden": "true" },
      h("span", {}, "1 h ago"),
      h("span", {}, rates.length ? `${percentWords(rates.at(-1))} fail` : "nothing asked"),
      h("span", {}, "now"),
    ),
  );
}

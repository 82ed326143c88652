// What was made: the pictures, and the truth about them.

import { attemptList } from "./attempts.js";
import { changes } from "./explain.js";
import { copyLink, picture } from "./picture.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { creditWords, durationWords } from "./words.js";

/** The panel of an answer. `go` has `again` and `use`, each called with a picture's record. */
export function result(answer, go) {
  const { pictures, adjustments, warnings, attempts, sandbox } = answer;
  const several = pictures.length > 1;
  return h(
    "section",
    { class: "panel result", "aria-label": "Result" },
    h(
      "div",
      { class: several ? "result-pictures several" : "result-pictures" },
      pictures.map((record) => shown(record, go)),
    ),
    h(
      "p",
      { class: "facts-line" },
      factsOf(answer).map((fact) => h("span", {}, fact)),
    ),
    sandbox ? h("p", { class: "badge warn" }, "made by a stand-in, not by the real model") : null,
    warnings.map((warning) => h("div", { class: "box warn" }, icon("warn"), h("div", {}, warning))),
    adjustments.length ? h("div", {}, h("h3", {}, "What was changed"), changes(adjustments)) : null,
    h(
      "details",
      { class: "more", open: attempts.length > 1 },
      h("summary", {}, attempts.length === 1 ? "One attempt" : `${attempts.length} attempts`),
      attemptList(attempts),
    ),
  );
}

function factsOf({ provider, model, upstream_provider: through, cost, seconds, pictures }) {
  const by = through && through !== provider ? `${provider}/${model} through ${through}` : `${provider}/${model}`;
  const seeds = pictures.map((record) => record.seed).filter((seed) => seed !== null);
  return [by, creditWords(cost), durationWords(seconds), seeds.length ? `seed ${seeds[0]}` : "takes no seed"];
}

function shown(record, go) {
  const again = record.seed === null ? "Make again" : "Again with this seed";
  const tool = (name, text, run) =>
    h("button", { type: "button", class: "plainly small", on: { click: run } }, icon(name, 16), text);
  return h(
    "figure",
    {},
    h("a", { href: record.url, target: "_blank", rel: "noopener" }, picture(record)),
    h(
      "figcaption",
      { class: "row" },
      tool("again", again, () => go.again(record)),
      tool("image", "Use as input", () => go.use(record)),
      downloadLink(record),
      tool("link", "Copy link", () => copyLink(record)),
    ),
  );
}

/** A link that saves the picture under its name. */
export const downloadLink = (record) =>
  h(
    "a",
    { class: "button plainly small", href: record.url, download: record.filename },
    icon("download", 16),
    "Download",
  );

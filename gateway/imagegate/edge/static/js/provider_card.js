// One provider on the board, with its models. Parts are renewed where something has changed, so that what one has
// opened or put the focus on stays.

import { chart } from "./chart.js";
import { clear, decide } from "./breaker.js";
import { countdown } from "./clock.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { stateOf } from "./board_state.js";
import { durationWords, percentWords, reasonWords, timeWords } from "./words.js";

export class ProviderCard {
  #seen = "";
  #drawn = "";
  #rows = new Map();

  constructor(api, name, isOperator) {
    Object.assign(this, { api, name, isOperator });
    this.state = h("span", { class: "badge" });
    this.facts = h("p", { class: "facts-line" });
    this.more = h("div", { class: "stack tight" });
    this.chart = h("div", {});
    this.models = h("ul", { class: "model-rows" });
    this.off = h("details", { class: "more", hidden: true });
    this.tools = h("div", { class: "head-tools" });
    const head = h("header", { class: "row" }, h("h2", {}, name), this.state, this.tools);
    this.element = h(
      "article",
      { class: "panel provider", "aria-label": name },
      head,
      this.chart,
      this.facts,
      this.more,
      this.models,
      this.off,
    );
  }

  /** Show the samples of the last hour. */
  drawn(history) {
    const samples = history.of(this.name);
    const last = `${samples.at(-1)?.at} ${this.rate} ${[...this.#rows.values()].map((row) => row.rate)}`;
    if (last === this.#drawn) return;
    this.#drawn = last;
    fill(this.chart, chart(withNow(samples, this.rate)));
    for (const [key, row] of this.#rows) row.drawn(history.of(this.name, key));
  }

  /** Show how it is doing. */
  show(provider) {
    const { models, ...own } = provider;
    const seen = JSON.stringify(own);
    if (seen !== this.#seen) this.#show(own);
    this.#seen = seen;
    this.#models(models);
  }

  #show(provider) {
    const found = stateOf(provider);
    this.rate = provider.failure_rate;
    this.element.dataset.state = found.kind;
    stateBadge(this.state, found);
    const quota = provider.quota_left;
    const facts = [
      provider.in_flight ? `${provider.in_flight} under way` : "nothing under way",
      provider.failure_rate === undefined ? "" : `${percentWords(provider.failure_rate)} failed lately`,
      quota === undefined ? "" : `${quota} left today`,
    ];
    fill(
      this.facts,
      facts.filter(Boolean).map((fact) => h("span", {}, fact)),
    );
    fill(
      this.more,
      provider.disabled_reason ? h("p", { class: "hint" }, provider.disabled_reason) : null,
      provider.problem ? h("p", { class: "hint" }, provider.problem) : null,
      decision(provider.override),
      lastError(provider.last_error),
    );
    fill(
      this.tools,
      this.isOperator && provider.enabled ? operatorTools(this.api, this.name, "", provider.override) : null,
    );
  }

  #models(models) {
    const on = models.filter(({ enabled }) => enabled);
    const off = models.filter(({ enabled }) => !enabled);
    const keys = new Set(on.map(({ key }) => key));
    for (const [key, row] of this.#rows) if (!keys.has(key)) (row.element.remove(), this.#rows.delete(key));
    for (const model of on) {
      if (!this.#rows.has(model.key)) {
        const row = new ModelRow(this.api, this.name, model.key, this.isOperator);
        this.#rows.set(model.key, row);
        this.models.append(row.element);
      }
      this.#rows.get(model.key).show(model);
    }
    this.#switchedOff(off);
  }

  #switchedOff(models) {
    const seen = JSON.stringify(models.map(({ key, disabled_reason: why }) => [key, why]));
    if (this.off.dataset.seen === seen) return;
    this.off.dataset.seen = seen;
    this.off.hidden = !models.length;
    const list = models.map(({ key, disabled_reason: why }) =>
      h("li", {}, h("strong", {}, key), h("p", { class: "hint" }, why)),
    );
    fill(
      this.off,
      h("summary", {}, `${models.length} switched off or coming soon`),
      h("ul", { class: "plain-list" }, list),
    );
  }
}

class ModelRow {
  #seen = "";

  constructor(api, provider, key, isOperator) {
    Object.assign(this, { api, provider, key, isOperator });
    this.element = h("li", { class: "model-row" });
    this.chart = h("div", {});
  }

  /** Show the samples of the last hour, where there are any. */
  drawn(samples) {
    const known = withNow(samples, this.rate);
    fill(this.chart, known.some(({ failure_rate: rate }) => rate !== null) ? chart(known) : null);
  }

  show(model) {
    const seen = JSON.stringify(model);
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.rate = model.failure_rate;
    const found = stateOf(model);
    this.element.dataset.state = found.kind;
    const focused = this.element.contains(document.activeElement)
      ? [...this.element.querySelectorAll("button")].indexOf(document.activeElement)
      : -1;
    const counts =
      model.succeeded || model.failed ? `${model.succeeded} delivered, ${model.failed} failed` : "not asked yet";
    const rate = model.failure_rate === undefined ? "" : `${percentWords(model.failure_rate)} failed lately`;
    fill(
      this.element,
      h(
        "div",
        { class: "model-head" },
        h("span", { class: `dot ${found.kind}`, "aria-hidden": "true" }),
        h("strong", { class: "mono" }, this.key),
        found.kind === "good" && !found.until
          ? h("span", { class: "unseen" }, found.words)
          : stateBadge(h("span", { class: "badge" }), found),
        h(
          "span",
          { class: "hint counts" },
          [counts, rate, model.usual ? `usually ${durationWords(model.usual)}` : ""].filter(Boolean).join(" · "),
        ),
        this.isOperator ? operatorTools(this.api, this.provider, this.key, model.override) : null,
      ),
      this.chart,
      model.rejecting ? h("blockquote", {}, `“${model.rejecting}”`) : null,
      decision(model.override),
      lastError(model.last_error),
    );
    if (focused >= 0) this.element.querySelectorAll("button")[focused]?.focus();
  }
}

/** The samples and how it is now, which the next sample will say. */
function withNow(samples, rate) {
  return rate === undefined ? samples : [...samples, { at: new Date().toISOString(), failure_rate: rate }];
}

function stateBadge(element, { kind, words, until }) {
  element.className = `badge ${kind}`;
  return fill(element, words, until ? h("span", {}, " · ", countdown(until)) : null);
}

function decision(override) {
  if (!override) return null;
  return h(
    "p",
    { class: "line" },
    icon("person", 16),
    h("span", {}, `${override.actor}: “${override.reason}”, `, countdown(override.until)),
  );
}

function lastError(error) {
  if (!error) return null;
  const said = error.upstream_message
    ? h("blockquote", {}, error.upstream_status ? `${error.upstream_status}: ` : "", `“${error.upstream_message}”`)
    : h("p", { class: "hint" }, error.message);
  return h(
    "div",
    { class: "last-error" },
    h("p", { class: "hint" }, `Last error: ${reasonWords(error.reason)}, ${timeWords(error.at)}`),
    said,
  );
}

function operatorTools(api, provider, model, override) {
  const named = model ? `${provider}/${model}` : provider;
  const button = (text, run) =>
    h("button", { type: "button", class: "quiet small", "aria-label": `${text} ${named}`, on: { click: run } }, text);
  const back = override ? button("Take back", () => clear(api, provider, model)) : null;
  return h(
    "span",
    { class: "row tools" },
    button("Breaker…", () => decide(api, provider, model)),
    back,
  );
}

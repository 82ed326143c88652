// What would happen if one pressed the button now: who is tried, what is changed, what it costs.

import { debounced, fill, h } from "./dom.js";
import { countdown } from "./clock.js";
import { icon } from "./icons.js";
import { nameOf } from "./catalogue.js";
import { toAsk } from "./request.js";
import { adjustmentWords, creditWords, durationWords, reasonWords } from "./words.js";

const QUIET_MILLISECONDS = 350;

/** Asks as one writes, the last question only. `choose` is called with a model's name that was suggested. */
export class Explainer {
  #underWay = null;

  constructor(api, catalogue, { question, choose }) {
    this.api = api;
    this.catalogue = catalogue;
    this.question = question;
    this.choose = choose;
    this.list = h("div", { class: "explained" });
    this.element = h("section", { class: "explain", "aria-label": "What would happen" }, this.list);
    this.cost = h("span", { class: "cost" });
    this.short = h("span", { class: "clip" });
    this.ask = debounced(() => this.#ask(), QUIET_MILLISECONDS);
  }

  async #ask() {
    this.#underWay?.abort();
    this.#underWay = new AbortController();
    const { signal } = this.#underWay;
    const { raw, tasks } = this.question();
    try {
      this.#show(await this.api.post("/api/explain", toAsk(raw), signal), tasks);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.cost.textContent = this.short.textContent = "";
      fill(this.list, h("p", { class: "line warn" }, icon("warn", 16), h("span", {}, said(error))));
    }
  }

  #show({ candidates, reason, message }, tasks) {
    const tried = candidates.filter(({ turn }) => turn > 0);
    const passed = candidates.filter(({ turn }) => !turn);
    this.cost.textContent = tried.length ? creditWords(tried[0].cost) : "";
    this.short.textContent = tried.length ? shortly(tried) : "nobody could be asked";
    fill(
      this.list,
      reason && !tried.length ? this.#nobody(passed.length ? "Nobody could be asked for this." : message, tasks) : null,
      tried.length ? h("p", { class: "explain-title" }, "Would be tried") : null,
      tried.length ? h("ol", { class: "explain-list" }, tried.map(prospect)) : null,
      passed.length
        ? h(
            "details",
            { open: !tried.length },
            h("summary", {}, `${passed.length} would be passed over`),
            h("ul", { class: "explain-list" }, passed.map(passedOver)),
          )
        : null,
    );
  }

  #nobody(message, tasks) {
    const able = this.catalogue.able(tasks).slice(0, 5);
    const buttons = able.map((model) =>
      h(
        "button",
        { type: "button", class: "plainly small", on: { click: () => this.choose(nameOf(model)) } },
        model.display_name || model.key,
      ),
    );
    return h(
      "div",
      { class: "box warn" },
      icon("warn"),
      h(
        "div",
        {},
        h("p", {}, message),
        buttons.length ? [h("p", {}, "These can do it:"), h("div", { class: "row" }, buttons)] : null,
      ),
    );
  }
}

function shortly([first, ...others]) {
  const changed = first.adjustments.length ? `, ${first.adjustments.length} changed` : "";
  const more = others.length ? `, else ${others.length} more` : ", nobody else";
  return `${first.provider}/${first.model}${changed}${more}`;
}

function prospect({ provider, model, message, adjustments, cost, usual, probe }) {
  const facts = [
    creditWords(cost),
    usual ? `usually ${durationWords(usual)}` : "",
    probe ? "finds out whether it works again" : "",
  ];
  return h(
    "li",
    {},
    h(
      "span",
      { class: "who-line" },
      h("strong", {}, `${provider}/${model}`),
      h("span", { class: "hint" }, facts.filter(Boolean).join(" · ")),
    ),
    message ? h("p", { class: "hint" }, message) : null,
    changes(adjustments),
  );
}

function passedOver({ provider, model, skipped, message }) {
  const until = skipped?.until ? [" · ", countdown(skipped.until)] : null;
  return h(
    "li",
    {},
    h(
      "span",
      { class: "who-line" },
      h("strong", {}, `${provider}/${model}`),
      h("span", { class: "hint" }, reasonWords(skipped?.reason ?? ""), until),
    ),
    message ? h("p", { class: "hint" }, message) : null,
  );
}

/** What would be or was changed, as a list; null where nothing. */
export function changes(adjustments) {
  if (!adjustments?.length) return null;
  return h(
    "ul",
    { class: "changes" },
    adjustments.map((each) => h("li", {}, adjustmentWords(each))),
  );
}

const said = (error) =>
  error.errors?.length ? error.errors.map(({ field, detail }) => `${field}: ${detail}`).join("; ") : error.message;

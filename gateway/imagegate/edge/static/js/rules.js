// What a request may cost, who may be asked, and what may be changed.

import { h } from "./dom.js";
import { field, NumberField, tick, Ticks } from "./fields.js";
import { fieldWords } from "./words.js";

const KEEPABLE = ["width", "height", "steps", "guidance_scale", "negative_prompt", "seed", "sampler"];
const CREDITS = { low: 0, high: 1000000, slider: false, placeholder: "no limit" };

export class Rules {
  constructor(catalogue) {
    const providers = catalogue.providers.map(({ name }) => ({ value: name, label: name }));
    const keepable = KEEPABLE.map((name) => ({ value: name, label: fieldWords(name) }));
    this.credits = new NumberField({ label: "At most this many credits", ...CREDITS });
    this.first = tick("Only the first choice: no fallback");
    this.refuse = tick("Refuse rather than change anything");
    this.keep = new Ticks({ legend: "Must not be changed", options: keepable });
    this.allow = new Ticks({ legend: "Only these providers", options: providers });
    this.deny = new Ticks({ legend: "Not these providers", options: providers });
    const placeholder = '{"fal": {"acceleration": "none"}}';
    this.options = field("The upstream’s own options", h("textarea", { rows: 2, spellcheck: "false", placeholder }));
    const parts = [this.credits, this.first, this.refuse, this.keep, this.allow, this.deny, this.options];
    this.element = h(
      "details",
      { class: "more" },
      h("summary", {}, "Cost, fallback and what may change"),
      h(
        "div",
        { class: "stack" },
        parts.map((part) => part.element),
      ),
    );
  }

  fields() {
    return {
      max_credits: this.credits.value,
      no_fallback: this.first.input.checked || null,
      on_unsupported: this.refuse.input.checked ? "REFUSE" : "",
      must_keep: this.keep.value,
      allow_providers: this.allow.value,
      deny_providers: this.deny.value,
      provider_options: this.#options(),
    };
  }

  /** What still has to be given, in words. */
  missing() {
    return this.options.input.value.trim() && !this.#options()
      ? "write the upstream’s own options as a JSON object"
      : "";
  }

  /** Fill in what decides how a picture looks; who may be asked and what it may cost is open again. */
  load({ on_unsupported: unsupported, must_keep: keep = [], provider_options: options }) {
    this.refuse.input.checked = unsupported === "REFUSE";
    this.keep.value = keep;
    this.options.input.value = options ? JSON.stringify(options) : "";
    this.first.input.checked = false;
    this.allow.value = this.deny.value = [];
    this.credits.value = null;
  }

  /** Tell what these models take. */
  describe(models) {
    const taken = models.flatMap((model) => model.options.map(({ name }) => `${model.provider}: ${name}`));
    const listed = [...new Set(taken)].join(", ");
    this.options.hint.textContent = listed ? `As JSON. Let through: ${listed}.` : "These models let nothing through.";
  }

  #options() {
    try {
      const options = JSON.parse(this.options.input.value);
      return typeof options === "object" ? options : null;
    } catch {
      return null; // `missing` says so
    }
  }
}

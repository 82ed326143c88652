// Steps, guidance, seed and what else a model may take.

import { choices, rangeWords } from "./catalogue.js";
import { fill, h } from "./dom.js";
import { field, NumberField } from "./fields.js";
import { Loras } from "./loras.js";

const SEED = { low: -1, high: Number.MAX_SAFE_INTEGER, slider: false, placeholder: "random" };

export class Extras {
  constructor(onchange) {
    this.steps = new NumberField({ label: "Steps", parameter: "steps", low: 1, high: 150 });
    this.guidance = new NumberField({ label: "Guidance", parameter: "guidance_scale", low: 0, high: 50, step: 0.1 });
    this.seed = new NumberField({ label: "Seed", parameter: "seed", ...SEED });
    const formats = ["", "PNG", "JPEG", "WEBP"].map((name) => h("option", { value: name }, name || "as it comes"));
    this.sampler = field("Sampler", h("select"));
    this.negative = field(
      "What to leave out",
      h("textarea", { rows: 2, maxlength: 32000, placeholder: "blurry, text" }),
    );
    this.format = field("Format", h("select", {}, formats));
    this.loras = new Loras(onchange);
    this.#offer([], "");
    const parts = [this.steps, this.guidance, this.seed, this.sampler, this.negative, this.format, this.loras];
    this.element = h(
      "details",
      { class: "more" },
      h("summary", {}, "Steps, guidance, seed and more"),
      h(
        "div",
        { class: "stack" },
        parts.map((part) => part.element),
      ),
    );
  }

  fields() {
    return {
      steps: this.steps.value,
      guidance_scale: this.guidance.value,
      seed: this.seed.value,
      sampler: this.sampler.input.value,
      negative_prompt: this.negative.input.value.trim(),
      format: this.format.input.value,
      loras: this.loras.value,
    };
  }

  load({
    steps,
    guidance_scale: guidance,
    seed,
    sampler = "",
    negative_prompt: negative = "",
    format = "",
    loras = [],
  }) {
    this.steps.value = steps;
    this.guidance.value = guidance;
    this.seed.value = seed;
    this.#offer([], sampler);
    this.negative.input.value = negative;
    this.format.input.value = format;
    this.loras.value = loras;
  }

  /** Tell what these models take. */
  describe(models) {
    for (const number of [this.steps, this.guidance, this.seed]) number.describe(models);
    this.loras.describe(models);
    this.negative.hint.textContent = rangeWords(models, "negative_prompt");
    this.sampler.hint.textContent = rangeWords(models, "sampler");
    this.#offer(choices(models, "sampler"), this.sampler.input.value);
  }

  /** Offer these samplers and the chosen one. Nothing is touched where they are there already. */
  #offer(names, chosen) {
    const select = this.sampler.input;
    const offered = ["", ...new Set(chosen ? [...names, chosen] : names)];
    const shown = [...select.options].map((option) => option.value);
    if (offered.join("\n") !== shown.join("\n") || !shown.length) {
      fill(
        select,
        offered.map((name) => h("option", { value: name }, name || "model’s own")),
      );
    }
    select.value = chosen;
  }
}

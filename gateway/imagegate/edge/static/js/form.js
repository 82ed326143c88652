// The form: everything that one may ask for, as a request of the API.

import { field, Chips, NumberField, Ticks, tick } from "./fields.js";
import { fill, h } from "./dom.js";
import { choices, rangeWords } from "./catalogue.js";
import { Loras } from "./loras.js";
import { ModelChoice } from "./models.js";
import { SizeChoice } from "./size.js";
import { tidied } from "./request.js";
import { panels, taskOf, taskOptions } from "./tasks.js";
import { fieldWords } from "./words.js";

const PRESETS = [
  { value: "", label: "None" },
  { value: "SD", label: "SD" },
  { value: "HD", label: "HD" },
  { value: "ULTRA", label: "ULTRA" },
  { value: "PREMIUM", label: "PREMIUM" },
];
const KEEPABLE = ["width", "height", "steps", "guidance_scale", "negative_prompt", "seed", "sampler"];

export class Form {
  constructor(api, catalogue, onchange) {
    this.catalogue = catalogue;
    const changed = () => {
      this.describe();
      onchange();
    };
    this.task = new Chips({ legend: "What to make", options: taskOptions(), value: "text", kind: "tasks", onchange: () => this.#switched(changed) });
    this.panels = panels(api, changed);
    this.place = h("div", { class: "task-place" });
    this.prompt = h("textarea", { id: "prompt", rows: 4, maxlength: 32000, placeholder: "A lighthouse on a cliff at dusk, long exposure, soft fog" });
    this.prompt.addEventListener("keydown", (event) => event.key === "Enter" && !event.ctrlKey && !event.metaKey && event.stopPropagation());
    this.model = new ModelChoice(catalogue, changed);
    this.quality = new Chips({ legend: "Preset", options: PRESETS, value: "", kind: "joined", onchange: changed });
    this.size = new SizeChoice(changed);
    this.count = new NumberField({ label: "How many", low: 1, high: 8, placeholder: "1" });
    this.#more();
    this.project = h("input", { type: "text", id: "project", maxlength: 100, placeholder: "none", list: "projects" });
    this.projects = h("datalist", { id: "projects" });
    this.element = this.#laidOut();
    this.element.addEventListener("input", changed);
    this.#switched(() => {});
  }

  /** The request; what is empty is left out. */
  body() {
    return tidied(this.raw(this.#providerOptions()));
  }

  /** The request with everything that is empty still in it. */
  raw(options = null) {
    return {
      prompt: this.prompt.value.trim(),
      model: this.model.value,
      quality: this.quality.value,
      ...this.size.fields(),
      count: this.count.value,
      negative_prompt: this.negative.value.trim(),
      ...Object.fromEntries(this.numbers.map((number) => [number.parameter, number.value])),
      seed: this.seed.value,
      sampler: this.sampler.value,
      project: this.project.value.trim(),
      format: this.format.value,
      max_credits: this.maxCredits.value,
      no_fallback: this.noFallback.input.checked || null,
      on_unsupported: this.refuse.input.checked ? "REFUSE" : "",
      must_keep: this.mustKeep.value,
      allow_providers: this.allow.value,
      deny_providers: this.deny.value,
      loras: this.loras.value,
      provider_options: options,
      ...this.panel.fields(),
    };
  }

  /** What still has to be given, in words; "" where nothing. */
  missing() {
    try {
      this.#providerOptions();
    } catch {
      return "write the upstream’s own options as JSON";
    }
    const isWordless = this.task.value === "extraction";
    return this.prompt.value.trim() || isWordless ? this.panel.missing() : "say what to make";
  }

  /** Fill in what a picture was made of, with its seed, so that it is made again by the same model. What is returned is
   * there once its input pictures are. */
  again(record) {
    const asked = record.parameters ?? {};
    this.task.value = taskOf(asked);
    this.#switched(() => {});
    this.prompt.value = record.prompt;
    this.model.value = `${record.provider}/${record.model}`;
    this.quality.value = asked.quality ?? "";
    this.describe();
    this.size.load(asked);
    for (const number of this.numbers) number.value = asked[number.parameter];
    this.count.value = null;
    this.negative.value = asked.negative_prompt ?? "";
    this.seed.value = record.seed;
    this.#sampler(asked.sampler ?? "");
    this.format.value = asked.format ?? "";
    this.project.value = record.project;
    this.loras.value = asked.loras ?? [];
    this.options.value = asked.provider_options ? JSON.stringify(asked.provider_options) : "";
    this.mustKeep.value = asked.must_keep ?? [];
    this.refuse.input.checked = asked.on_unsupported === "REFUSE";
    this.noFallback.input.checked = false;
    this.allow.value = this.deny.value = [];
    this.maxCredits.value = null;
    const restored = this.panel.load(asked);
    this.describe();
    return restored;
  }

  /** Take a picture as the input of the task, or of image to image where the task takes none. */
  use(record) {
    if (!this.panel.picture) this.task.value = "image";
    this.#switched(() => {});
    this.panel.picture.use(record);
  }

  /** The names of the projects that there are. */
  suggest(projects) {
    fill(this.projects, projects.filter(({ name }) => name).map(({ name }) => h("option", { value: name })));
  }

  /** Tell what the chosen models take. */
  describe() {
    const tasks = this.panel.tasks();
    this.model.tasks = tasks;
    const behind = this.catalogue.behind(this.model.value);
    const able = behind.filter((model) => tasks.some((task) => model.tasks.includes(task)));
    const models = able.length ? able : behind;
    this.size.describe(models, this.quality.value);
    for (const number of [...this.numbers, this.seed, ...this.panel.numbers]) number.describe(models);
    this.loras.describe(models);
    this.negativeHint.textContent = rangeWords(models, "negative_prompt");
    this.samplerHint.textContent = rangeWords(models, "sampler");
    this.#samplers(choices(models, "sampler"));
    const taken = models.flatMap((model) => model.options.map(({ name }) => `${model.provider}: ${name}`));
    this.optionsHint.textContent = taken.length ? `As JSON. Let through: ${[...new Set(taken)].join(", ")}.` : "These models let nothing through.";
  }

  get panel() {
    return this.panels[this.task.value];
  }

  #more() {
    this.numbers = [
      new NumberField({ label: "Steps", parameter: "steps", low: 1, high: 150 }),
      new NumberField({ label: "Guidance", parameter: "guidance_scale", low: 0, high: 50, step: 0.1 }),
    ];
    this.seed = new NumberField({ label: "Seed", parameter: "seed", low: -1, high: Number.MAX_SAFE_INTEGER, slider: false, placeholder: "random" });
    this.sampler = h("select", { id: "sampler" });
    this.#samplers([]);
    this.negative = h("textarea", { id: "negative", rows: 2, maxlength: 32000, placeholder: "blurry, text" });
    this.format = h("select", { id: "format" }, ["", "PNG", "JPEG", "WEBP"].map((name) => h("option", { value: name }, name || "as it comes")));
    this.maxCredits = new NumberField({ label: "At most this many credits", low: 0, high: 1000000, slider: false, placeholder: "no limit" });
    this.noFallback = tick("Only the first choice: no fallback");
    this.refuse = tick("Refuse rather than change anything");
    this.mustKeep = new Ticks({ legend: "Must not be changed", options: KEEPABLE.map((name) => ({ value: name, label: fieldWords(name) })) });
    const providers = this.catalogue.providers.map(({ name }) => ({ value: name, label: name }));
    this.allow = new Ticks({ legend: "Only these providers", options: providers });
    this.deny = new Ticks({ legend: "Not these providers", options: providers });
    this.loras = new Loras(() => this.element.dispatchEvent(new Event("input")));
    this.options = h("textarea", { id: "options", rows: 2, spellcheck: "false", placeholder: '{"fal": {"acceleration": "none"}}' });
  }

  #laidOut() {
    const negative = field("What to leave out", this.negative);
    const sampler = field("Sampler", this.sampler);
    const options = field("The upstream’s own options", this.options);
    [this.negativeHint, this.samplerHint, this.optionsHint] = [negative.hint, sampler.hint, options.hint];
    const more = h(
      "details",
      { class: "more" },
      h("summary", {}, "Steps, guidance, seed and more"),
      h("div", { class: "stack" }, this.numbers.map((number) => number.element), this.seed.element, sampler.element, negative.element, field("Format", this.format).element, this.loras.element),
    );
    const rules = h(
      "details",
      { class: "more" },
      h("summary", {}, "Cost, fallback and what may change"),
      h("div", { class: "stack" }, this.maxCredits.element, this.noFallback.element, this.refuse.element, this.mustKeep.element, this.allow.element, this.deny.element, options.element),
    );
    return h(
      "div",
      { class: "stack form-parts" },
      this.task.element,
      h("div", { class: "field" }, h("label", { for: "prompt" }, "What it should show"), this.prompt),
      this.place,
      this.model.element,
      this.quality.element,
      this.size.element,
      h("div", { class: "two" }, this.count.element, field("Project", this.project).element, this.projects),
      more,
      rules,
    );
  }

  #switched(changed) {
    fill(this.place, this.panel.element);
    this.describe();
    changed();
  }

  #samplers(names) {
    const known = names.includes(this.sampler.value) || !this.sampler.value ? names : [...names, this.sampler.value];
    const shown = [...this.sampler.options].slice(1).map((option) => option.value);
    if (this.sampler.options.length && known.join("\n") === shown.join("\n")) return;
    const chosen = this.sampler.value;
    fill(this.sampler, h("option", { value: "" }, "model’s own"), known.map((name) => h("option", { value: name }, name)));
    this.sampler.value = chosen;
  }

  #sampler(name) {
    if (name && ![...this.sampler.options].some((option) => option.value === name)) this.sampler.append(h("option", { value: name }, name));
    this.sampler.value = name;
  }

  #providerOptions() {
    return this.options.value.trim() ? JSON.parse(this.options.value) : null;
  }
}

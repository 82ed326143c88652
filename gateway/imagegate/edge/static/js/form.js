// The form: everything that one may ask for, as a request of the API.

import { Extras } from "./extras.js";
import { Chips, field, NumberField } from "./fields.js";
import { fill, h } from "./dom.js";
import { ModelChoice } from "./models.js";
import { tidied } from "./request.js";
import { Rules } from "./rules.js";
import { SizeChoice } from "./size.js";
import { panels, taskOf, taskOptions } from "./tasks.js";

const PRESETS = [
  { value: "", label: "None" },
  { value: "SD", label: "SD" },
  { value: "HD", label: "HD" },
  { value: "ULTRA", label: "ULTRA" },
  { value: "PREMIUM", label: "PREMIUM" },
];
const PROMPT = { rows: 4, maxlength: 32000, placeholder: "A lighthouse on a cliff at dusk, long exposure, soft fog" };
const WORDLESS = "extraction"; // the one task that needs no words

export class Form {
  constructor(api, catalogue, onchange) {
    this.catalogue = catalogue;
    const changed = () => {
      this.describe();
      onchange();
    };
    const switched = () => {
      fill(this.place, this.panel.element);
      changed();
    };
    this.task = new Chips({
      legend: "What to make",
      options: taskOptions(),
      value: "text",
      kind: "tasks",
      onchange: switched,
    });
    this.panels = panels(api, changed);
    this.place = h("div", { class: "task-place" });
    this.prompt = h("textarea", { id: "prompt", ...PROMPT });
    this.model = new ModelChoice(catalogue, changed);
    this.quality = new Chips({ legend: "Preset", options: PRESETS, value: "", kind: "joined", onchange: changed });
    this.size = new SizeChoice(changed);
    this.count = new NumberField({ label: "How many", low: 1, high: 8, placeholder: "1" });
    this.project = field(
      "Project",
      h("input", { type: "text", maxlength: 100, placeholder: "none", list: "projects" }),
    );
    this.projects = h("datalist", { id: "projects" });
    this.extras = new Extras(changed);
    this.rules = new Rules(catalogue);
    this.element = this.#laidOut();
    this.element.addEventListener("input", changed);
    this.#show("text");
  }

  /** The request; what is empty is left out. */
  body = () => tidied(this.raw());

  /** The request with everything that is empty still in it. */
  raw() {
    return {
      prompt: this.prompt.value.trim(),
      model: this.model.value,
      quality: this.quality.value,
      count: this.count.value,
      project: this.project.input.value.trim(),
      ...this.size.fields(),
      ...this.extras.fields(),
      ...this.rules.fields(),
      ...this.panel.fields(),
    };
  }

  /** What still has to be given, in words; "" where nothing. */
  missing() {
    const isWordless = !this.prompt.value.trim() && this.task.value !== WORDLESS;
    return isWordless ? "say what to make" : this.panel.missing() || this.rules.missing();
  }

  /** Fill in what a picture was made of, with its seed, so that the same model makes it again. What is returned is
   * there once its input pictures are. */
  again(record) {
    const asked = { ...record.parameters, seed: record.seed };
    this.#show(taskOf(asked));
    this.prompt.value = record.prompt;
    this.model.value = `${record.provider}/${record.model}`;
    this.quality.value = asked.quality ?? "";
    this.count.value = null;
    this.project.input.value = record.project;
    this.describe();
    for (const part of [this.size, this.extras, this.rules]) part.load(asked);
    const restored = this.panel.load(asked);
    this.describe();
    return restored;
  }

  /** Take a picture as the input of the task, or of image to image where the task takes none. */
  use(record) {
    if (!this.panel.picture) this.#show("image");
    this.panel.picture.use(record);
  }

  /** The names of the projects that there are. */
  suggest(projects) {
    const names = projects.map(({ name }) => name).filter(Boolean);
    fill(
      this.projects,
      names.map((name) => h("option", { value: name })),
    );
  }

  /** Tell what the chosen models take. */
  describe() {
    const tasks = this.panel.tasks();
    const behind = this.catalogue.behind(this.model.value);
    const able = behind.filter((model) => tasks.some((task) => model.tasks.includes(task)));
    const models = able.length ? able : behind;
    this.model.tasks = tasks;
    this.size.describe(models, this.quality.value);
    for (const part of [this.extras, this.rules, ...this.panel.numbers]) part.describe(models);
  }

  get panel() {
    return this.panels[this.task.value];
  }

  #show(task) {
    this.task.value = task;
    fill(this.place, this.panel.element);
    this.describe();
  }

  #laidOut() {
    return h(
      "div",
      { class: "stack form-parts" },
      this.task.element,
      h("div", { class: "field" }, h("label", { for: "prompt" }, "What it should show"), this.prompt),
      this.place,
      this.model.element,
      this.quality.element,
      this.size.element,
      h("div", { class: "two" }, this.count.element, this.project.element, this.projects),
      this.extras.element,
      this.rules.element,
    );
  }
}

// The view that makes pictures: the form on one side, what happens on the other.

import { Catalogue } from "./catalogue.js";
import { announce, fill, h } from "./dom.js";
import { note, problemBox } from "./dialog.js";
import { Explainer } from "./explain.js";
import { Form } from "./form.js";
import { icon } from "./icons.js";
import { Progress } from "./progress.js";
import { result } from "./result.js";

const IDEAS = [
  "A lighthouse on a cliff at dusk, long exposure, soft fog",
  "Still life with lemons and a blue glass, morning light",
  "Isometric cutaway of a tiny bookshop, paper craft",
  "Portrait of an old fox in a tweed jacket, oil on canvas",
];

/** The view. `again` and `use` take a record; `onMade` is called after a picture was made. */
export function make(api, go) {
  const view = {
    element: h("div", { class: "make" }, h("h1", { class: "unseen" }, "Make a picture")),
    onMade: () => {},
  };
  const place = h("div", { class: "make-columns" }, h("p", { class: "hint pad" }, "Reading the catalogue…"));
  view.element.append(place);
  const ready = load();

  async function load() {
    try {
      const [catalogue, { projects }] = await Promise.all([api.get("/api/catalogue"), api.get("/api/projects")]);
      const maker = new Maker(api, new Catalogue(catalogue), go, () => view.onMade());
      maker.form.suggest(projects);
      fill(place, maker.elements);
      return maker;
    } catch (problem) {
      const again = h(
        "button",
        { type: "button", class: "plainly", on: { click: () => location.reload() } },
        "Try again",
      );
      fill(place, problemBox(problem, again));
      return null;
    }
  }

  view.again = async (record) => (await ready)?.again(record);
  view.use = async (record) => (await ready)?.use(record);
  return view;
}

class Maker {
  #underWay = null;

  constructor(api, catalogue, go, made) {
    Object.assign(this, { api, go, made });
    this.form = new Form(api, catalogue, () => this.explainer?.ask());
    this.explainer = new Explainer(api, catalogue, {
      question: () => ({ raw: this.form.raw(), tasks: this.form.panel.tasks() }),
      choose: (name) => {
        this.form.model.value = name;
        this.form.describe();
        this.explainer.ask();
      },
    });
    this.told = h("div", { id: "make-problem" });
    this.button = h(
      "button",
      { class: "primary wide", "aria-describedby": "make-problem" },
      icon("spark"),
      h("span", {}, "Make"),
      this.explainer.cost,
    );
    const foot = h(
      "div",
      { class: "make-foot" },
      this.told,
      this.button,
      h(
        "p",
        { class: "hint keys" },
        this.explainer.short,
        h("span", { class: "shortcut" }, h("kbd", {}, "Ctrl"), " + ", h("kbd", {}, "Enter")),
      ),
    );
    const submit = (event) => (event.preventDefault(), this.submit());
    const element = h(
      "form",
      { class: "make-form", novalidate: true, "aria-label": "What to make", on: { submit } },
      this.form.element,
      foot,
    );
    element.addEventListener(
      "keydown",
      (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit(event),
    );
    this.stage = h("div", { class: "stage" }, this.#idle());
    this.elements = [element, h("div", { class: "stage-column" }, this.stage, this.explainer.element)];
    this.explainer.ask();
  }

  /** Make what the form says. */
  async submit() {
    const missing = this.form.missing();
    fill(
      this.told,
      missing ? h("p", { class: "line warn", role: "alert" }, icon("warn", 16), `First ${missing}.`) : null,
    );
    if (missing) return this.#focusMissing(missing);
    this.#underWay?.abort();
    const controller = (this.#underWay = new AbortController());
    const body = this.form.body();
    const progress = new Progress(body.prompt ?? "", () => controller.abort());
    fill(this.stage, progress.element);
    announce("Asking for a picture");
    if (matchMedia("(max-width: 60rem)").matches) this.stage.scrollIntoView({ block: "start" });
    try {
      await this.#follow(body, progress, controller.signal);
    } catch (error) {
      if (error.name === "AbortError") progress.cancelled();
      else progress.failed(error, () => this.submit());
    } finally {
      if (this.#underWay === controller) this.#underWay = null;
      this.explainer.ask();
    }
  }

  /** Fill in what a picture was made of. */
  async again(record) {
    await this.form.again(record);
    this.explainer.ask();
    const lost = this.form.missing();
    if (lost) note(`Filled in. Input pictures are not kept: ${lost}.`, { bad: true });
    else
      note(record.seed === null ? "Filled in; this model takes no seed." : `Filled in with the seed ${record.seed}.`);
    this.button.focus();
  }

  /** Take a picture as input. */
  use(record) {
    this.form.use(record);
    this.explainer.ask();
    note("Chosen as the input picture.");
    this.form.prompt.focus();
  }

  async #follow(body, progress, signal) {
    for await (const event of this.api.events("POST", "/api/generations", { body, signal })) {
      if (event.name === "completed") return this.#completed(event.data, progress);
      progress.told(event);
    }
    throw new DOMException("the stream ended early", "AbortError");
  }

  #completed(answer, progress) {
    progress.watch.stop();
    const shown = result(answer, this.go);
    fill(this.stage, shown);
    const made = answer.pictures.length === 1 ? "A picture is there" : `${answer.pictures.length} pictures are there`;
    announce(`${made}, made by ${answer.provider}`);
    this.api
      .get("/api/projects")
      .then(({ projects }) => this.form.suggest(projects))
      .catch(() => {});
    this.made();
  }

  #focusMissing(missing) {
    if (missing.startsWith("say")) this.form.prompt.focus();
    else this.form.place.querySelector("input, button, canvas")?.focus();
  }

  #idle() {
    const take = (idea) => {
      this.form.prompt.value = idea;
      this.form.prompt.focus();
      this.explainer.ask();
    };
    const ideas = IDEAS.map((idea) =>
      h("button", { type: "button", class: "idea", on: { click: () => take(idea) } }, idea),
    );
    return h(
      "div",
      { class: "idle" },
      h("div", { class: "idle-mark", "aria-hidden": "true" }, icon("image", 40)),
      h("h2", {}, "What should it be?"),
      h("p", { class: "lead" }, "Write a few words and press Make. What happens on the way is shown here."),
      h("div", { class: "ideas" }, ideas),
    );
  }
}

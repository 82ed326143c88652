// The gallery: one's pictures, the latest first, by project.

import { Chips } from "./fields.js";
import { announce, fill, h } from "./dom.js";
import { problemBox } from "./dialog.js";
import { icon } from "./icons.js";
import { openRecord } from "./record.js";
import { picture } from "./picture.js";

const PAGE = 30;
const FRESH_MILLISECONDS = 3600e3; // the links of pictures expire
const EVERY = "every"; // no project's name: those begin with "="

/** The view; `outdated` makes it read everything again when it is next looked at. */
export function gallery(api, go) {
  return new Gallery(api, go);
}

class Gallery {
  #before = null;
  #loading = false;
  #readAt = -Infinity;
  #turn = 0; // answers to an earlier question are dropped

  constructor(api, go) {
    Object.assign(this, { api, go, project: EVERY });
    this.filter = h("div", { class: "gallery-filter" });
    this.grid = h("ul", { class: "tiles" });
    this.told = h("div", { class: "gallery-told" });
    this.more = h(
      "button",
      { type: "button", class: "plainly", hidden: true, on: { click: () => this.#next() } },
      "More",
    );
    this.element = h(
      "div",
      { class: "gallery" },
      h("h1", {}, "Gallery"),
      this.filter,
      this.grid,
      this.told,
      h("div", { class: "row centred" }, this.more),
    );
    const reached = ([seen]) => seen.isIntersecting && this.#next();
    this.observer = new IntersectionObserver(reached, { rootMargin: "600px" });
  }

  enter() {
    if (Date.now() - this.#readAt > FRESH_MILLISECONDS) this.#again();
  }

  outdated() {
    this.#readAt = -Infinity;
    if (!this.element.parentNode?.hidden) this.#again();
  }

  async #again() {
    this.#readAt = Date.now();
    this.#turn += 1;
    this.#before = null;
    this.#loading = false;
    fill(this.grid);
    this.#projects();
    await this.#next();
  }

  async #projects() {
    try {
      this.#filters((await this.api.get("/api/projects")).projects);
    } catch {
      fill(this.filter); // the pictures tell what is wrong
    }
  }

  #filters(projects) {
    const total = projects.reduce((sum, { pictures }) => sum + pictures, 0);
    const options = [
      { value: EVERY, label: "All", note: total },
      ...projects.map(({ name, pictures }) => ({
        value: `=${name}`,
        label: name || "Without a project",
        note: pictures,
      })),
    ];
    if (!options.some(({ value }) => value === this.project)) this.project = EVERY;
    const choose = (value) => {
      this.project = value;
      this.#again();
    };
    const focused = this.filter.contains(document.activeElement);
    const chips = new Chips({ legend: "Project", options, value: this.project, kind: "inline", onchange: choose });
    fill(this.filter, projects.length > 1 ? chips.element : null);
    if (focused) chips.inputs.get(this.project)?.focus();
  }

  async #next() {
    if (this.#loading) return;
    this.#loading = true;
    const turn = this.#turn;
    const project = this.project === EVERY ? null : this.project.slice(1);
    try {
      const { pictures, next } = await this.api.get("/api/pictures", { project, before: this.#before, limit: PAGE });
      if (turn !== this.#turn) return;
      this.grid.append(...pictures.map((record) => this.#tile(record)));
      this.#before = next;
      this.more.hidden = next === null;
      fill(this.told, this.grid.children.length ? null : empty());
    } catch (problem) {
      if (turn !== this.#turn) return;
      const again = h("button", { type: "button", class: "plainly", on: { click: () => this.#again() } }, "Try again");
      fill(this.told, problemBox(problem, again));
      this.more.hidden = true;
    } finally {
      if (turn === this.#turn) this.#loaded();
    }
  }

  #loaded() {
    this.#loading = false;
    this.observer.disconnect();
    this.observer.observe(this.more); // told anew, also where it is still in sight
  }

  #tile(record) {
    const tile = h("li", {});
    const removed = () => {
      const beside = (tile.nextElementSibling ?? tile.previousElementSibling)?.querySelector("button");
      tile.remove();
      beside?.focus();
      announce("The picture is deleted");
      this.#projects();
      if (!this.grid.children.length) fill(this.told, empty());
    };
    const open = () => openRecord(this.api, record, this.go, removed);
    const caption = h(
      "span",
      { class: "tile-caption", "aria-hidden": "true" },
      h("span", { class: "clip" }, record.prompt),
      h("small", {}, `${record.provider}/${record.model}`),
    );
    tile.append(
      h(
        "button",
        { type: "button", class: "tile", on: { click: open }, title: record.prompt },
        picture(record, { lazy: true }),
        caption,
      ),
    );
    return tile;
  }
}

function empty() {
  const link = h("a", { class: "button primary", href: "#/make" }, icon("spark"), "Make the first one");
  return h(
    "div",
    { class: "idle" },
    h("div", { class: "idle-mark", "aria-hidden": "true" }, icon("gallery", 40)),
    h("h2", {}, "Nothing here yet"),
    h("p", { class: "lead" }, "Every picture that you make is kept here with its whole record."),
    link,
  );
}

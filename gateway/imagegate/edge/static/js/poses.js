// The pose templates as pictures to choose from.

import { fill, h, uniqueId } from "./dom.js";

let loading = null; // the templates are the same for everybody on this page

/** `value` is the name of the template that was chosen, or "". */
export class PoseChoice {
  constructor(api, onchange) {
    this.onchange = onchange;
    this.name = uniqueId("pose");
    this.wanted = "";
    this.grid = h("div", { class: "poses" });
    this.element = h("fieldset", { class: "chips" }, h("legend", {}, "Pose"), this.grid);
    loading ??= api.get("/api/poses");
    loading
      .then((told) => this.#show(told))
      .catch((error) => {
        loading = null;
        fill(this.grid, h("p", { class: "hint" }, `The poses cannot be shown: ${error.message}`));
      });
  }

  get value() {
    return this.grid.querySelector("input:checked")?.value ?? this.wanted;
  }

  set value(name) {
    this.wanted = name;
    for (const input of this.grid.querySelectorAll("input")) input.checked = input.value === name;
  }

  #show({ templates, message }) {
    const choices = templates.map((template) => this.#choice(template));
    fill(this.grid, choices, message ? h("p", { class: "hint" }, message) : null);
  }

  #choice({ name, description, image }) {
    const input = h("input", { type: "radio", name: this.name, value: name, on: { change: this.onchange } });
    input.checked = name === this.wanted;
    const shown = image ? h("img", { src: image, alt: "", loading: "lazy" }) : null;
    return h("label", { class: "pose", title: description }, input, shown, h("span", {}, name.replaceAll("-", " ")));
  }
}

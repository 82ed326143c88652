// LoRAs: a name and a weight each, as many as one likes; the model says how many it takes.

import { nameOf } from "./catalogue.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

export class Loras {
  constructor(onchange) {
    this.onchange = onchange;
    this.rows = h("div", { class: "stack tight" });
    this.hint = h("p", { class: "hint" });
    const add = h(
      "button",
      { type: "button", class: "plainly small", on: { click: () => this.#add() } },
      icon("plus", 16),
      "Add a LoRA",
    );
    this.element = h("fieldset", { class: "chips" }, h("legend", {}, "LoRAs"), this.rows, add, this.hint);
  }

  get value() {
    return [...this.rows.children]
      .map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()))
      .filter(([name]) => name)
      .map(([name, weight]) => ({ name, weight: weight === "" ? null : Number(weight) }));
  }

  set value(loras) {
    fill(this.rows);
    for (const { name, weight } of loras) this.#add(name, weight);
  }

  describe(models) {
    const told = models.map((model) => `${nameOf(model)}: ${model.max_loras ? `up to ${model.max_loras}` : "none"}`);
    this.hint.textContent = told.join(" · ");
  }

  #add(name = "", weight = null) {
    const away = h(
      "button",
      { type: "button", class: "quiet round", "aria-label": "Take this LoRA away" },
      icon("trash"),
    );
    const row = h(
      "div",
      { class: "row lora" },
      h("input", {
        type: "text",
        value: name,
        placeholder: "name or address",
        "aria-label": "LoRA",
        spellcheck: "false",
      }),
      h("input", { type: "number", value: weight, step: 0.05, placeholder: "1.0", "aria-label": "Weight" }),
      away,
    );
    away.addEventListener("click", () => {
      row.remove();
      this.onchange();
    });
    this.rows.append(row);
    if (!name) row.querySelector("input").focus();
  }
}

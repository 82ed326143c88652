// The form's small parts: a field with a hint, numbers with a slider, choices as chips.

import { fill, h, uniqueId } from "./dom.js";
import { rangeWords, ranges, usual, widest } from "./catalogue.js";

/** A labelled field; `hint` stands below the input and is told with it. */
export function field(label, input, hint = "") {
  input.id ||= uniqueId("field");
  const told = h("p", { class: "hint", id: `${input.id}-hint` }, hint);
  input.setAttribute("aria-describedby", told.id);
  const element = h("div", { class: "field" }, h("label", { for: input.id }, label), input, told);
  return { element, input, hint: told };
}

/** A number that may stay empty. With `low` and `high` a slider for the mouse stands below it. `parameter` is what the
 * catalogue calls it: its ranges are told for the models that `describe` is given. */
export class NumberField {
  constructor({ label, parameter = "", low, high, step = 1, placeholder = "model’s own", slider = true }) {
    this.parameter = parameter;
    this.bounds = { low, high };
    const kind = {
      type: "number",
      inputmode: step < 1 ? "decimal" : "numeric",
      min: low,
      max: high,
      step,
      placeholder,
    };
    this.input = h("input", { ...kind, id: uniqueId("number"), on: { input: () => this.#slide() } });
    this.hint = h("p", { class: "hint", id: `${this.input.id}-hint` });
    this.input.setAttribute("aria-describedby", this.hint.id);
    this.range = h("input", { type: "range", min: low, max: high, step, tabindex: -1, "aria-hidden": "true" });
    this.range.addEventListener("input", () => {
      this.input.value = this.range.value;
      this.#slide();
      this.input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    const line = h("div", { class: "number-line" }, h("label", { for: this.input.id }, label), this.input);
    this.element = h("div", { class: "field number" }, line, slider ? this.range : null, this.hint);
    this.#slide();
  }

  /** The number; null where the field is empty. */
  get value() {
    return this.input.value === "" ? null : Number(this.input.value);
  }

  set value(number) {
    this.input.value = number ?? "";
    this.#slide();
  }

  /** Tell what these models take, and slide within it. */
  describe(models) {
    if (!this.parameter) return;
    const bounds = widest(models, this.parameter);
    const taken = ranges(models, this.parameter).takers.length > 0 || models.length === 0;
    this.element.classList.toggle("not-taken", !taken);
    this.hint.textContent = rangeWords(models, this.parameter);
    this.range.min = Math.max(bounds?.minimum ?? this.bounds.low, this.bounds.low);
    this.range.max = Math.min(bounds?.maximum ?? this.bounds.high, this.bounds.high);
    this.range.disabled = !taken || this.range.min === this.range.max;
    this.usual = usual(models, this.parameter);
    this.#slide();
  }

  #slide() {
    const isSet = this.input.value !== "";
    this.range.classList.toggle("unset", !isSet);
    this.range.value = isSet ? this.input.value : this.usual || (Number(this.range.min) + Number(this.range.max)) / 2;
  }
}

/** One of several, as chips; `options` are {value, label, icon?, note?}. */
export class Chips {
  constructor({ legend, options, value, kind = "", onchange = () => {} }) {
    this.name = uniqueId("choice");
    this.inputs = new Map();
    const chips = options.map((option) => this.#chip(option, onchange));
    this.element = h(
      "fieldset",
      { class: `chips ${kind}` },
      h("legend", {}, legend),
      h("div", { class: "chip-row" }, chips),
    );
    this.value = value;
  }

  get value() {
    return [...this.inputs].find(([, input]) => input.checked)?.[0] ?? "";
  }

  set value(value) {
    for (const [each, input] of this.inputs) input.checked = each === value;
  }

  #chip({ value, label, sign = null, note = "" }, onchange) {
    const input = h("input", { type: "radio", name: this.name, on: { change: () => onchange(value) } });
    this.inputs.set(value, input);
    const text = h("span", { class: "chip-text" }, label, note || note === 0 ? [" ", h("small", {}, note)] : null);
    return h("label", { class: "chip" }, input, sign, text);
  }
}

/** Yes or no. */
export function tick(label, checked = false) {
  const input = h("input", { type: "checkbox" });
  input.checked = checked;
  return { element: h("label", { class: "tick" }, input, h("span", {}, label)), input };
}

/** Several of several. */
export class Ticks {
  constructor({ legend, options }) {
    this.row = h("div", { class: "chip-row" });
    this.element = h("fieldset", { class: "chips" }, h("legend", {}, legend), this.row);
    this.show(options);
  }

  show(options) {
    this.inputs = new Map(options.map(({ value }) => [value, h("input", { type: "checkbox" })]));
    fill(
      this.row,
      options.map(({ value, label }) => h("label", { class: "chip" }, this.inputs.get(value), h("span", {}, label))),
    );
  }

  get value() {
    return [...this.inputs].filter(([, input]) => input.checked).map(([value]) => value);
  }

  set value(values) {
    for (const [value, input] of this.inputs) input.checked = values.includes(value);
  }
}

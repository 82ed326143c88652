// What a picture keeps to: a pose out of the templates, or the pose, edges, depth or blur of one's own picture.

import { Chips, NumberField, tick } from "./fields.js";
import { h } from "./dom.js";
import { PictureInput } from "./picture_input.js";
import { PoseChoice } from "./poses.js";

const CONTROLS = [
  { value: "OPENPOSE", label: "Pose" },
  { value: "CANNY", label: "Edges" },
  { value: "DEPTH", label: "Depth" },
  { value: "BLUR", label: "Blur" },
];

/** The panel of a control; see `tasks` for what a panel has. */
export class ControlPanel {
  constructor(api, onchange) {
    this.kind = new Chips({
      legend: "What it keeps to",
      options: CONTROLS,
      value: "OPENPOSE",
      onchange: () => this.#changed(onchange),
    });
    this.source = new Chips({
      legend: "Where the control comes from",
      options: [
        { value: "template", label: "A template" },
        { value: "own", label: "My own picture" },
      ],
      value: "template",
      onchange: () => this.#changed(onchange),
    });
    this.poses = new PoseChoice(api, onchange);
    this.picture = new PictureInput(api, "The picture to keep to", onchange);
    this.preprocess = tick("It is a photo: find the pose, edges or depth in it first", true);
    this.scale = new NumberField({
      label: "How closely",
      parameter: "conditioning_scale",
      low: 0,
      high: 2,
      step: 0.05,
    });
    this.start = new NumberField({
      label: "From (share of the steps)",
      parameter: "control_start",
      low: 0,
      high: 1,
      step: 0.05,
      slider: false,
    });
    this.end = new NumberField({
      label: "Until",
      parameter: "control_end",
      low: 0,
      high: 1,
      step: 0.05,
      slider: false,
    });
    this.numbers = [this.scale, this.start, this.end];
    this.own = h("div", { class: "stack" }, this.picture.element, this.preprocess.element);
    const range = h("div", { class: "two" }, this.start.element, this.end.element);
    this.element = h(
      "div",
      { class: "stack" },
      this.kind.element,
      this.source.element,
      this.poses.element,
      this.own,
      this.scale.element,
      range,
    );
    this.#changed(() => {});
  }

  tasks = () => [`CONTROL_${this.kind.value}`];

  fields() {
    const [scale, start, end] = this.numbers.map((number) => number.value);
    const control = { type: this.kind.value, image: this.#image(), conditioning_scale: scale, start, end };
    return { controls: [this.#isTemplate() ? control : { ...control, preprocess: this.preprocess.input.checked }] };
  }

  missing() {
    if (this.#image()) return "";
    return this.#isTemplate() ? "choose a pose" : "choose the picture to keep to";
  }

  load({ controls = [] }) {
    const [asked] = controls;
    if (!asked) return;
    this.kind.value = asked.type;
    [this.scale.value, this.start.value, this.end.value] = [asked.conditioning_scale, asked.start, asked.end];
    const template = asked.image?.template ?? "";
    this.source.value = template ? "template" : "own";
    this.poses.value = template;
    this.preprocess.input.checked = asked.preprocess ?? false;
    this.#changed(() => {});
    return this.picture.restore(asked.image);
  }

  #image = () => (this.#isTemplate() ? this.poses.value && { template: this.poses.value } : this.picture.value) || null;

  #isTemplate = () => this.kind.value === "OPENPOSE" && this.source.value === "template";

  #changed(onchange) {
    this.source.element.hidden = this.kind.value !== "OPENPOSE";
    this.poses.element.hidden = !this.#isTemplate();
    this.own.hidden = this.#isTemplate();
    onchange();
  }
}

/** A control that goes together with another task. */
export function optionalControl(api, onchange) {
  const wanted = tick("Together with a pose or another control");
  const control = new ControlPanel(api, onchange);
  control.element.hidden = true;
  wanted.input.addEventListener("change", () => {
    control.element.hidden = !wanted.input.checked;
    onchange();
  });
  return {
    element: h("div", { class: "stack" }, wanted.element, control.element),
    numbers: control.numbers,
    fields: () => (wanted.input.checked ? control.fields() : {}),
    missing: () => (wanted.input.checked ? control.missing() : ""),
    load(controls) {
      wanted.input.checked = Boolean(controls?.length);
      control.element.hidden = !wanted.input.checked;
      return control.load({ controls });
    },
  };
}

// The tasks: what each asks for besides words, and how that stands in a request.

import { Chips, NumberField, tick } from "./fields.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { MaskPainter } from "./mask.js";
import { PictureInput } from "./picture_input.js";
import { PoseChoice } from "./poses.js";

export const TASKS = [
  { value: "text", label: "Text to image", sign: "text", tasks: ["TEXT_TO_IMAGE"] },
  { value: "image", label: "Image to image", sign: "image", tasks: ["IMAGE_TO_IMAGE"] },
  { value: "inpainting", label: "Inpainting", sign: "brush", tasks: ["INPAINTING"] },
  { value: "control", label: "Pose & control", sign: "pose", tasks: [] }, // by the kind of control
  { value: "identity", label: "Identity", sign: "person", tasks: ["IDENTITY"] },
  { value: "extraction", label: "Pose extraction", sign: "skip", tasks: ["POSE_EXTRACTION"] },
];

const strengthField = (label) => new NumberField({ label, parameter: "strength", low: 0, high: 1, step: 0.05 });

/** Each panel has `element`, `tasks()` (what a model must be able to do), `fields()` (its part of a request), `missing()`
 * (what still has to be given, in words), `numbers` (what the catalogue describes) and `load(parameters)`, which fills in
 * what a picture was made of. */
export function panels(api, onchange) {
  return {
    text: plainPanel(),
    image: imagePanel(api, onchange),
    inpainting: inpaintingPanel(api, onchange),
    control: new ControlPanel(api, onchange),
    identity: identityPanel(api, onchange),
    extraction: extractionPanel(api, onchange),
  };
}

function plainPanel() {
  return { element: h("div"), numbers: [], tasks: () => ["TEXT_TO_IMAGE"], fields: () => ({}), missing: () => "", load() {} };
}

function imagePanel(api, onchange) {
  const picture = new PictureInput(api, "The picture to start from", onchange);
  const strength = strengthField("How far from it");
  const pose = optionalPose(api, onchange);
  return {
    element: h("div", { class: "stack" }, picture.element, strength.element, pose.element),
    numbers: [strength, ...pose.numbers],
    picture,
    tasks: () => ["IMAGE_TO_IMAGE"],
    fields: () => ({ image_to_image: { image: picture.value, strength: strength.value }, ...pose.fields() }),
    missing: () => (picture.value ? pose.missing() : "choose the picture to start from"),
    load({ image_to_image: asked, controls }) {
      strength.value = asked?.strength;
      pose.load(controls);
      return picture.restore(asked?.image);
    },
  };
}

function inpaintingPanel(api, onchange) {
  const painter = new MaskPainter(onchange);
  const picture = new PictureInput(api, "The picture to repaint", () => {
    painter.over(picture.source);
    picture.element.classList.toggle("behind-mask", Boolean(picture.value));
    onchange();
  });
  const strength = strengthField("How far from what was there");
  const blur = new NumberField({ label: "Blur of the mask’s edge", parameter: "mask_blur", low: 0, high: 64, slider: false });
  return {
    element: h("div", { class: "stack" }, picture.element, painter.element, strength.element, blur.element),
    numbers: [strength, blur],
    picture,
    tasks: () => ["INPAINTING"],
    fields: () => ({
      inpainting: { image: picture.value, mask: painter.value, strength: strength.value, mask_blur: blur.value },
    }),
    missing: () => (!picture.value ? "choose the picture to repaint" : painter.value ? "" : "paint what is to be made anew"),
    load({ inpainting: asked }) {
      strength.value = asked?.strength;
      blur.value = asked?.mask_blur;
      return picture.restore(asked?.image);
    },
  };
}

const CONTROLS = [
  { value: "OPENPOSE", label: "Pose" },
  { value: "CANNY", label: "Edges" },
  { value: "DEPTH", label: "Depth" },
  { value: "BLUR", label: "Blur" },
];

class ControlPanel {
  constructor(api, onchange) {
    this.kind = new Chips({ legend: "What it keeps to", options: CONTROLS, value: "OPENPOSE", onchange: () => this.#changed(onchange) });
    this.source = new Chips({
      legend: "Where the control comes from",
      options: [{ value: "template", label: "A template" }, { value: "own", label: "My own picture" }],
      value: "template",
      onchange: () => this.#changed(onchange),
    });
    this.poses = new PoseChoice(api, onchange);
    this.picture = new PictureInput(api, "The picture to keep to", onchange);
    this.preprocess = tick("It is a photo: find the pose, edges or depth in it first", true);
    this.scale = new NumberField({ label: "How closely", parameter: "conditioning_scale", low: 0, high: 2, step: 0.05 });
    this.start = new NumberField({ label: "From (share of the steps)", parameter: "control_start", low: 0, high: 1, step: 0.05, slider: false });
    this.end = new NumberField({ label: "Until", parameter: "control_end", low: 0, high: 1, step: 0.05, slider: false });
    this.numbers = [this.scale, this.start, this.end];
    this.own = h("div", { class: "stack" }, this.picture.element, this.preprocess.element);
    const range = h("div", { class: "two" }, this.start.element, this.end.element);
    this.element = h("div", { class: "stack" }, this.kind.element, this.source.element, this.poses.element, this.own, this.scale.element, range);
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

function optionalPose(api, onchange) {
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

function identityPanel(api, onchange) {
  const inputs = [1, 2, 3, 4].map((number) => new PictureInput(api, `Photo ${number} of the person`, () => (show(), onchange())));
  const strength = strengthField("How alike");
  const pose = optionalPose(api, onchange);
  const list = h("div", { class: "two" });
  const chosen = () => inputs.map((input) => input.value).filter(Boolean);
  const given = () => (chosen().length ? chosen() : [null]);
  const show = () => inputs.forEach((input, index) => (input.element.hidden = index > chosen().length && !input.value));
  fill(list, inputs.map((input) => input.element));
  show();
  return {
    element: h("div", { class: "stack" }, h("p", { class: "hint" }, "One to four photos of one person."), list, strength.element, pose.element),
    numbers: [strength, ...pose.numbers],
    picture: inputs[0],
    tasks: () => ["IDENTITY"],
    fields: () => ({
      identity: given().map((value) => ({ image: value, strength: strength.value })),
      ...pose.fields(),
    }),
    missing: () => (chosen().length ? pose.missing() : "choose a photo of the person"),
    load({ identity = [], controls }) {
      strength.value = identity[0]?.strength;
      pose.load(controls);
      return Promise.all(inputs.map((input, index) => input.restore(identity[index]?.image)));
    },
  };
}

function extractionPanel(api, onchange) {
  const picture = new PictureInput(api, "The photo with the pose", onchange);
  const hands = tick("Hands", true);
  const face = tick("Face", true);
  return {
    element: h("div", { class: "stack" }, picture.element, h("div", { class: "row" }, hands.element, face.element)),
    numbers: [],
    picture,
    tasks: () => ["POSE_EXTRACTION"],
    fields: () => ({
      pose_extraction: { image: picture.value, detect_hands: hands.input.checked, detect_face: face.input.checked },
    }),
    missing: () => (picture.value ? "" : "choose the photo with the pose"),
    load: ({ pose_extraction: asked }) => picture.restore(asked?.image),
  };
}

/** The task that these parameters were of. */
export function taskOf(parameters) {
  if (parameters.image_to_image) return "image";
  if (parameters.inpainting) return "inpainting";
  if (parameters.pose_extraction) return "extraction";
  if (parameters.identity?.length) return "identity";
  return parameters.controls?.length ? "control" : "text";
}

/** The tasks as choices. */
export const taskOptions = () => TASKS.map(({ sign, ...task }) => ({ ...task, sign: icon(sign) }));

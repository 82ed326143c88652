// The tasks: what each asks for besides words, and how that stands in a request.

import { NumberField, tick } from "./fields.js";
import { ControlPanel, optionalControl } from "./control.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { MaskPainter } from "./mask.js";
import { PictureInput } from "./picture_input.js";

const TASKS = [
  { value: "text", label: "Text to image", sign: "text" },
  { value: "image", label: "Image to image", sign: "image" },
  { value: "inpainting", label: "Inpainting", sign: "brush" },
  { value: "control", label: "Pose & control", sign: "pose" },
  { value: "identity", label: "Identity", sign: "person" },
  { value: "extraction", label: "Pose extraction", sign: "skip" },
];

const strengthField = (label) => new NumberField({ label, parameter: "strength", low: 0, high: 1, step: 0.05 });

/** Each panel has `element`, `tasks()` (what a model must be able to do), `fields()` (its part of a request),
 * `missing()` (what still has to be given, in words), `numbers` (what the catalogue describes) and `load(parameters)`,
 * which fills in what a picture was made of. */
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
  return {
    element: h("div"),
    numbers: [],
    tasks: () => ["TEXT_TO_IMAGE"],
    fields: () => ({}),
    missing: () => "",
    load() {},
  };
}

function imagePanel(api, onchange) {
  const picture = new PictureInput(api, "The picture to start from", onchange);
  const strength = strengthField("How far from it");
  const pose = optionalControl(api, onchange);
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
  const blur = new NumberField({
    label: "Blur of the mask’s edge",
    parameter: "mask_blur",
    low: 0,
    high: 64,
    slider: false,
  });
  return {
    element: h("div", { class: "stack" }, picture.element, painter.element, strength.element, blur.element),
    numbers: [strength, blur],
    picture,
    tasks: () => ["INPAINTING"],
    fields: () => ({
      inpainting: { image: picture.value, mask: painter.value, strength: strength.value, mask_blur: blur.value },
    }),
    missing: () =>
      !picture.value ? "choose the picture to repaint" : painter.value ? "" : "paint what is to be made anew",
    load({ inpainting: asked }) {
      strength.value = asked?.strength;
      blur.value = asked?.mask_blur;
      return picture.restore(asked?.image);
    },
  };
}

function identityPanel(api, onchange) {
  const inputs = [1, 2, 3, 4].map(
    (number) => new PictureInput(api, `Photo ${number} of the person`, () => (show(), onchange())),
  );
  const strength = strengthField("How alike");
  const pose = optionalControl(api, onchange);
  const list = h("div", { class: "two" });
  const chosen = () => inputs.map((input) => input.value).filter(Boolean);
  const given = () => (chosen().length ? chosen() : [null]);
  const show = () => inputs.forEach((input, index) => (input.element.hidden = index > chosen().length && !input.value));
  fill(
    list,
    inputs.map((input) => input.element),
  );
  show();
  return {
    element: h(
      "div",
      { class: "stack" },
      h("p", { class: "hint" }, "One to four photos of one person."),
      list,
      strength.element,
      pose.element,
    ),
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

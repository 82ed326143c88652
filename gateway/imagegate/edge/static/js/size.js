// How large and of which shape: shapes as chips, pixels beside them, or the sizes that a model has.

import { Chips, NumberField } from "./fields.js";
import { fill, h, svg } from "./dom.js";

const SHAPES = [
  { value: "", label: "Its own", ratio: null },
  { value: "1:1", label: "Square", ratio: 1 },
  { value: "4:3", label: "Landscape", ratio: 4 / 3 },
  { value: "3:4", label: "Portrait", ratio: 3 / 4 },
  { value: "16:9", label: "Wide", ratio: 16 / 9 },
  { value: "9:16", label: "Tall", ratio: 9 / 16 },
];
const GRID = 64;
const SIDES = { SD: 512, HD: 1024, ULTRA: 1024, PREMIUM: 1024 };

/** Width and height of a shape with about the pixels of a square of `side`. */
export function sizeOf(ratio, side) {
  const snapped = (length) => Math.min(Math.max(Math.round(length / GRID) * GRID, GRID), 4096);
  return { width: snapped(side * Math.sqrt(ratio)), height: snapped(side / Math.sqrt(ratio)) };
}

export class SizeChoice {
  constructor(onchange) {
    this.side = 1024;
    const options = SHAPES.map(({ value, label, ratio }) => ({ value, label, sign: glyph(ratio) }));
    const pick = (value) => {
      this.#pick(value);
      onchange();
    };
    this.shapes = new Chips({ legend: "Size", options, value: "", kind: "three", onchange: pick });
    this.width = new NumberField({
      label: "Width",
      parameter: "width",
      low: 64,
      high: 4096,
      slider: false,
      placeholder: "px",
    });
    this.height = new NumberField({
      label: "Height",
      parameter: "height",
      low: 64,
      high: 4096,
      slider: false,
      placeholder: "px",
    });
    for (const side of [this.width, this.height]) side.input.addEventListener("input", () => this.#match());
    this.hint = h("p", { class: "hint" });
    this.fixed = h("p", { class: "hint" });
    const sides = h("div", { class: "two" }, this.width.element, this.height.element);
    this.element = h("div", { class: "stack tight" }, this.shapes.element, sides, this.hint, this.fixed);
  }

  fields = () => ({ width: this.width.value, height: this.height.value });

  load({ width, height }) {
    this.width.value = width;
    this.height.value = height;
    this.#match();
  }

  /** Tell what these models take; `quality` sets about how many pixels a shape has. */
  describe(models, quality) {
    const [first] = models;
    const usual = first?.width && first?.height ? Math.sqrt(first.width * first.height) : 1024;
    this.side = SIDES[quality] ?? usual;
    this.width.describe(models);
    this.height.describe(models);
    const [wide, high] = [this.width, this.height].map(({ hint }) => hint.textContent);
    this.width.hint.textContent = this.height.hint.textContent = "";
    this.hint.textContent = wide === high || !high ? wide : `Width: ${wide} Height: ${high}`;
    const bound = models.filter((model) => model.sizes.length);
    fill(
      this.fixed,
      bound.map((model) =>
        h("span", { class: "line" }, `${model.key} makes ${sizeWords(model.sizes)}; the nearest is taken.`),
      ),
    );
    if (this.shapes.value) this.#pick(this.shapes.value);
  }

  #pick(value) {
    const ratio = SHAPES.find((shape) => shape.value === value)?.ratio;
    const { width, height } = ratio ? sizeOf(ratio, this.side) : { width: null, height: null };
    this.width.value = width;
    this.height.value = height;
  }

  #match() {
    const { width, height } = this.fields();
    if (width === null && height === null) this.shapes.value = "";
    else
      this.shapes.value =
        SHAPES.find(({ ratio }) => ratio && isSame(sizeOf(ratio, this.side), width, height))?.value ?? null;
  }
}

const sizeWords = (sizes) => sizes.map(({ width, height }) => `${width} × ${height}`).join(", ");

const isSame = (size, width, height) => size.width === width && size.height === height;

function glyph(ratio) {
  const place = { viewBox: "0 0 20 20", width: 18, height: 18, "aria-hidden": "true", class: "icon" };
  if (!ratio)
    return svg(
      "svg",
      place,
      svg("path", {
        d: "M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4",
        fill: "none",
        stroke: "currentColor",
        "stroke-width": 1.6,
      }),
    );
  const width = ratio > 1 ? 16 : 16 * ratio;
  const height = ratio > 1 ? 16 / ratio : 16;
  const look = { fill: "none", stroke: "currentColor", "stroke-width": 1.6, rx: 1.5 };
  return svg("svg", place, svg("rect", { x: 10 - width / 2, y: 10 - height / 2, width, height, ...look }));
}

// Painting on a picture what is to be made anew: by mouse, finger or keyboard. White is repainted.

import { announce, h, uniqueId } from "./dom.js";
import { icon } from "./icons.js";

const MAX_UNDO = 20;

/** A canvas over a picture; `value` is the mask as an input image, or null while nothing is painted. */
export class MaskPainter {
  #strokes = []; // each {points, size, erase, whole}; drawn anew when one is undone
  #stroke = null;
  #cursor = null;
  #keyPaints = false;

  constructor(onchange) {
    this.onchange = onchange;
    this.image = h("img", { alt: "" });
    this.canvas = h("canvas", {
      tabindex: 0,
      role: "application",
      "aria-label": "Paint what is to be made anew. Arrow keys move the brush, Space begins and ends a stroke.",
    });
    this.size = h("input", { type: "range", min: 4, max: 200, value: 60, id: uniqueId("brush") });
    this.erase = h("input", { type: "checkbox" });
    const tool = (name, text, run) =>
      h("button", { type: "button", class: "plainly small", on: { click: run } }, icon(name, 16), text);
    this.tools = h(
      "div",
      { class: "mask-tools" },
      h("label", { class: "row", for: this.size.id }, icon("brush", 16), h("span", {}, "Brush"), this.size),
      h("label", { class: "tick" }, this.erase, h("span", {}, "Erase")),
      tool("undo", "Undo", () => this.undo()),
      tool("plus", "Everything", () => this.#add({ whole: true, erase: false })),
      tool("trash", "Clear", () => this.clear()),
    );
    this.element = h(
      "div",
      { class: "mask", hidden: true },
      h("div", { class: "mask-stage" }, this.image, this.canvas),
      this.tools,
    );
    this.image.addEventListener("load", () => this.#fit());
    this.#listen();
  }

  /** Paint over this picture; "" for none. */
  over(source) {
    this.element.hidden = true; // until the picture is there, and its size known
    this.#strokes = [];
    if (source) this.image.src = source;
    else this.image.removeAttribute("src");
  }

  get value() {
    if (this.element.hidden || !this.#strokes.length) return null;
    const whole = document.createElement("canvas");
    [whole.width, whole.height] = [this.canvas.width, this.canvas.height];
    const context = whole.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, whole.width, whole.height);
    const painted = document.createElement("canvas");
    [painted.width, painted.height] = [whole.width, whole.height];
    this.#draw(painted.getContext("2d"), "#fff");
    context.drawImage(painted, 0, 0);
    return { data: whole.toDataURL("image/png").split(",")[1] };
  }

  undo() {
    this.#strokes.pop();
    this.#changed("Undone");
  }

  clear() {
    this.#strokes = [];
    this.#changed("Nothing is painted");
  }

  #fit() {
    this.element.hidden = false;
    [this.canvas.width, this.canvas.height] = [this.image.naturalWidth, this.image.naturalHeight];
    this.#cursor = { x: this.canvas.width / 2, y: this.canvas.height / 2 };
    this.size.max = Math.max(40, Math.round(this.canvas.width / 4));
    this.size.value = Math.round(this.canvas.width / 12);
    this.#redraw();
  }

  #listen() {
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.#begin(this.#at(event));
    });
    this.canvas.addEventListener(
      "pointermove",
      (event) => this.#stroke && !this.#keyPaints && this.#move(this.#at(event)),
    );
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => this.#end());
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("focus", () => this.#redraw());
    this.canvas.addEventListener("blur", () => this.#redraw());
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  }

  #begin(point) {
    this.#stroke = { points: [point], size: Number(this.size.value), erase: this.erase.checked };
    this.#strokes.push(this.#stroke);
    this.#redraw();
  }

  #move(point) {
    this.#stroke.points.push(point);
    this.#redraw();
  }

  #end() {
    if (!this.#stroke) return;
    this.#stroke = null;
    this.#keyPaints = false;
    this.#changed("Painted");
  }

  #add(stroke) {
    this.#strokes.push(stroke);
    this.#changed("Everything is painted");
  }

  #changed(said) {
    while (this.#strokes.length > MAX_UNDO * 10) this.#strokes.shift();
    this.#redraw();
    announce(said);
    this.onchange();
  }

  #key(event) {
    const step = Math.max(2, Number(this.size.value) / 3);
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (event.key === " ") {
      event.preventDefault();
      if (this.#keyPaints) return this.#end();
      this.#keyPaints = true;
      this.#begin({ ...this.#cursor });
    } else if (way) {
      event.preventDefault();
      const within = (value, most) => Math.min(Math.max(value, 0), most);
      this.#cursor = {
        x: within(this.#cursor.x + way[0], this.canvas.width),
        y: within(this.#cursor.y + way[1], this.canvas.height),
      };
      if (this.#keyPaints) this.#move({ ...this.#cursor });
      else this.#redraw();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.undo();
    }
  }

  #redraw() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.#draw(context, "#f0466e");
    if (document.activeElement === this.canvas && this.canvas.matches(":focus-visible")) this.#drawCursor(context);
  }

  #draw(context, colour) {
    context.lineCap = context.lineJoin = "round";
    for (const { points, size, erase, whole } of this.#strokes) {
      context.globalCompositeOperation = erase ? "destination-out" : "source-over";
      context.strokeStyle = context.fillStyle = colour;
      if (whole) {
        context.fillRect(0, 0, context.canvas.width, context.canvas.height);
        continue;
      }
      context.lineWidth = size;
      context.beginPath();
      context.moveTo(points[0].x, points[0].y);
      for (const { x, y } of points.length > 1 ? points.slice(1) : points) context.lineTo(x, y);
      context.stroke();
    }
    context.globalCompositeOperation = "source-over";
  }

  #drawCursor(context) {
    context.lineWidth = Math.max(2, this.canvas.width / 300);
    for (const [colour, more] of [
      ["#000", 1],
      ["#fff", 0],
    ]) {
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(
        this.#cursor.x,
        this.#cursor.y,
        Number(this.size.value) / 2 + more * context.lineWidth,
        0,
        2 * Math.PI,
      );
      context.stroke();
    }
  }
}

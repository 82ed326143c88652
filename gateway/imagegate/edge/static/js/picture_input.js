// A picture to send along: a file, something pasted or dropped, or one out of the gallery.

import { fill, h, uniqueId } from "./dom.js";
import { note, openDialog } from "./dialog.js";
import { icon } from "./icons.js";

const KINDS = ["image/png", "image/jpeg", "image/webp"];
const MAX_BYTES = 16 * 1024 * 1024; // of one file; all pictures of a request have 24 MiB together

/** `value` is an input image as the API takes it, or null; `source` what an <img> shows of it. */
export class PictureInput {
  constructor(api, label, onchange) {
    this.api = api;
    this.label = label;
    this.onchange = onchange;
    this.value = null;
    this.source = "";
    this.file = h("input", { type: "file", accept: KINDS.join(","), class: "unseen", id: uniqueId("file") });
    this.file.addEventListener("change", () => this.take(this.file.files[0]));
    this.shown = h("div", { class: "drop-shown" });
    this.element = h("div", { class: "drop", role: "group", "aria-label": label }, this.shown);
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      this.take(event.dataTransfer.files[0]);
    });
    this.element.addEventListener("paste", (event) => this.take([...event.clipboardData.files][0]));
    this.#show();
  }

  /** Take a file, where it is a picture that can be sent. */
  async take(file) {
    if (!file) return;
    if (!KINDS.includes(file.type)) return note("A picture has to be a PNG, JPEG or WebP file.", { bad: true });
    if (file.size > MAX_BYTES) return note("This file is larger than 16 MiB.", { bad: true });
    const url = await dataUrl(file);
    this.set({ data: url.slice(url.indexOf(",") + 1) }, url, file.name);
  }

  /** Take a picture out of the gallery. */
  use(record) {
    this.set({ picture: record.id }, record.url, record.prompt);
  }

  /** Take what an earlier request had, where that is still there: a picture of the gallery or a template's name. */
  async restore(image) {
    if (!image?.picture) return;
    const record = await this.api.get(`/api/pictures/${encodeURIComponent(image.picture)}`).catch(() => null);
    if (record) this.use(record);
  }

  set(value, source, name) {
    Object.assign(this, { value, source, name });
    this.#show();
    this.onchange();
  }

  clear() {
    this.file.value = "";
    this.set(null, "", "");
  }

  #show() {
    fill(this.shown, this.value ? this.#chosen() : this.#empty());
  }

  #empty() {
    const choose = h("label", { class: "button plainly", for: this.file.id }, icon("plus"), "Choose a file");
    const gallery = h(
      "button",
      { type: "button", class: "plainly", on: { click: () => this.#fromGallery() } },
      icon("gallery"),
      "From the gallery",
    );
    this.file.setAttribute("aria-label", `${this.label}: choose a file`);
    return [
      icon("image", 28),
      h("p", {}, this.label),
      h("div", { class: "row centred" }, this.file, choose, gallery),
      h("p", { class: "hint" }, "or drop or paste it here · PNG, JPEG, WebP"),
    ];
  }

  #chosen() {
    const image = h("img", { src: this.source, alt: `${this.label}: ${this.name}` });
    const away = h(
      "button",
      { type: "button", class: "plainly small", on: { click: () => this.clear() } },
      icon("close", 16),
      "Take away",
    );
    return [image, h("div", { class: "row spread" }, h("span", { class: "clip" }, this.name), away)];
  }

  async #fromGallery() {
    const grid = h("div", { class: "tiles small" }, "…");
    const dialog = openDialog({ title: "Out of your gallery", body: [grid], kind: "wide" });
    const { pictures } = await this.api.get("/api/pictures", { limit: 40 }).catch(() => ({ pictures: [] }));
    const choose = (record) => (this.use(record), dialog.close());
    const tiles = pictures.map((record) =>
      h(
        "button",
        { type: "button", class: "tile", on: { click: () => choose(record) } },
        h("img", { src: record.url, alt: record.prompt, loading: "lazy" }),
      ),
    );
    fill(grid, tiles.length ? tiles : h("p", {}, "There is nothing in it yet."));
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

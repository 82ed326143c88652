// A kept picture on the page.

import { h } from "./dom.js";
import { note } from "./dialog.js";

/** The picture of a record; its prompt is what it shows. */
export function picture(record, { lazy = false } = {}) {
  const alt = record.prompt || "A picture without a prompt";
  const size = { width: record.width, height: record.height };
  return h("img", { src: record.url, alt, ...size, loading: lazy ? "lazy" : "eager", decoding: "async" });
}

/** Copy its link, which anybody may follow until it expires. */
export async function copyLink(record) {
  const link = new URL(record.url, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    note("The link is copied. Whoever has it sees the picture until it expires.");
  } catch {
    note(`This browser does not let a page copy. The link: ${link}`, { bad: true });
  }
}

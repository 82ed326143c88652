// Attempts as a list: who was asked, what became of it, in whose words.

import { countdown, stopwatch } from "./clock.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { durationWords, reasonWords } from "./words.js";

/** An attempt that is under way; `finish` shows what became of it. */
export class AttemptRow {
  constructor({ provider, model, timeout = null }) {
    Object.assign(this, { provider, model });
    this.watch = stopwatch(Date.now());
    this.element = h("li", { class: "attempt under-way" });
    const most = timeout ? ` of at most ${durationWords(timeout)}` : "";
    this.#show("spinner", "under way", h("span", { class: "hint" }, this.watch.element, most), null);
  }

  /** An attempt that is over. */
  static of(attempt) {
    const row = new AttemptRow(attempt);
    row.finish(attempt);
    return row;
  }

  isOf = ({ provider, model }) =>
    this.element.classList.contains("under-way") && provider === this.provider && model === this.model;

  finish(attempt) {
    this.watch.stop();
    const reason = attempt.skipped ? attempt.skipped.reason : attempt.reason;
    const state = attempt.skipped ? "skipped" : reason ? "failed" : "delivered";
    const words =
      state === "delivered"
        ? "delivered"
        : state === "skipped"
          ? `passed over: ${reasonWords(reason)}`
          : reasonWords(reason);
    const took = attempt.skipped ? null : h("span", { class: "hint" }, durationWords(attempt.duration ?? 0));
    const until = attempt.skipped?.until ? h("span", { class: "hint" }, countdown(attempt.skipped.until)) : null;
    this.element.className = `attempt ${state}`;
    this.#show(state, words, [took, until], details(attempt));
  }

  /** It was given up by whoever asked. */
  cancel() {
    this.watch.stop();
    this.element.className = "attempt skipped";
    this.#show("skipped", "cancelled", null, null);
  }

  #show(state, words, facts, more) {
    const signs = { delivered: "check", failed: "cross", skipped: "skip" };
    const sign = signs[state] ? icon(signs[state], 16) : h("span", { class: "spinner", "aria-hidden": "true" });
    const line = h(
      "div",
      { class: "who-line" },
      h("strong", {}, `${this.provider}/${this.model}`),
      h("span", { class: "outcome" }, words),
      facts,
    );
    fill(this.element, h("span", { class: "attempt-sign" }, sign), h("div", {}, line, more));
  }
}

/** Attempts that are over, as a list. */
export const attemptList = (attempts) =>
  h(
    "ol",
    { class: "attempts" },
    attempts.map((attempt) => AttemptRow.of(attempt).element),
  );

function details({ message, remedy, upstream_status: status, upstream_message: words, reason, skipped }) {
  if (!reason && !skipped) return null;
  const said = words ? h("blockquote", {}, status ? `${status}: ` : "", `“${words}”`) : null;
  return [
    said,
    message && message !== words ? h("p", { class: "hint" }, message) : null,
    remedy ? h("p", { class: "remedy" }, remedy) : null,
  ];
}

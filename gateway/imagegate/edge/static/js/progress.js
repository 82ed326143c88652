// A generation while it happens.

import { AttemptRow } from "./attempts.js";
import { stopwatch, countdown } from "./clock.js";
import { announce, fill, h } from "./dom.js";
import { problemBox } from "./dialog.js";
import { icon } from "./icons.js";

/** The panel of one generation; `told` takes its events, `failed` and `cancelled` its other ends. */
export class Progress {
  #rows = [];

  constructor(prompt, cancel) {
    this.watch = stopwatch(Date.now());
    this.phase = h("p", { class: "phase", role: "status" }, "Asking…");
    this.bar = h("progress", { "aria-label": "Progress" });
    this.preview = h("div", { class: "preview" }, h("div", { class: "shimmer" }));
    this.attempts = h("ol", { class: "attempts", "aria-label": "Attempts", "aria-live": "polite" });
    this.button = h("button", { type: "button", class: "plainly", on: { click: cancel } }, icon("close"), "Cancel");
    this.element = h(
      "section",
      { class: "panel progress", "aria-label": "Progress" },
      h(
        "div",
        { class: "row spread" },
        h("div", {}, this.phase, h("p", { class: "hint clip" }, prompt)),
        h("span", { class: "hint" }, this.watch.element),
      ),
      this.bar,
      this.attempts,
      this.preview,
      h("div", { class: "row end" }, this.button),
    );
  }

  /** Show an event of the stream. */
  told({ name, data }) {
    if (name === "attempt_started") this.#started(data);
    else if (name === "progress") this.#moved(data);
    else if (name === "attempt_finished") this.#finished(data);
  }

  /** It failed: what is shown stays, with the reason. */
  failed(problem, again) {
    this.#over();
    if (problem.attempts.length) {
      this.#rows = problem.attempts.map((attempt) => AttemptRow.of(attempt));
      fill(
        this.attempts,
        this.#rows.map((row) => row.element),
      );
    }
    const wait = problem.retryAfter
      ? h(
          "p",
          { class: "hint" },
          "Worth another try: ",
          countdown(new Date(Date.now() + problem.retryAfter * 1000).toISOString(), "now"),
        )
      : null;
    fill(this.phase, problem.status ? "No picture came of it" : "The connection broke");
    const button = h("button", { type: "button", class: "primary", on: { click: again } }, icon("again"), "Try again");
    fill(this.preview, problemBox(problem, wait));
    fill(this.button.parentNode, button);
  }

  /** Whoever asked has given it up. */
  cancelled() {
    this.#over();
    for (const row of this.#rows) if (row.element.classList.contains("under-way")) row.cancel();
    fill(this.phase, "Cancelled");
    announce("Cancelled");
    this.preview.remove();
    this.button.remove();
  }

  #over() {
    this.watch.stop();
    this.bar.remove();
  }

  #started(attempt) {
    const row = new AttemptRow(attempt);
    this.#rows.push(row);
    this.attempts.append(row.element);
    fill(this.phase, `Asking ${attempt.provider}`);
    this.#unknown();
  }

  #finished(attempt) {
    const row = this.#rows.find((each) => each.isOf(attempt));
    if (row) return row.finish(attempt);
    const passed = AttemptRow.of(attempt);
    this.#rows.push(passed);
    this.attempts.append(passed.element);
  }

  #moved({ phase, queue_position: before, ready_in: readyIn, step, steps, preview }) {
    if (preview) fill(this.preview, h("img", { src: preview, alt: "An unfinished picture" }));
    if (phase === "QUEUED") fill(this.phase, queueWords(before));
    if (phase === "WARMING") this.#warming(readyIn);
    if (phase === "RUNNING") fill(this.phase, steps ? `Step ${step ?? 0} of ${steps}` : "Being made");
    if (phase === "DOWNLOADING") fill(this.phase, "Made, on its way");
    if (phase === "RUNNING" && steps) {
      this.bar.max = steps;
      this.bar.value = Math.min(step ?? 0, steps);
    } else if (phase !== "RUNNING") this.#unknown();
  }

  #warming(readyIn) {
    if (readyIn === null || readyIn === undefined) return fill(this.phase, "The model is warming up");
    const ready = new Date(Date.now() + readyIn * 1000).toISOString();
    // A live text that changes each second would be read aloud each second.
    fill(this.phase, "The model is warming up ", h("span", { "aria-hidden": "true" }, "· ", countdown(ready)));
  }

  #unknown() {
    this.bar.removeAttribute("value");
  }
}

function queueWords(before) {
  if (before === null || before === undefined) return "In the upstream’s queue";
  if (before === 0) return "Next in the queue";
  return `In the queue, ${before} before it`;
}

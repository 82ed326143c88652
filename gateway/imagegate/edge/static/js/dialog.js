// Dialogs, questions and short notes.

import { fill, h, uniqueId } from "./dom.js";
import { icon } from "./icons.js";

/** Show a dialog with a heading. `body` and `footer` are lists of nodes; it leaves the page when it is closed. */
export function openDialog({ title, body, footer = [], kind = "" }) {
  const id = uniqueId("dialog");
  const close = h("button", { type: "button", class: "quiet round", "aria-label": "Close" }, icon("close"));
  const dialog = h(
    "dialog",
    { class: `dialog ${kind}`, "aria-labelledby": id },
    h("header", { class: "dialog-head" }, h("h2", { id }, title), close),
    h("div", { class: "dialog-body" }, body),
    footer.length ? h("footer", { class: "dialog-foot" }, footer) : null,
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something is done that cannot be undone; whether it was confirmed. */
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => {
    const yes = h("button", { type: "button", class: "danger" }, action);
    const no = h("button", { type: "button", class: "plainly", autofocus: true }, "Keep it");
    const dialog = openDialog({ title, body: [h("p", {}, text)], footer: [no, yes], kind: "small" });
    yes.addEventListener("click", () => dialog.close("yes"));
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
  });
}

/** A note that goes by itself; `bad` for what went wrong. */
export function note(text, { bad = false } = {}) {
  const toast = h("div", { class: bad ? "toast bad" : "toast" }, icon(bad ? "warn" : "check"), h("span", {}, text));
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), bad ? 8000 : 4000);
}

/** What went wrong, as a box that stays. */
export function problemBox(problem, ...more) {
  const listed = problem.errors?.length
    ? h(
        "ul",
        {},
        problem.errors.map(({ field, detail }) => h("li", {}, field ? `${field}: ${detail}` : detail)),
      )
    : null;
  const text = listed ? "Some of this does not fit:" : problem.message;
  return h("div", { class: "box bad", role: "alert" }, icon("warn"), h("div", {}, h("p", {}, text), listed, more));
}

/** Show `problem` in `place`, or clear it where there is none. */
export function showProblem(place, problem) {
  fill(place, problem ? problemBox(problem) : null);
}

// The gate: who has no key, or one that is refused, is told what to do.

import { Api } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { isRemembered, keep } from "./key.js";

/** The view that asks for a key; `enter` is called with the key and whose it is, once the edge takes it. */
export function gate({ problem = "", enter }) {
  const input = h("input", {
    type: "password",
    id: "key",
    name: "key",
    autocomplete: "current-password",
    spellcheck: "false",
    autocapitalize: "off",
    placeholder: "ig_…",
    required: true,
    "aria-describedby": "key-help key-problem",
  });
  const remember = h("input", { type: "checkbox", id: "remember", name: "remember" });
  remember.checked = isRemembered();
  const told = h("div", { id: "key-problem", role: "alert" });
  const button = h("button", { class: "primary wide" }, icon("key"), "Enter");
  const show = (text) =>
    fill(told, text ? h("div", { class: "box bad" }, icon("warn"), h("div", {}, refusal(text))) : null);
  const submit = async (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (!key) return show("Type or paste a key first.");
    button.disabled = true;
    try {
      const me = await new Api(key).get("/api/me");
      keep(key, remember.checked);
      enter(key, me);
    } catch (error) {
      show(error.status === 401 ? "This key is not known here." : error.message);
      input.select();
    } finally {
      button.disabled = false;
    }
  };
  show(problem);
  return h(
    "section",
    { class: "gate", "aria-labelledby": "gate-title" },
    h("img", { src: "/static/mark.svg", alt: "", width: 56, height: 56 }),
    h("h1", { id: "gate-title", tabindex: "-1" }, "Your key, please"),
    h("p", { class: "lead" }, "One front door to every image model, and an honest record of what each of them did."),
    h(
      "form",
      { class: "panel", on: { submit }, novalidate: true },
      told,
      h("div", { class: "field" }, h("label", { for: "key" }, "Key"), input),
      h("label", { class: "tick" }, remember, h("span", {}, "Remember on this device")),
      button,
      h(
        "p",
        { class: "hint", id: "key-help" },
        "Where imagegate runs, ",
        h("code", {}, "imagegate open"),
        " prints the address of this page with a key in it. The key stays in this browser.",
      ),
    ),
  );
}

function refusal(text) {
  const remedy = "Run “imagegate open” where imagegate runs: it prints an address with a key that is taken.";
  return [h("p", {}, h("strong", {}, text)), h("p", {}, remedy)];
}

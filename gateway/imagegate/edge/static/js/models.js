// Choosing a model or a route: what each costs, how long it takes, what it is good for, and why it cannot be had.

import { fill, h, uniqueId } from "./dom.js";
import { openDialog } from "./dialog.js";
import { icon } from "./icons.js";
import { nameOf } from "./catalogue.js";
import { priceWords, TASK_WORDS, usualWords } from "./words.js";

const ROUTE_WORDS = { default: "Tries one after another until a picture is there", web: "What web backends get" };

/** The button that shows the choice and opens the list; `value` is the name for a request ("": the route default). */
export class ModelChoice {
  #value = "";

  constructor(catalogue, onchange) {
    this.catalogue = catalogue;
    this.onchange = onchange;
    this.tasks = ["TEXT_TO_IMAGE"];
    this.button = h("button", {
      type: "button",
      class: "model-button",
      "aria-haspopup": "dialog",
      on: { click: () => this.#open() },
    });
    this.element = h("div", { class: "field" }, h("span", { class: "label" }, "Model"), this.button);
    this.show();
  }

  get value() {
    return this.#value;
  }

  set value(name) {
    this.#value = name ?? "";
    this.show();
  }

  /** Show the choice as it is now. */
  show() {
    const route = this.catalogue.route(this.#value);
    const model = route ? null : this.catalogue.behind(this.#value)[0];
    const title = route ? routeTitle(route) : (model?.display_name ?? this.#value);
    const facts = route
      ? route.candidates.join(" → ")
      : [
          this.#value,
          model && priceWords(model),
          model && usualWords(model.typical_seconds_low, model.typical_seconds_high),
        ]
          .filter(Boolean)
          .join(" · ");
    const shown = [h("span", { class: "unseen" }, "Model: "), h("strong", {}, title), h("small", {}, facts)];
    fill(this.button, h("span", { class: "model-said" }, shown), icon("chevron"));
  }

  #open() {
    const name = uniqueId("model");
    const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the models" });
    const list = h("div", { class: "model-list" });
    const other = h("input", {
      type: "text",
      id: uniqueId("other"),
      placeholder: "huggingface:owner/model",
      spellcheck: "false",
    });
    const use = h("button", { type: "button", class: "primary" }, "Use it");
    const body = [
      search,
      list,
      h("div", { class: "field other" }, h("label", { for: other.id }, "Or any other name"), other),
    ];
    const dialog = openDialog({ title: "Model", body, footer: [use], kind: "wide tall" });
    const choose = (value) => {
      this.value = value;
      dialog.close();
      this.onchange();
      this.button.focus();
    };
    const chosen = () => other.value.trim() || list.querySelector("input:checked")?.value || "";
    use.addEventListener("click", () => choose(chosen()));
    const clicked = (event) =>
      event.detail > 0 &&
      event.target.matches("input") === false &&
      event.target.closest("label:not(.off)") &&
      choose(event.target.closest("label").querySelector("input").value);
    list.addEventListener("click", clicked);
    list.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), choose(chosen())));
    other.addEventListener("keydown", (event) => event.key === "Enter" && choose(chosen()));
    const show = () => fill(list, this.#groups(name, search.value.toLowerCase().split(/\s+/).filter(Boolean)));
    search.addEventListener("input", show);
    show();
    (list.querySelector("input:checked") ?? search).focus();
  }

  #groups(name, words) {
    const matches = (text) => words.every((word) => text.toLowerCase().includes(word));
    const found = this.catalogue.routes.filter((route) => matches(`${route.name} ${route.candidates.join(" ")}`));
    const routes = [...found.filter(isDefault), ...found.filter((route) => !isDefault(route))];
    const models = this.catalogue.models.filter((model) =>
      matches(`${nameOf(model)} ${model.display_name} ${model.use_case} ${model.tier}`),
    );
    const able = (model) => model.tasks.some((task) => this.tasks.includes(task));
    const groups = [
      ["Routes: the next one steps in when one fails", routes.map((route) => this.#route(name, route))],
      [
        "Models for this task",
        models.filter((model) => model.enabled && able(model)).map((model) => this.#model(name, model)),
      ],
      [
        "Models for other tasks",
        models.filter((model) => model.enabled && !able(model)).map((model) => this.#model(name, model)),
      ],
      [
        "Coming soon or switched off",
        models.filter((model) => !model.enabled).map((model) => this.#model(name, model)),
      ],
    ];
    const shown = groups.filter(([, cards]) => cards.length);
    if (!shown.length) return h("p", { class: "hint" }, "Nothing of this name.");
    return shown.map(([title, cards]) =>
      h("section", {}, h("h3", {}, title), h("div", { class: "model-cards" }, cards)),
    );
  }

  #route(name, route) {
    const value = isDefault(route) ? "" : route.name;
    const badges = [route.available ? null : h("span", { class: "badge bad" }, "nobody available now")];
    const words = ROUTE_WORDS[route.name];
    const more = [words ? h("p", {}, words) : null, h("p", { class: "mono" }, route.candidates.join(" → "))];
    return this.#card({ name, value, title: routeTitle(route), badges, more });
  }

  #model(name, model) {
    const badges = [
      badge(priceWords(model), "coin"),
      badge(usualWords(model.typical_seconds_low, model.typical_seconds_high), "clock"),
      badge(model.quality),
      model.tier ? badge(`tier ${model.tier}`) : null,
      model.recommended_for ? h("span", { class: "badge accent" }, `recommended: ${model.recommended_for}`) : null,
      model.coming_soon ? h("span", { class: "badge warn" }, "coming soon") : null,
    ];
    const more = [
      h("p", { class: "mono" }, nameOf(model)),
      model.use_case ? h("p", {}, `Good for ${model.use_case}.`) : null,
      h("p", { class: "hint" }, model.tasks.map((task) => TASK_WORDS[task] ?? task).join(", ")),
      model.licence_note ? h("p", { class: "hint" }, `Licence: ${model.licence_note}`) : null,
      model.disabled_reason ? h("p", { class: "off-reason" }, model.disabled_reason) : null,
    ];
    return this.#card({
      name,
      value: nameOf(model),
      title: model.display_name || model.key,
      badges,
      more,
      off: !model.enabled,
    });
  }

  #card({ name, value, title, badges, more, off = false }) {
    const input = h("input", { type: "radio", name, value, disabled: off });
    input.checked = value === this.#value;
    const head = h("div", { class: "row" }, h("strong", {}, title), badges);
    return h(
      "label",
      { class: off ? "model-card off" : "model-card" },
      input,
      h("div", { class: "model-told" }, head, more),
    );
  }
}

const isDefault = (route) => route.name === "default";

const routeTitle = (route) => (isDefault(route) ? "Automatic" : `Route ${route.name}`);

const badge = (text, sign) => (text ? h("span", { class: "badge" }, sign ? icon(sign, 14) : null, text) : null);

// The status board: how every provider and model is doing, as it changes.

import { Chips } from "./fields.js";
import { announce, fill, h } from "./dom.js";
import { History } from "./history.js";
import { icon } from "./icons.js";
import { problemBox } from "./dialog.js";
import { ProviderCard } from "./provider_card.js";
import { summary } from "./board_state.js";

const RETRY_MILLISECONDS = [1000, 2000, 5000, 10000];

/** The view: it listens while it is looked at. */
export class Board {
  #listening = null;
  #replica = "";
  #cards = new Map();
  #told = "";

  constructor(api, me) {
    Object.assign(this, { api, isOperator: me.role === "operator", history: new History() });
    this.live = h("span", { class: "live" });
    this.summary = h("p", { class: "board-summary" });
    this.replicas = h("div", {});
    this.problem = h("div", {});
    this.routes = h("ul", { class: "routes" });
    this.cards = h("div", { class: "cards" });
    this.element = h(
      "div",
      { class: "board" },
      h("div", { class: "row spread" }, h("h1", {}, "Status"), this.live),
      this.summary,
      this.replicas,
      this.problem,
      h("section", { "aria-label": "Providers" }, this.cards),
      h("section", {}, h("h2", {}, "Routes"), this.routes),
    );
  }

  enter() {
    this.#listening = new AbortController();
    this.#listen(this.#listening.signal);
  }

  leave() {
    this.#listening?.abort();
  }

  async #listen(signal) {
    for (let failures = 0; !signal.aborted; failures += 1) {
      this.#connection(false);
      try {
        for await (const { name, data } of this.api.events("GET", "/api/status/stream", { signal })) {
          failures = 0;
          this.#connection(true);
          if (name === "status") this.#status(data);
          if (name === "sample") this.#sample(data);
        }
      } catch (problem) {
        if (problem.name === "AbortError" || problem.status === 401) return;
        fill(this.problem, problemBox(problem));
      }
      await pause(RETRY_MILLISECONDS[Math.min(failures, RETRY_MILLISECONDS.length - 1)], signal);
    }
  }

  #connection(isLive) {
    this.live.classList.toggle("on", isLive);
    this.live.textContent = isLive ? "live" : "connecting…";
  }

  #status(document) {
    this.latest = document;
    if (document.history?.length) this.history.replace(document.history);
    fill(this.problem);
    this.#choices(document.replicas);
    const replica = document.replicas.find(({ address }) => address === this.#replica) ?? document.replicas[0];
    this.#replicaShown(replica);
  }

  #sample(told) {
    this.history.add(told.history);
    for (const card of this.#cards.values()) card.drawn(this.history);
  }

  #choices(replicas) {
    const known = replicas.map(({ address, reachable }) => `${address} ${reachable}`).join("\n");
    if (known === this.known) return;
    this.known = known;
    if (!replicas.some(({ address }) => address === this.#replica))
      this.#replica = (replicas.find(({ reachable }) => reachable) ?? replicas[0])?.address ?? "";
    const options = replicas.map(({ address, reachable }) => ({
      value: address,
      label: address,
      note: reachable ? "" : "does not answer",
    }));
    const choose = (address) => {
      this.#replica = address;
      this.#status(this.latest);
    };
    const chips = new Chips({ legend: "Router", options, value: this.#replica, kind: "inline", onchange: choose });
    fill(this.replicas, replicas.length > 1 ? chips.element : null);
  }

  #replicaShown(replica) {
    if (!replica?.status) {
      fill(this.summary, state("bad"), replica?.problem || "The router does not answer.");
      return;
    }
    const { providers, routes } = replica.status;
    const { kind, words } = summary(providers);
    fill(this.summary, state(kind), words);
    if (words !== this.#told) announce(words);
    this.#told = words;
    this.#providers(providers);
    fill(this.routes, routes.map(route));
  }

  #providers(providers) {
    const names = new Set(providers.map(({ name }) => name));
    for (const [name, card] of this.#cards) {
      if (names.has(name)) continue;
      card.element.remove();
      this.#cards.delete(name);
    }
    for (const provider of providers) {
      if (!this.#cards.has(provider.name)) {
        const card = new ProviderCard(this.api, provider.name, this.isOperator);
        this.#cards.set(provider.name, card);
        this.cards.append(card.element);
      }
      const card = this.#cards.get(provider.name);
      card.show(provider);
      card.drawn(this.history);
    }
  }
}

const state = (kind) => h("span", { class: `dot ${kind}`, "aria-hidden": "true" });

const route = ({ name, candidates, available }) =>
  h(
    "li",
    {},
    h(
      "span",
      { class: "who-line" },
      icon(available ? "check" : "cross", 16),
      h("strong", {}, name),
      h("span", { class: available ? "hint" : "outcome" }, available ? "available" : "nobody available now"),
    ),
    h("span", { class: "mono hint" }, candidates.join(" → ")),
  );

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

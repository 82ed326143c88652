// What the catalogue says about the model or route that was chosen. Pure.

import { tidy } from "./words.js";

export const nameOf = (model) => `${model.provider}/${model.key}`;

/** The catalogue with what the form asks of it. */
export class Catalogue {
  constructor({ models = [], providers = [], routes = [] }) {
    this.models = models;
    this.providers = providers;
    this.routes = routes;
    this.byName = new Map(models.map((model) => [nameOf(model), model]));
  }

  /** A model by `provider/key`, or by an alias of it. */
  find(name) {
    const found = this.byName.get(name);
    if (found) return found;
    const [provider, ...rest] = name.split("/");
    const alias = rest.join("/");
    return this.models.find((model) => model.provider === provider && model.aliases.includes(alias)) ?? null;
  }

  /** The route of this name; "" is `default`. */
  route(name) {
    return this.routes.find((route) => route.name === (name || "default")) ?? null;
  }

  /** The models that `name` may lead to, in order: a route's candidates, or the model itself. */
  behind(name) {
    const route = this.route(name);
    const found = (route ? route.candidates : [name]).map((candidate) => this.find(candidate)).filter(Boolean);
    return found.length ? found : this.models.filter((model) => model.key === name || model.aliases.includes(name));
  }

  /** Those that can do one of `tasks`, can be used, and are not coming only. */
  able(tasks) {
    return this.models.filter((model) => model.enabled && tasks.some((task) => model.tasks.includes(task)));
  }
}

/** Which of `models` take the parameter `name`: `takers` with their ranges, and the `others`. */
export function ranges(models, name) {
  const takers = [];
  const others = [];
  for (const model of models) {
    const parameter = model.parameters.find((each) => each.name === name);
    if (parameter) takers.push({ model, parameter });
    else others.push(model);
  }
  return { takers, others };
}

/** The same in a sentence; "" where nothing is known. */
export function rangeWords(models, name) {
  const { takers, others } = ranges(models, name);
  if (!models.length) return "";
  if (!takers.length) return models.length === 1 ? "This model does not take it." : "None of these models takes it.";
  const said = new Map();
  for (const { model, parameter } of takers) {
    const words = parameterWords(parameter);
    said.set(words, [...(said.get(words) ?? []), shortName(models, model)]);
  }
  said.delete("taken"); // that says nothing by itself
  const parts = [...said].map(([words, keys]) =>
    said.size === 1 && takers.length === models.length ? words : `${keys.join(", ")}: ${words}`,
  );
  if (others.length)
    parts.push(
      `${parts.length ? "not" : "Not"} taken by ${others.map((model) => shortName(models, model)).join(", ")}`,
    );
  return parts.length ? `${parts.join(" · ")}.` : "";
}

/** The key, with its provider where another one of these has the same. */
const shortName = (models, model) =>
  models.some((other) => other !== model && other.key === model.key) ? nameOf(model) : model.key;

function parameterWords({ minimum, maximum, multiple_of: grid, default: usual, choices }) {
  const parts = [];
  if (choices.length) parts.push(choices.length > 6 ? `one of ${choices.length}` : choices.join(", "));
  else if (minimum !== undefined && maximum !== undefined) {
    parts.push(minimum === maximum ? `always ${tidy(minimum)}` : `${tidy(minimum)} to ${tidy(maximum)}`);
  }
  if (grid && grid > 1) parts.push(`in steps of ${tidy(grid)}`);
  if (usual !== undefined && usual !== "" && minimum !== maximum) parts.push(`${usual} if left empty`);
  return parts.join(", ") || "taken";
}

/** The smallest and the largest value that any of `models` takes; null where nobody says. */
export function widest(models, name) {
  const { takers } = ranges(models, name);
  const least = takers.map(({ parameter }) => parameter.minimum).filter((value) => value !== undefined);
  const most = takers.map(({ parameter }) => parameter.maximum).filter((value) => value !== undefined);
  return least.length && most.length ? { minimum: Math.min(...least), maximum: Math.max(...most) } : null;
}

/** What is sent where the first of `models` gets nothing. */
export function usual(models, name) {
  return ranges(models.slice(0, 1), name).takers[0]?.parameter.default ?? "";
}

/** Every value that any of `models` may have for the parameter. */
export function choices(models, name) {
  return [...new Set(ranges(models, name).takers.flatMap(({ parameter }) => parameter.choices))];
}

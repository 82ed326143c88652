// Calls to the edge with a key; what goes wrong is a Problem with words for people.

import { eventsOf } from "./sse.js";

/** What the edge said against a call, or what happened on the way (`status` 0). */
export class Problem extends Error {
  constructor(shown) {
    super(shown.detail || shown.title || "the edge gave no reason");
    this.status = shown.status ?? 0;
    this.reason = shown.reason ?? "";
    this.errors = shown.errors ?? [];
    this.attempts = shown.attempts ?? [];
    this.retryAfter = shown.retry_after ?? null;
    this.requestId = shown.request_id ?? "";
  }
}

/** The edge, asked with one key; `refused` is called when it no longer takes it. */
export class Api {
  #key;
  #refused;

  constructor(key, refused = () => {}) {
    this.#key = key;
    this.#refused = refused;
  }

  /** What GET answers. */
  get = (path, query = {}) => this.#json("GET", withQuery(path, query));

  /** What POST answers to this body. */
  post = (path, body, signal) => this.#json("POST", path, body, signal);

  /** What DELETE answers; null where it answers nothing. */
  delete = (path, query = {}) => this.#json("DELETE", withQuery(path, query));

  /** The events that this call is answered by, as they come; aborting `signal` ends it. */
  async *events(method, path, { body, signal, headers = {} } = {}) {
    const response = await this.#answer(method, path, body, signal, { ...headers, Accept: "text/event-stream" });
    try {
      for await (const event of eventsOf(response)) {
        if (event.name === "error") throw new Problem(event.data);
        yield event;
      }
    } catch (error) {
      throw told(error);
    }
  }

  async #json(method, path, body, signal) {
    const response = await this.#answer(method, path, body, signal, {});
    return response.status === 204 ? null : response.json();
  }

  async #answer(method, path, body, signal, headers) {
    const sent = { Authorization: `Bearer ${this.#key}`, ...headers };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    const text = body === undefined ? undefined : JSON.stringify(body);
    try {
      const response = await fetch(path, { method, headers: sent, body: text, signal, cache: "no-store" });
      if (response.ok) return response;
      throw await problemOf(response);
    } catch (error) {
      const problem = told(error);
      if (problem.status === 401) this.#refused();
      throw problem;
    }
  }
}

async function problemOf(response) {
  const shown = await response.json().catch(() => ({}));
  const waits = Number(response.headers.get("Retry-After")) || null;
  return new Problem({
    retry_after: waits,
    detail: `the edge answered ${response.status}`,
    ...shown,
    status: response.status,
  });
}

function told(error) {
  if (error instanceof Problem || error.name === "AbortError") return error;
  return new Problem({ status: 0, reason: "UNREACHABLE", detail: "imagegate cannot be reached; is it still running?" });
}

function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

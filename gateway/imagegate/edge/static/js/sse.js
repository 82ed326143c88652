// Server-Sent Events out of a fetch: an EventSource cannot send a key.

/** Turns text as it comes, in pieces of any length, into events. */
export class Parser {
  #rest = "";
  #name = "";
  #data = [];

  /** The events that this piece completes, each with `name` and `data` (parsed JSON). */
  push(text) {
    // A lone \r at the end may be half of a \r\n: it waits for the next piece.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter(Boolean);
  }

  #line(line) {
    if (line === "") return this.#end();
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") this.#name = value;
    if (field === "data") this.#data.push(value);
    return null;
  }

  #end() {
    const event = this.#data.length ? { name: this.#name || "message", data: JSON.parse(this.#data.join("\n")) } : null;
    this.#name = "";
    this.#data = [];
    return event;
  }
}

/** The events of an answer, as they come. */
export async function* eventsOf(response) {
  const parser = new Parser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    reader.cancel().catch(() => {}); // who leaves the loop ends the stream; an aborted one has ended already
  }
}

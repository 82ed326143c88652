// Times that move while one looks: counting down to a point in time, or up from one.

import { h } from "./dom.js";
import { durationWords } from "./words.js";

const moving = new Set();
let timer = 0;

/** A text that counts down to `until` (RFC 3339) and then says `over`. */
export function countdown(until, over = "any moment now") {
  const end = Date.parse(until);
  const text = () => (end > Date.now() ? `${durationWords(Math.ceil((end - Date.now()) / 1000))} left` : over);
  return started(h("time", { datetime: until, class: "counting" }), text);
}

/** A text with the time since `start` (milliseconds since the epoch), until `stop` is called on it. */
export function stopwatch(start) {
  const element = started(h("span", { class: "counting" }), () => `${Math.floor((Date.now() - start) / 1000)} s`);
  return { element, stop: () => moving.delete(element.tick) };
}

function started(element, text) {
  let seen = false;
  const tick = () => {
    element.textContent = text();
    if (seen && !element.isConnected) moving.delete(tick);
    seen ||= element.isConnected;
  };
  element.tick = tick;
  tick();
  moving.add(tick);
  timer ||= setInterval(() => moving.forEach((each) => each()), 1000);
  return element;
}

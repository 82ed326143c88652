// Elements without markup: whatever somebody typed becomes a text node or an attribute, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on` holds listeners, `data` data attributes; true sets an attribute without a value, false, null and
 * undefined leave it out. Children that are null, false or "" are left out, lists are laid flat. */
export function h(tag, properties = {}, ...children) {
  return built(document.createElement(tag), properties, children);
}

/** An element of SVG, made in the same way. */
export function svg(tag, properties = {}, ...children) {
  return built(document.createElementNS(SVG, tag), properties, children);
}

function built(element, { on = {}, data = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  for (const [name, value] of Object.entries(data)) element.dataset[name] = value;
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...nodes(children));
  return element;
}

/** Set an attribute, or take it away where the value is false, null or undefined. */
export function set(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Put these children in place of all that the element had. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

function nodes(children) {
  const kept = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return kept.filter((child) => child !== "").map((child) => (child instanceof Node ? child : String(child)));
}

let count = 0;

/** An id that nothing else on the page has. */
export function uniqueId(start) {
  count += 1;
  return `${start}-${count}`;
}

/** Tell a screen reader. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  if (announcer.textContent === text) announcer.textContent = "";
  announcer.textContent = text;
}

/** Call `run` once nothing has called for `milliseconds`. */
export function debounced(run, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
}

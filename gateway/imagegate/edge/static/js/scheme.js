// The switch between light and dark: as the system has it, or as it was chosen on this device.

import { fill, h, set } from "./dom.js";
import { icon } from "./icons.js";

const NAME = "imagegate.scheme";
const SCHEMES = [
  { name: "", icon: "system", words: "as the system has it" },
  { name: "light", icon: "sun", words: "light" },
  { name: "dark", icon: "moon", words: "dark" },
];

/** The button that goes on to the next scheme. */
export function schemeSwitch() {
  const button = h("button", { type: "button", class: "quiet round", on: { click: () => choose(next()) } });
  const show = () => {
    const scheme = SCHEMES.find(({ name }) => name === chosen());
    fill(button, icon(scheme.icon));
    set(button, "aria-label", `Colours: ${scheme.words}`);
    set(button, "title", `Colours: ${scheme.words}`);
  };
  const choose = (name) => {
    if (name) document.documentElement.dataset.scheme = name;
    else delete document.documentElement.dataset.scheme;
    remember(name);
    show();
  };
  show();
  return button;
}

const chosen = () => document.documentElement.dataset.scheme ?? "";

const next = () => SCHEMES[(SCHEMES.findIndex(({ name }) => name === chosen()) + 1) % SCHEMES.length].name;

function remember(name) {
  try {
    if (name) localStorage.setItem(NAME, name);
    else localStorage.removeItem(NAME);
  } catch {
    // Storage is closed to us: the choice holds for this page.
  }
}

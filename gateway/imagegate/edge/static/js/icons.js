// Line icons on a grid of 24; they say nothing to a screen reader, the words beside them do.

import { svg } from "./dom.js";

const PATHS = {
  again: "M4 12a8 8 0 0 1 13.7-5.6L20 8.5M20 4v4.5h-4.5M20 12a8 8 0 0 1-13.7 5.6L4 15.5M4 20v-4.5h4.5",
  brush: "M14 4.5 19.5 10 11 17l-4-4 7-8.5M7 14c-2 .5-2 3-4 4.5 2 1.5 6.5 1 7-2",
  check: "m5 12.5 4.5 4.5L19 7.5",
  chevron: "m9 6 6 6-6 6",
  clock: "M12 7.5V12l3 2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z",
  close: "M6 6l12 12M18 6 6 18",
  coin: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM14.5 9.5a3 3 0 1 0 0 5",
  cross: "M7 7l10 10M17 7 7 17",
  download: "M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M5 20h14",
  gallery: "M4 5h7v7H4zM13 5h7v4h-7zM13 11h7v8h-7zM4 14h7v5H4z",
  hourglass: "M7 4h10M7 20h10M8 4c0 5 8 6 8 8s-8 3-8 8M16 4c0 5-8 6-8 8s8 3 8 8",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 2.5-2.5L20 17M15.5 9.5h.01",
  key: "M14.5 14a5 5 0 1 0-4.8-3.7L4 16v4h4v-2.5h2.5V15l1-1a5 5 0 0 0 3 0ZM15.5 8.5h.01",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20c.8-3.6 3.8-5.5 7.5-5.5s6.7 1.9 7.5 5.5",
  plus: "M12 5v14M5 12h14",
  pose: "M12 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM5 10l7-1.5L19 10M12 8.5V14l-3.5 7M12 14l3.5 7",
  pulse: "M3 12h4l2.5-7 5 14 2.5-7h4",
  skip: "M6 6l7 6-7 6zM17 6v12",
  spark: "M12 3.5 13.8 10l6.7 2-6.7 2L12 20.5 10.2 14l-6.7-2 6.7-2z",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  text: "M5 7V5h14v2M12 5v14M9.5 19h5",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7M10.5 10.5v6M13.5 10.5v6",
  undo: "M8 5 4 9l4 4M4 9h9.5a5.5 5.5 0 0 1 0 11H8",
  warn: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17h.01",
};

/** The icon of this name, `size` pixels wide. */
export function icon(name, size = 18) {
  const look = { fill: "none", stroke: "currentColor", "stroke-width": 1.7, "stroke-linecap": "round" };
  const place = { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", class: "icon" };
  return svg("svg", { ...look, ...place, "stroke-linejoin": "round" }, svg("path", { d: PATHS[name] }));
}

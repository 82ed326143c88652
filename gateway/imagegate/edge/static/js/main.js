// The page: the gate, then three views that stay as they are while one looks at another.

import { Api } from "./api.js";
import { Board } from "./board.js";
import { announce, fill, h, set } from "./dom.js";
import { note, openDialog } from "./dialog.js";
import { gallery } from "./gallery.js";
import { gate } from "./gate.js";
import { icon } from "./icons.js";
import { forget, foundKey, isRemembered } from "./key.js";
import { make } from "./make.js";
import { schemeSwitch } from "./scheme.js";

const VIEWS = [
  { name: "make", title: "Make", icon: "spark" },
  { name: "gallery", title: "Gallery", icon: "gallery" },
  { name: "status", title: "Status", icon: "pulse" },
];
const main = document.getElementById("main");
const tabs = document.getElementById("tabs");
const barEnd = document.getElementById("bar-end");

async function start() {
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address belongs to the views
    main.focus();
  });
  fill(barEnd, schemeSwitch());
  const key = foundKey();
  if (!key) return ask();
  try {
    enter(key, await new Api(key).get("/api/me"));
  } catch (error) {
    ask(error.status === 401 ? "The key that this browser had is refused." : error.message);
  }
}

/** Ask for a key. */
function ask(problem = "") {
  tabs.hidden = true;
  fill(barEnd, schemeSwitch());
  document.title = "imagegate";
  fill(main, gate({ problem, enter }));
  document.getElementById("key").focus();
}

/** Everything, for somebody whose key was taken. */
function enter(key, me) {
  const leave = (problem) => {
    removeEventListener("hashchange", moved);
    views.forEach((view) => view.leave?.());
    ask(problem);
  };
  let refused = false;
  const api = new Api(key, () => {
    if (refused) return;
    refused = true;
    leave("The key is refused now; it may have been taken back.");
  });
  const go = {
    again: (record) => goTo("make", () => maker.again(record)),
    use: (record) => goTo("make", () => maker.use(record)),
  };
  const maker = make(api, go);
  const pictures = gallery(api, go);
  const board = new Board(api, me);
  maker.onMade = () => pictures.outdated();
  const views = [maker, pictures, board];
  const sections = VIEWS.map(({ name }, index) =>
    h("div", { class: `view view-${name}`, hidden: true }, views[index].element),
  );
  const show = () => {
    const chosen = Math.max(
      0,
      VIEWS.findIndex(({ name }) => location.hash.startsWith(`#/${name}`)),
    );
    sections.forEach((section, index) => {
      const was = !section.hidden;
      section.hidden = index !== chosen;
      if (index === chosen && !was) views[index].enter?.();
      if (index !== chosen && was) views[index].leave?.();
      set(tabs.children[index], "aria-current", index === chosen ? "page" : null);
    });
    document.title = `${VIEWS[chosen].title} – imagegate`;
  };
  const goTo = (name, then) => {
    if (!location.hash.startsWith(`#/${name}`)) history.pushState(null, "", `#/${name}`);
    show();
    then();
  };
  fill(
    tabs,
    VIEWS.map(({ name, title, icon: sign }) => h("a", { href: `#/${name}` }, icon(sign), h("span", {}, title))),
  );
  tabs.hidden = false;
  fill(
    barEnd,
    schemeSwitch(),
    account(me, () => (forget(), leave())),
  );
  fill(main, sections);
  const moved = () => {
    scrollTo(0, 0);
    show();
    announce(document.title);
  };
  addEventListener("hashchange", moved);
  show();
}

function account(me, leave) {
  const open = () => {
    const away = h("button", { type: "button", class: "plainly" }, "Forget the key");
    const facts = [
      ["User", me.user],
      ["Role", me.role],
      ["Models", me.tier ? `up to the tier ${me.tier}` : "of every tier"],
      ["Key", isRemembered() ? "remembered on this device" : "kept for this tab only"],
    ];
    const list = facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
    const dialog = openDialog({
      title: "Whose key this is",
      body: [h("dl", { class: "facts" }, list)],
      footer: [away],
      kind: "small",
    });
    away.addEventListener("click", () => {
      dialog.close();
      leave();
      note("The key is forgotten here.");
    });
  };
  return h(
    "button",
    { type: "button", class: "quiet who", on: { click: open }, "aria-label": `Key of ${me.user}` },
    icon("person"),
    h("span", {}, me.user),
  );
}

start();

// Everything that is known of a picture, in a dialog.

import { attemptList } from "./attempts.js";
import { changes } from "./explain.js";
import { confirmed, note, openDialog } from "./dialog.js";
import { copyLink, picture } from "./picture.js";
import { downloadLink } from "./result.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { byteWords, creditWords, durationWords, fieldWords, timeWords } from "./words.js";

/** Show a record. `removed` is called once it was deleted. */
export function openRecord(api, record, go, removed) {
  const tool = (name, text, run, kind = "plainly") =>
    h("button", { type: "button", class: `${kind} small`, on: { click: run } }, icon(name, 16), text);
  const tools = [
    tool(
      "again",
      record.seed === null ? "Make again" : "Again with this seed",
      () => (dialog.close(), go.again(record)),
      "primary",
    ),
    tool("image", "Use as input", () => (dialog.close(), go.use(record))),
    downloadLink(record),
    tool("link", "Copy link", () => copyLink(record)),
    tool("trash", "Delete", () => remove(), "danger"),
  ];
  const dialog = openDialog({
    title: "Picture",
    body: [h("div", { class: "record" }, shown(record), told(record))],
    footer: tools,
    kind: "full",
  });
  const remove = async () => {
    const sure = await confirmed({
      title: "Delete this picture?",
      text: "It is gone for good, and its links with it.",
      action: "Delete",
    });
    if (!sure) return;
    try {
      await api.delete(`/api/pictures/${encodeURIComponent(record.id)}`);
      dialog.close();
      note("The picture is deleted.");
      removed();
    } catch (problem) {
      note(problem.message, { bad: true });
    }
  };
  return dialog;
}

const shown = (record) =>
  h("a", { class: "record-picture", href: record.url, target: "_blank", rel: "noopener" }, picture(record));

function told(record) {
  return h(
    "div",
    { class: "record-told" },
    h("p", { class: "record-prompt" }, record.prompt),
    record.sandbox ? h("p", { class: "badge warn" }, "made by a stand-in, not by the real model") : null,
    facts([
      ["Made by", `${record.provider}/${record.model}`],
      ["Upstream’s model", record.upstream_model],
      ["Made", timeWords(record.created)],
      ["Took", durationWords(record.seconds)],
      ["Cost", creditWords(record.cost)],
      ["Seed", record.seed ?? "the model takes none"],
      ["Size", `${record.width} × ${record.height}, ${byteWords(record.size_bytes)}`],
      ["Format", record.mime_type.replace("image/", "").toUpperCase()],
      ["Project", record.project],
    ]),
    record.warnings.map((warning) => h("div", { class: "box warn" }, icon("warn"), h("div", {}, warning))),
    section("What was changed", changes(record.adjustments)),
    section(
      "What was asked",
      facts(
        Object.entries(record.parameters)
          .filter(([name]) => name !== "project")
          .map(([name, value]) => [fieldWords(name), plainly(value)]),
      ),
    ),
    section(
      record.attempts.length === 1 ? "One attempt" : `${record.attempts.length} attempts`,
      attemptList(record.attempts),
    ),
    section(
      "Marks",
      facts([
        ["Request", code(record.request_id)],
        ["Picture", code(record.id)],
        ["SHA-256", code(record.sha256)],
      ]),
    ),
  );
}

const section = (title, content) => (content ? h("section", {}, h("h3", {}, title), content) : null);

const code = (text) => h("code", { class: "mark" }, text);

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return known.length
    ? h(
        "dl",
        { class: "facts" },
        known.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
      )
    : null;
}

const plainly = (value) => (typeof value === "object" && value !== null ? code(JSON.stringify(value)) : String(value));

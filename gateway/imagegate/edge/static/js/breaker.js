// What an operator decides about a breaker, for a while, on every replica.

import { Chips, field } from "./fields.js";
import { confirmed, note, openDialog, showProblem } from "./dialog.js";
import { h } from "./dom.js";

const MODES = [
  { value: "OPEN", label: "Open", note: "nobody is sent there" },
  { value: "CLOSED", label: "Close", note: "requests pass, the past is forgotten" },
  { value: "OBSERVE_ONLY", label: "Observe", note: "it counts, and holds nobody back" },
];

/** Ask what to do with the breaker of a provider, or of one of its models, and do it. */
export function decide(api, provider, model = "") {
  const mode = new Chips({ legend: "What to do", options: MODES, value: "OPEN", kind: "tall" });
  const minutes = field(
    "For how many minutes",
    h("input", { type: "number", min: 1, max: 10080, value: 60, required: true }),
  );
  const reason = field(
    "Why",
    h("input", { type: "text", maxlength: 200, required: true, placeholder: "maintenance at the upstream" }),
    "Everybody sees it on this board.",
  );
  const told = h("div");
  const yes = h("button", { class: "primary", form: "decide" }, "Decide");
  const form = h(
    "form",
    { id: "decide", class: "stack", novalidate: true },
    mode.element,
    minutes.element,
    reason.element,
    told,
  );
  const dialog = openDialog({
    title: `Breaker of ${named(provider, model)}`,
    body: [form],
    footer: [yes],
    kind: "small",
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!reason.input.value.trim()) {
      showProblem(told, new Error("Say why: whoever looks at this board wants to know."));
      return reason.input.focus();
    }
    yes.disabled = true;
    const body = {
      provider,
      model,
      mode: mode.value,
      minutes: Number(minutes.input.value),
      reason: reason.input.value.trim(),
    };
    try {
      tell((await api.post("/api/breakers", body)).replicas, "Decided");
      dialog.close();
    } catch (problem) {
      showProblem(told, problem);
    } finally {
      yes.disabled = false;
    }
  });
}

/** Take a decision back before its end. */
export async function clear(api, provider, model = "") {
  const text = `The breaker of ${named(provider, model)} decides by itself again.`;
  if (!(await confirmed({ title: "Take the decision back?", text, action: "Take it back" }))) return;
  try {
    tell((await api.delete("/api/breakers", { provider, model })).replicas, "Taken back");
  } catch (problem) {
    note(problem.message, { bad: true });
  }
}

const named = (provider, model) => (model ? `${provider}/${model}` : provider);

function tell(replicas, said) {
  const failed = replicas.filter(({ done }) => !done);
  if (!failed.length)
    return note(`${said} on ${replicas.length === 1 ? "the router" : `all ${replicas.length} routers`}.`);
  const why = failed.map(({ address, problem }) => `${address}: ${problem}`).join("; ");
  note(`${said} on ${replicas.length - failed.length} of ${replicas.length} routers: ${why}`, { bad: true });
}

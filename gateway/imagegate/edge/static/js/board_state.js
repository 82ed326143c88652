// What a provider's or a model's state is called, and how bad that is. Pure.

import { reasonWords } from "./words.js";

const MODE_WORDS = { OPEN: "held open", CLOSED: "held closed", OBSERVE_ONLY: "observed only" };

/** {kind: good | warn | bad | off, words, until}: the most telling thing about a provider or model. */
export function stateOf(status) {
  const { enabled, reachable = true, breaker, until = null, held_back: heldBack, override, slow, rejecting } = status;
  if (!enabled) return { kind: "off", words: "switched off", until: null };
  if (override)
    return {
      kind: override.mode === "CLOSED" ? "good" : "warn",
      words: MODE_WORDS[override.mode] ?? "decided",
      until: override.until ?? null,
    };
  if (!reachable) return { kind: "bad", words: "does not answer", until: null };
  if (breaker === "OPEN") return { kind: "bad", words: "breaker open", until };
  if (heldBack) return { kind: "warn", words: reasonWords(heldBack), until };
  if (breaker === "HALF_OPEN") return { kind: "warn", words: "on trial", until: null };
  if (rejecting) return { kind: "warn", words: "rejects every input", until: null };
  if (slow) return { kind: "warn", words: "slow", until: null };
  return { kind: "good", words: "working", until: null };
}

/** How everything is, in a sentence. */
export function summary(providers) {
  const on = providers.filter(({ enabled }) => enabled);
  const troubled = on.filter((provider) => stateOf(provider).kind !== "good").map(({ name }) => name);
  if (!on.length) return { kind: "bad", words: "No provider is switched on" };
  if (!troubled.length)
    return { kind: "good", words: on.length === 1 ? "The one provider works" : `All ${on.length} providers work` };
  const kind = troubled.length === on.length ? "bad" : "warn";
  return {
    kind,
    words: `${troubled.join(", ")}: not as it should be; ${on.length - troubled.length} of ${on.length} work`,
  };
}

// How things are said: reasons, prices, times and changes in plain words. Pure.

const REASONS = {
  INVALID_REQUEST: "not a valid request",
  UPSTREAM_REJECTED_INPUT: "refused the input",
  CONTENT_REJECTED: "refused the content",
  CREDENTIALS_REJECTED: "refused our key",
  OUT_OF_CREDIT: "our account is empty",
  MODEL_ACCESS_DENIED: "our account may not use it",
  MODEL_NOT_FOUND: "has no such model",
  RATE_LIMITED: "rate limited",
  MODEL_LOADING: "still loading",
  OVERLOADED: "overloaded",
  UPSTREAM_ERROR: "failed",
  UNREACHABLE: "cannot be reached",
  TIMEOUT: "took too long",
  BAD_OUTPUT: "sent no usable picture",
  CANCELLED: "cancelled",
  INTERNAL: "a bug of ours",
  CIRCUIT_OPEN: "breaker open",
  BACKING_OFF: "asked us to wait",
  WARMING: "warming up",
  OVER_QUOTA: "today’s quota is used up",
  BUSY: "busy",
  DEADLINE_TOO_SHORT: "not enough time left",
  UNSUPPORTED: "cannot do this",
  TOO_EXPENSIVE: "too expensive",
  DISABLED: "switched off",
  NOT_ALLOWED: "not allowed",
  NO_CANDIDATE: "nobody could be asked",
};

/** A reason's name in plain words. */
export const reasonWords = (reason) => REASONS[reason] ?? String(reason).replaceAll("_", " ").toLowerCase();

/** Credits; null and undefined are a price that nobody knows. */
export function creditWords(credits) {
  if (credits === null || credits === undefined) return "price not known";
  if (credits === 0) return "no credits";
  return credits === 1 ? "1 credit" : `${credits} credits`;
}

/** A model's price with what it is for. */
export const priceWords = (model) =>
  model.priced_by === "MEGAPIXEL" && model.credits
    ? `${creditWords(model.credits)} a megapixel`
    : creditWords(model.credits);

/** A length of time in seconds. */
export function durationWords(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${tidy(Number(seconds.toFixed(1)))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120
    ? `${minutes} min`
    : minutes < 2880
      ? `${Math.round(minutes / 60)} h`
      : `${Math.round(minutes / 1440)} days`;
}

/** A model's usual time. */
export function usualWords(low, high) {
  if (!high) return "";
  return !low || low === high ? `about ${tidy(high)} s` : `${tidy(low)} to ${tidy(high)} s`;
}

/** A number without needless digits. */
export const tidy = (number) => String(Math.round(number * 1000) / 1000);

/** A share of one as per cent. */
export const percentWords = (share) => `${Math.round(share * 100)} %`;

/** A point in time, as people here write it. */
export const timeWords = (text) =>
  new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Bytes. */
export const byteWords = (bytes) =>
  bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

const LABELS = {
  negative_prompt: "What to leave out",
  guidance_scale: "Guidance",
  conditioning_scale: "How closely it follows the control",
  image_to_image: "Input picture",
  mask_blur: "Blur of the mask’s edge",
  max_credits: "At most this many credits",
  must_keep: "Must not change",
  no_fallback: "No fallback",
  on_unsupported: "What a model does not take",
  allow_providers: "Only these providers",
  deny_providers: "Not these providers",
  quality: "Preset",
};

/** The name of a request's field for people. */
export function fieldWords(name) {
  const words = LABELS[name] ?? String(name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A change in plain words: what was asked, what became of it, why. */
export function adjustmentWords({ parameter, requested, applied, action, why }) {
  const field = fieldWords(parameter);
  const because = why ? `: ${why}` : "";
  if (action === "DROPPED" || !applied)
    return `${field} ${clipped(requested)} was left out${because}`.replace("  ", " ");
  const asked = requested ? ` ${clipped(requested)}` : "";
  return `${field}${asked} became ${clipped(applied)}${because}`;
}

const clipped = (text) => (String(text).length > 80 ? `${String(text).slice(0, 79)}…` : String(text ?? ""));

/** What a model does, by the task's name. */
export const TASK_WORDS = {
  TEXT_TO_IMAGE: "text to image",
  IMAGE_TO_IMAGE: "image to image",
  INPAINTING: "inpainting",
  CONTROL_OPENPOSE: "pose",
  CONTROL_CANNY: "edges",
  CONTROL_DEPTH: "depth",
  CONTROL_BLUR: "blur",
  POSE_EXTRACTION: "pose extraction",
  IDENTITY: "identity",
};

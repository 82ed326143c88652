// A request as it is sent, and as it is only asked about. Pure.

// Longer pictures (in base64) are not sent only to be explained.
const LONGEST = 300_000;
const STAND_IN = { template: "standing" };
const PICTURES = ["image", "mask"];

/** Without everything that is empty. */
export function tidied(value) {
  if (Array.isArray(value)) return value.map(tidied);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => !isEmpty(each))
      .map(([name, each]) => [name, tidied(each)]),
  );
}

const isEmpty = (value) =>
  value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length);

/** A request to ask about: a pose stands in for pictures that are large or not chosen yet, a few words for none. */
export function toAsk(raw) {
  return tidied(withStandIns({ ...raw, prompt: raw.prompt || "a picture" }));
}

function withStandIns(value) {
  if (Array.isArray(value)) return value.map(withStandIns);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, PICTURES.includes(name) ? picture(each) : withStandIns(each)]),
  );
}

const picture = (image) => (!image || image.data?.length > LONGEST ? STAND_IN : image);

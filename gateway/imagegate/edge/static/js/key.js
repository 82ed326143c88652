// The bearer key: from the address, from this tab or from this device.

const NAME = "imagegate.key";

/** The key that there is, or "". One in the address is kept for this tab and taken out of the address at once. */
export function foundKey() {
  const inAddress = new URLSearchParams(location.hash.replace(/^#/, "")).get("key");
  if (inAddress) {
    history.replaceState(null, "", `${location.pathname}${location.search}`);
    keep(inAddress, false);
    return inAddress;
  }
  return read(sessionStorage) || read(localStorage);
}

/** Keep the key for this tab, and on this device as well where `remember`. */
export function keep(key, remember) {
  write(sessionStorage, key);
  write(localStorage, remember ? key : null);
}

/** Whether this device has it. */
export const isRemembered = () => read(localStorage) !== "";

/** Forget it everywhere. */
export function forget() {
  write(sessionStorage, null);
  write(localStorage, null);
}

function read(storage) {
  try {
    return storage.getItem(NAME) ?? "";
  } catch {
    return ""; // storage is closed to us: the key lives in this page only
  }
}

function write(storage, key) {
  try {
    if (key === null) storage.removeItem(NAME);
    else storage.setItem(NAME, key);
  } catch {
    // As above.
  }
}

// Before anything is painted, so that nothing flashes: the colour scheme that was chosen on this device.
try {
  const scheme = localStorage.getItem("imagegate.scheme");
  if (scheme === "light" || scheme === "dark") document.documentElement.dataset.scheme = scheme;
} catch {
  // Storage is closed to us here: the system's own scheme stays.
}

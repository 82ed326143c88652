"""What an operator's file changes in a provider's packaged models: prices, tiers, switches, defaults, new ones. Pure.

Nothing goes without being named: what an overlay does not say stays, aliases are added to those there are, and a
parameter or an option leaves only where `null` stands in its place.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from imagegate.runtime.nearest import nearest

Content = Mapping[str, Any]

# Mappings of an entry that are laid over the packaged ones name by name, and so on below.
DEEP = ("parameters", "options", "wire")
# What an entry that is switched on again does not inherit.
REASONS_TO_BE_OFF = {"coming_soon": False, "disabled_reason": ""}


def laid_over(packaged: Content, overlay: Content, source: str) -> dict[str, Any]:
    """The models of `packaged` as `overlay` changes them; neither is changed. `source` names the overlay to callers.

    Both are read by `models_file.read_models`; whether the outcome is a catalogue is not judged here.
    """
    models = dict(packaged["models"])
    for key, entry in overlay["models"].items():
        models[key] = _entry(models.get(key, {}), entry, source)
    merged = {**packaged, **overlay, "models": models}
    if isinstance(overlay.get("outside"), dict):
        merged["outside"] = _entry(packaged.get("outside") or {}, overlay["outside"], source)
    return merged


def unfinished(packaged: Content, overlay: Content) -> Iterator[str]:
    """Which entries of `overlay` are no change of a packaged model, and no model of their own either."""
    for key, entry in overlay["models"].items():
        if key not in packaged["models"] and not {"display_name", "upstream_model"} <= entry.keys():
            near = ", ".join(nearest(str(key), [str(each) for each in packaged["models"]]))
            yield f"models.{key}: no packaged model has this key (near: {near}), and a new one has to be complete"


def _entry(packaged: Content, changes: Content, source: str) -> dict[str, Any]:
    merged = {**packaged, **changes}
    for name in DEEP:
        if name in changes and name in packaged:
            merged[name] = _deep(packaged[name], changes[name])
    if isinstance(changes.get("aliases"), list) and "aliases" in packaged:
        merged["aliases"] = [*packaged["aliases"], *(a for a in changes["aliases"] if a not in packaged["aliases"])]
    if changes.get("enabled") is True:
        merged |= {name: changes.get(name, value) for name, value in REASONS_TO_BE_OFF.items()}
    elif changes.get("enabled") is False:
        merged.setdefault("disabled_reason", f"switched off in {source}")
    return merged


def _deep(packaged: Any, changes: Any) -> Any:
    """`changes` over `packaged`; null takes out what is there."""
    if not isinstance(packaged, dict) or not isinstance(changes, dict):
        return changes
    merged = packaged | {name: _deep(packaged.get(name), value) for name, value in changes.items()}
    return {name: value for name, value in merged.items() if value is not None or name not in packaged}

"""The dashboard as Grafana reads it, made from the list of panels. Pure."""

import json
from typing import Any

from observability.panels import ROWS, Panel

WIDTH, HEIGHT, ACROSS = 8, 8, 3  # of a panel, in Grafana's units, of which 24 fit across
SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard() -> str:
    """The dashboard as Grafana reads it."""
    shown = {
        "title": "imagegate",
        "uid": "imagegate",
        "tags": ["imagegate"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": _placed(),
    }
    return json.dumps(shown, indent=1, ensure_ascii=False) + "\n"


def _placed() -> list[dict[str, Any]]:
    """Every row and panel with its number and its place: rows below each other, ACROSS panels in a line."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in ROWS:
        place = {"x": 0, "y": top, "w": WIDTH * ACROSS, "h": 1}
        placed.append({"id": len(placed) + 1, "type": "row", "title": row.title, "gridPos": place, "panels": []})
        top += 1
        for number, panel in enumerate(row.panels):
            line, column = divmod(number, ACROSS)
            place = {"x": column * WIDTH, "y": top + line * HEIGHT, "w": WIDTH, "h": HEIGHT}
            placed.append({"id": len(placed) + 1, **_panel(panel), "gridPos": place})
        top += -(-len(row.panels) // ACROSS) * HEIGHT
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    words = {str(number): {"text": word, "index": number} for number, word in enumerate(panel.words)}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "custom": {"spanNulls": False}}
    if words:
        defaults |= {"max": len(words) - 1, "mappings": [{"type": "value", "options": words}]}
    if panel.unit == "percentunit":
        defaults["max"] = 1
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for number, query in enumerate(panel.queries)
        ],
    }

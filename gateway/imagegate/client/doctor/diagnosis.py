"""What everything that was learnt amounts to: rows, routes and the exit code. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imagegate.client.doctor.judging import Learnt, judge, refused_key
from imagegate.client.doctor.row import ProviderRow, RouteRow, Row, Works
from imagegate.v1 import catalog_pb2, router_pb2

# What a request is for that names no model.
DEFAULT_ROUTE = "default"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What works and what does not."""

    providers: Sequence[ProviderRow]
    models: Sequence[Row]
    routes: Sequence[RouteRow]

    def exit_code(self, *, strict: bool) -> int:
        """1 where a route has no candidate that works, or with `strict` where any model failed, or a provider's process
        that is on does not answer; else 0.

        What is off is no failure: a route whose candidates are all off counts only where it is the default one.
        """
        dead = any(not route.works and (not route.off or route.name == DEFAULT_ROUTE) for route in self.routes)
        failed = any(row.failed for row in self.models) or any(row.problem and not row.off for row in self.providers)
        return int(dead or (strict and failed))

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as plain values: what `--json` prints."""
        return {
            "providers": [row.to_dict() for row in self.providers],
            "models": [row.to_dict() for row in self.models],
            "routes": [row.to_dict() for row in self.routes],
        }


def diagnose(learnt: Learnt) -> Diagnosis:
    """Judge every model by itself, then by whether a fallback covers it, and every route by its candidates."""
    rows = {name: judge(name, learnt) for name in (*learnt.listed, *learnt.others)}
    routes = [_route(route, rows) for route in learnt.status.routes]
    return Diagnosis(
        [_provider(provider, learnt) for provider in learnt.providers.values()],
        [_covered(row, routes) for row in rows.values()],
        routes,
    )


def _route(route: router_pb2.RouteStatus, rows: Mapping[str, Row]) -> RouteRow:
    candidates = list(dict.fromkeys(route.candidates))
    working = [name for name in candidates if name in rows and rows[name].stands]
    return RouteRow(route.name, candidates, working, all(_is_off(name, rows) for name in candidates))


def _is_off(name: str, rows: Mapping[str, Row]) -> bool:
    return name in rows and rows[name].works is Works.OFF


def _covered(row: Row, routes: Sequence[RouteRow]) -> Row:
    """The row as a warning where each of its routes has somebody who works."""
    its_own = [route for route in routes if row.model in route.candidates]
    if row.works is not Works.FAILED or not its_own or not all(route.works for route in its_own):
        return row
    takers = dict.fromkeys(route.working[0] for route in its_own)
    return replace(row, works=Works.WARNING, notes=(*row.notes, f"covered by {', '.join(takers)}"))


def _provider(provider: catalog_pb2.Provider, learnt: Learnt) -> ProviderRow:
    status = next((each for each in learnt.status.providers if each.name == provider.name), router_pb2.ProviderStatus())
    problem = "" if status.reachable else status.problem or "its process does not answer"
    off = "" if provider.enabled else provider.disabled_reason
    return ProviderRow(provider.name, _key(provider, learnt), off, problem)


def _key(provider: catalog_pb2.Provider, learnt: Learnt) -> str:
    """How its key is, by the name of its variable. A provider without its key names that one in its reason."""
    variable = provider.key_variable
    by_name = f" ({variable})" if variable else ""
    names = [name for name in (*learnt.listed, *learnt.others) if learnt.provider_of(name) == provider.name]
    if any(refused_key(name, learnt) for name in names):
        return f"refused{by_name}"
    if not provider.enabled:
        return f"not set{by_name}" if variable and variable in provider.disabled_reason else f"not asked{by_name}"
    if variable:
        return f"set{by_name}"
    return "needs none" if provider.catalogue_revision else "not known"

"""The Prometheus rules that are shipped."""

import re
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry

from imagegate.router.config import ModelOverrides
from imagegate.router.events import Listeners
from imagegate.router.metrics import RouterMetrics
from imagegate.router.router import Router

RULES = Path(__file__).parents[3] / "deploy/observability/rules.yaml"


def shipped() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_rules_name_only_metrics_that_exist() -> None:
    """P11: every metric in a rule is one that the router exposes, or one that another rule records."""
    registry = CollectorRegistry()
    RouterMetrics(registry, Router(ModelOverrides(), Listeners()))
    exposed = {f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()}
    recorded = {rule["record"] for rule in shipped() if "record" in rule}
    for rule in shipped():
        named = set(re.findall(r"\bimagegate[_:][a-z0-9_:]+", rule["expr"]))
        assert named
        assert named <= exposed | recorded


def test_the_failure_rate_is_recorded_per_provider() -> None:
    """The per-provider failure rate is failed ÷ (ok + failed); limits, refusals and neutral ends are on no side."""
    rule = next(rule for rule in shipped() if rule.get("record") == "imagegate:attempt_failure_ratio:rate5m")
    above, below = rule["expr"].split("/")
    assert 'outcome_group="failed"' in above
    assert 'outcome_group=~"ok|failed"' in below
    assert "by (provider)" in above
    assert "by (provider)" in below

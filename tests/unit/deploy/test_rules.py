"""The Prometheus rules that are shipped."""

import re
from pathlib import Path
from typing import Any

import yaml

from observability.__main__ import made
from observability.panels import ROWS, expressions

OBSERVABILITY = Path(__file__).parents[3] / "deploy/observability"


def shipped() -> list[dict[str, Any]]:
    return [
        rule
        for group in yaml.safe_load((OBSERVABILITY / "rules.yaml").read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[str]:
    return [rule["alert"] for rule in shipped() if "alert" in rule]


def tried() -> list[dict[str, Any]]:
    """What promtool is told to expect, of every file of tests."""
    files = [yaml.safe_load(path.read_text()) for path in OBSERVABILITY.glob("*.test.yaml")]
    return [expected for file in files for test in file["tests"] for expected in test["alert_rule_test"]]


def recorded() -> set[str]:
    return {rule["record"] for rule in shipped() if "record" in rule}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bimagegate[_:][a-z0-9_:]+", expression))


def test_rules_name_only_metrics_that_exist(exposed: frozenset[str]) -> None:
    """P11: every metric in a rule is one that a process exposes, or one that another rule records."""
    for rule in shipped():
        assert named(rule["expr"])
        assert named(rule["expr"]) <= exposed | recorded()


def test_the_failure_rate_is_recorded_per_provider() -> None:
    """S2: the per-provider failure rate is failed ÷ (ok + failed); limits, refusals and neutral ends are on no side."""
    rule = next(rule for rule in shipped() if rule.get("record") == "imagegate:attempt_failure_ratio:rate5m")
    above, below = rule["expr"].split(" or ")[0].split("/")
    assert 'outcome_group="failed"' in above
    assert 'outcome_group=~"ok|failed"' in below
    assert "by (provider)" in above
    assert "by (provider)" in below


def test_there_is_an_alert_on_everything_that_needs_somebody() -> None:
    """P11, R9: failing generations by provider and model, and the quota that is nearly used, are alerts."""
    assert {"ImagegateProviderFailing", "ImagegateModelFailing", "ImagegateQuotaNearlyUsed"} <= set(alerts())
    assert len(alerts()) == len(set(alerts()))


def test_every_alert_is_tried() -> None:
    """P11: promtool is told of each alert when it fires, when it keeps quiet, and in this order, when it has ended."""
    for alert in alerts():
        fires = [bool(expected.get("exp_alerts")) for expected in tried() if expected["alertname"] == alert]
        assert fires[0] is False, alert
        assert True in fires, alert
        assert fires[-1] is False, alert
    assert {expected["alertname"] for expected in tried()} == set(alerts())


def test_every_alert_is_explained() -> None:
    """P11: each alert has a paragraph under its name that says what it means and what to do."""
    text = (OBSERVABILITY / "README.md").read_text()
    for alert in alerts():
        paragraph = text.partition(f"### {alert}\n")[2].partition("\n#")[0]
        assert "**What it means.**" in paragraph, alert
        assert "**What to do.**" in paragraph, alert
    assert set(re.findall(r"^### (Imagegate\w+)$", text, re.MULTILINE)) == set(alerts())


def test_the_dashboard_names_only_metrics_that_exist(exposed: frozenset[str]) -> None:
    """P11: every metric on the dashboard is one that a process exposes, or one that a rule records."""
    for expression in expressions():
        assert named(expression)
        assert named(expression) <= exposed | recorded()


def test_the_dashboard_shows_every_metric(exposed: frozenset[str]) -> None:
    """P11: nothing is counted that nobody sees: success, credits and latency by model among it."""
    shown = set().union(*(named(expression) for expression in expressions()))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed}
    assert families == {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown} - recorded()
    titles = {panel.title for row in ROWS for panel in row.panels}
    assert {"Success by model", "Credits in an hour", "Latency by model"} <= titles


def test_what_is_made_from_the_lists_is_up_to_date() -> None:
    """`make observability` has been run: the dashboard and the PrometheusRule are what their lists say."""
    for path, content in made().items():
        assert path.read_text() == content, path.name
    (_, rule_object) = made().values()
    groups = yaml.safe_load((OBSERVABILITY / "rules.yaml").read_text())["groups"]
    assert yaml.safe_load(rule_object)["spec"]["groups"] == groups

"""The rules and the dashboard before Debian's promtool."""

import subprocess
from pathlib import Path

import pytest
import yaml

from observability.panels import expressions

DEPLOY = Path(__file__).parents[2] / "deploy"
TESTS = sorted((DEPLOY / "observability").glob("*.test.yaml"))


def run(promtool: Path, *arguments: str | Path) -> str:
    """What promtool says; fails where it is not content."""
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("tests", TESTS, ids=lambda path: path.name)
def test_every_alert_fires_keeps_quiet_and_ends(promtool: Path, tests: Path) -> None:
    """P11, R9: each alert fires within its time with its labels, not where all is well, and ends (promtool's tests)."""
    run(promtool, "test", "rules", tests)


def test_the_rules_are_such_as_prometheus_takes(promtool: Path) -> None:
    """promtool finds nothing to say about the rules."""
    assert "SUCCESS" in run(
        promtool, "check", "rules", "--lint=all", "--lint-fatal", DEPLOY / "observability/rules.yaml"
    )


def test_the_rules_of_the_operator_are_such_as_prometheus_takes(promtool: Path, tmp_path: Path) -> None:
    """What the PrometheusRule holds is a file of rules."""
    rule_object = yaml.safe_load((DEPLOY / "k8s/components/monitoring/rules.yaml").read_text())
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule_object["spec"]))
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", file)


def test_every_expression_of_the_dashboard_is_one(promtool: Path, tmp_path: Path) -> None:
    """P11: Prometheus parses everything that the dashboard asks."""
    rules = [{"record": f"shown:{number}", "expr": each} for number, each in enumerate(expressions())]
    file = tmp_path / "shown.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run(promtool, "check", "rules", file)


def test_the_configuration_of_prometheus_is_one(promtool: Path) -> None:
    """Prometheus takes the configuration that compose gives it, with the rules that it names."""
    run(promtool, "check", "config", "--syntax-only", DEPLOY / "prometheus.yml")

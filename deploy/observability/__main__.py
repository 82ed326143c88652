"""`make observability`: write what is made from the lists of this folder."""

from collections.abc import Mapping
from pathlib import Path

from observability.dashboard import dashboard
from observability.rule_object import prometheus_rule

HERE = Path(__file__).parent


def made() -> Mapping[Path, str]:
    """Each file, and what belongs in it."""
    return {
        HERE / "dashboard.json": dashboard(),
        HERE.parent / "k8s/components/monitoring/rules.yaml": prometheus_rule((HERE / "rules.yaml").read_text()),
    }


if __name__ == "__main__":
    for path, content in made().items():
        path.write_text(content)

"""The rules as the Prometheus operator takes them."""

HEADER = """\
# Made from deploy/observability/rules.yaml by `make observability`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: imagegate
  labels: {app.kubernetes.io/part-of: imagegate}
spec:
"""


def prometheus_rule(rules: str) -> str:
    """The object that holds a file of rules, which stays as it is written."""
    begin = rules.index("groups:")
    return HEADER + "".join(f"  {line}\n" if line else "\n" for line in rules[begin:].splitlines())

"""What the dashboard shows, as one list."""

from collections.abc import Sequence
from dataclasses import dataclass

GENERATE = 'method=~"imagegate.v1.GenerationService/Generate(Stream)?"'
HTTP = 'method=~"[A-Z]+ /.*"'
# Of all that answer Generate, the router has this.
OF_THE_ROUTER = "and on (job, instance) imagegate_overhead_seconds_count"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its lines are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over time; `unit` is Grafana's name, `words` say what a number means where it is a state."""

    title: str
    unit: str
    queries: Sequence[Query]
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: Sequence[Panel]


def _quantile(share: float, metric: str, by: str, where: str = "") -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{where}[5m])))"


def _one(title: str, unit: str, expr: str, legend: str, words: Sequence[str] = ()) -> Panel:
    return Panel(title, unit, [Query(expr, legend)], words)


CALLERS = Row(
    "What callers get",
    [
        _one(
            "Generations by code",
            "reqps",
            f"sum by (code) (rate(imagegate_requests_total{{{GENERATE}}}[5m]) {OF_THE_ROUTER})",
            "{{code}}",
        ),
        Panel(
            "Failed generations",
            "percentunit",
            [Query(f"imagegate:request_failure_ratio:rate{window}", window) for window in ("5m", "1h", "6h")],
        ),
        _one(
            "Routes", "none", "max by (route) (imagegate_route_available)", "{{route}}", ["nobody to ask", "available"]
        ),
    ],
)
MODELS = Row(
    "Models",
    [
        _one("Success by model", "percentunit", "1 - imagegate:model_failure_ratio:rate5m", "{{provider}}/{{model}}"),
        Panel(
            "Latency by model",
            "s",
            [
                Query(
                    _quantile(share, "imagegate_attempt_duration_seconds", "provider, model", '{outcome_group="ok"}'),
                    f"{{{{provider}}}}/{{{{model}}}} p{share * 100:.0f}",
                )
                for share in (0.5, 0.95)
            ],
        ),
        _one(
            "Credits in an hour",
            "none",
            "sum by (provider, model) (increase(imagegate_credits_total[1h]))",
            "{{provider}}/{{model}}",
        ),
        _one(
            "Pictures by result",
            "ops",
            "sum by (provider, model, result) (rate(imagegate_images_total[5m]))",
            "{{provider}}/{{model}} {{result}}",
        ),
        _one(
            "Adjustments in an hour",
            "none",
            "sum by (provider, parameter, action) (increase(imagegate_adjustments_total[1h]))",
            "{{provider}} {{parameter}} {{action}}",
        ),
        _one(
            "Models that refuse every input",
            "none",
            "max by (provider, model) (imagegate_model_rejecting) == 1",
            "{{provider}}/{{model}}",
            ["takes some", "refuses all"],
        ),
    ],
)
PROVIDERS = Row(
    "Providers",
    [
        _one("Failure rate by provider", "percentunit", "imagegate:attempt_failure_ratio:rate5m", "{{provider}}"),
        _one(
            "Attempts by outcome",
            "ops",
            "sum by (provider, outcome) (rate(imagegate_attempts_total[5m]))",
            "{{provider}} {{outcome}}",
        ),
        _one("Attempts under way", "none", "sum by (provider) (imagegate_inflight)", "{{provider}}"),
        _one(
            "Fallbacks",
            "ops",
            "sum by (from_provider, to_provider, reason) (rate(imagegate_fallbacks_total[5m]))",
            "{{from_provider}} → {{to_provider}} {{reason}}",
        ),
        _one(
            "Skips by reason",
            "ops",
            "sum by (provider, reason) (rate(imagegate_skips_total[5m]))",
            "{{provider}} {{reason}}",
        ),
        _one(
            "Breakers",
            "none",
            "max by (provider, scope) "
            '(2 * imagegate_breaker_state{state="open"} or imagegate_breaker_state{state="half_open"})',
            "{{provider}} {{scope}}",
            ["closed", "half open", "open"],
        ),
        _one(
            "Transitions of breakers in an hour",
            "none",
            "sum by (provider, scope, to) (increase(imagegate_breaker_transitions_total[1h]))",
            "{{provider}} {{scope}} {{to}}",
        ),
        _one(
            "Not asked for",
            "s",
            "clamp_min(max by (provider) (imagegate_gate_until_timestamp_seconds) - time(), 0)",
            "{{provider}}",
        ),
        _one(
            "Refused accounts",
            "none",
            "max by (provider, reason) (imagegate_provider_refused)",
            "{{provider}} {{reason}}",
            ["accepted", "refused"],
        ),
        _one(
            "Quota used",
            "percentunit",
            "sum by (provider, window) (imagegate_quota_used) / sum by (provider, window) (imagegate_quota_limit)",
            "{{provider}} {{window}}",
        ),
        _one(
            "Attempts after one that may be charged, in an hour",
            "none",
            "sum by (provider) (increase(imagegate_duplicate_charge_risk_total[1h]))",
            "{{provider}}",
        ),
        _one(
            "Phases of upstreams, p95",
            "s",
            _quantile(0.95, "imagegate_upstream_phase_seconds", "provider, phase"),
            "{{provider}} {{phase}}",
        ),
    ],
)
PROCESSES = Row(
    "Processes",
    [
        Panel(
            "The router's own time",
            "s",
            [
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate(imagegate_overhead_seconds_bucket[5m])))",
                    f"p{share * 100:.0f}",
                )
                for share in (0.5, 0.99)
            ],
        ),
        _one(
            "HTTP at the edge, by status",
            "reqps",
            f"sum by (method, code) (rate(imagegate_requests_total{{{HTTP}}}[5m]))",
            "{{method}} {{code}}",
        ),
        _one(
            "HTTP at the edge, p95",
            "s",
            _quantile(0.95, "imagegate_request_duration_seconds", "method", f"{{{HTTP}}}"),
            "{{method}}",
        ),
        _one(
            "Processes",
            "none",
            "up and on (namespace, job) group by (namespace, job) (last_over_time(imagegate_build_info[1d]))",
            "{{job}} {{instance}}",
            ["down", "up"],
        ),
        _one("Versions", "none", "count by (version) (imagegate_build_info)", "{{version}}"),
        Panel(
            "Configurations",
            "none",
            [
                Query("count by (job, hash) (imagegate_config_info)", "{{job}} {{hash}}"),
                Query(
                    "min by (job, instance) (imagegate_config_last_reload_ok) == 0", "{{instance}} runs with an old one"
                ),
            ],
        ),
        Panel(
            "Certificates",
            "s",
            [
                Query(
                    "min by (job, instance) (imagegate_tls_certificate_expiry_timestamp_seconds) - time()",
                    "{{instance}} expires in",
                ),
                Query("min by (job, instance) (imagegate_tls_last_reload_ok) == 0", "{{instance}} shows an old one"),
            ],
        ),
        _one(
            "Limits on callers, used",
            "percentunit",
            "max by (job, limit) (imagegate_limit_used / imagegate_limit)",
            "{{job}} {{limit}}",
        ),
        _one("Tasks of the event loop", "short", "max by (job) (imagegate_tasks)", "{{job}}"),
    ],
)
ROWS = (CALLERS, MODELS, PROVIDERS, PROCESSES)


def expressions() -> list[str]:
    """Everything that the dashboard asks Prometheus."""
    return [query.expr for row in ROWS for panel in row.panels for query in panel.queries]

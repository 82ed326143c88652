"""Who gets to see which part of the environment."""

import pytest

from imagegate.client import environment

KEYS = {
    "HUGGINGFACE_API_KEY": "hf_real",
    "HUGGINGFACE_API_KEY_FILE": "/run/hf",
    "FAL_KEY": "fal_real",
    "FAL_KEY_FILE": "/run/fal",
    "SD_API_AUTH": "user:real",
    "IMAGEGATE_EDGE_KEYS": "keys: []",
    "IMAGEGATE_EDGE_LINK_KEYS_FILE": "/run/links",
    "IMAGEGATE_EDGE_DATABASE": "postgresql://edge:real@database/edge",
    "AWS_SECRET_ACCESS_KEY": "s3_real",
}
PLAIN = {
    "PATH": "/bin",
    "IMAGEGATE_FAL_CONCURRENCY": "3",
    "IMAGEGATE_MODELS": "/overlays",
    "HUGGINGFACE_ENDPOINTS": "own=https://real.example",
}
ENVIRON = KEYS | PLAIN
SANDBOX = "http://127.0.0.1:8090"


@pytest.mark.parametrize(
    ("provider", "own"),
    [
        ("huggingface", {"HUGGINGFACE_API_KEY", "HUGGINGFACE_API_KEY_FILE"}),
        ("fal", {"FAL_KEY", "FAL_KEY_FILE"}),
        ("automatic1111", {"SD_API_AUTH"}),
        ("sketch", set()),
        (
            "edge",
            {
                "IMAGEGATE_EDGE_KEYS",
                "IMAGEGATE_EDGE_LINK_KEYS_FILE",
                "IMAGEGATE_EDGE_DATABASE",
                "AWS_SECRET_ACCESS_KEY",
            },
        ),
    ],
)
def test_a_provider_sees_its_own_keys_and_nobody_elses(provider: str, own: set[str]) -> None:
    """A key is where it is needed and nowhere else; everything that is no key is passed on."""
    seen = environment.of_provider(provider, ENVIRON)
    assert seen.keys() & KEYS.keys() == own
    assert PLAIN.items() <= seen.items()


def test_the_router_and_the_sandbox_see_no_key() -> None:
    """Neither talks to an upstream."""
    assert environment.without_keys(ENVIRON) == PLAIN
    seen = environment.of_router(ENVIRON, {"IMAGEGATE_PROVIDERS__FAL__TARGET": "a:1"}, admin_port=0)
    assert seen == PLAIN | {"IMAGEGATE_PROVIDERS__FAL__TARGET": "a:1", "IMAGEGATE_ADMIN_PORT": "0"}


def test_the_edge_sees_its_own_secrets_and_where_the_router_is() -> None:
    """P12: it gets no upstream's key; the keys that `up` makes stand in their variable, as hashes."""
    seen = environment.of_edge(ENVIRON, router="a:1", admin="a:2", port=0)
    assert seen["IMAGEGATE_EDGE_KEYS"] == "keys: []"
    assert (seen["IMAGEGATE_ROUTER"], seen["IMAGEGATE_ADMIN"], seen["IMAGEGATE_EDGE_PORT"]) == ("a:1", "a:2", "0")
    assert not {name for name in seen if name.startswith(("HUGGINGFACE_API", "FAL_KEY", "SD_API"))}
    made = environment.of_edge({}, router="a:1", admin="a:2", port=0, keys="x", webui="http://sandbox/automatic1111")
    assert (made["IMAGEGATE_EDGE_KEYS"], made["SD_API_URL"]) == ("x", "http://sandbox/automatic1111")


@pytest.mark.parametrize("provider", environment.STAND_INS)
def test_a_real_key_never_reaches_a_stand_in(provider: str) -> None:
    """In front of the sandbox a provider has made-up keys and no real address, by value or by file."""
    seen = environment.of_sandboxed(provider, ENVIRON, SANDBOX)
    assert not {name for name, value in seen.items() if value in KEYS.values()}
    assert provider != "huggingface" or "HUGGINGFACE_ENDPOINTS" not in seen
    addresses = [value for name, value in seen.items() if name.endswith("_URL")]
    assert addresses
    assert all(address.startswith(f"{SANDBOX}/") for address in addresses)


def test_up_decides_ports_and_log_format_and_nothing_else() -> None:
    """What the operator set for the processes reaches them, except where `up` could not work with it."""
    theirs = {"IMAGEGATE_PORT": "1", "IMAGEGATE_LOG_FORMAT": "console", "IMAGEGATE_GRACE_SECONDS": "9"}
    seen = environment.of_process(theirs, grpc_port=50061, http_port=9471)
    assert (seen["IMAGEGATE_PORT"], seen["IMAGEGATE_HTTP_PORT"]) == ("50061", "9471")
    assert (seen["IMAGEGATE_LOG_FORMAT"], seen["IMAGEGATE_GRACE_SECONDS"]) == ("json", "9")


def test_variables_for_tls_stay_with_up() -> None:
    """What everything on one machine does not need, nobody gets: it is for calling routers elsewhere."""
    theirs = {"IMAGEGATE_TLS_CA_FILE": "/ca", "IMAGEGATE_TLS": "true", "IMAGEGATE_TOKEN": "ig_EXAMPLE"}
    assert not {name for name in environment.of_process(theirs, grpc_port=1, http_port=2) if "TLS" in name}
    assert "IMAGEGATE_TOKEN" not in environment.of_router(theirs, {}, admin_port=1)
    assert "IMAGEGATE_TOKEN" not in environment.of_provider("fal", theirs)
    assert environment.of_edge(theirs, router="a:1", admin="a:2", port=0)["IMAGEGATE_TOKEN"] == "ig_EXAMPLE"


def test_a_providers_target_is_told_by_variable() -> None:
    """The name is that of the configuration, as a variable can spell it."""
    assert environment.target_variable("my-own") == "IMAGEGATE_PROVIDERS__MY_OWN__TARGET"

"""What the peers are told."""

import json
from pathlib import Path

import yaml

from bench.peers import litellm, portkey
from bench.peers.launch import BEHAVIOURS, SMALL
from bench.peers.running import COMPLETE, PEERS, installed
from bench.systems import HAPPY, UPSTREAM_FAULTS

UPSTREAM = "http://127.0.0.1:8123"


def test_peers_are_asked_in_the_scenarios_that_we_are() -> None:
    """Both are asked happily and in every fault, where the second one they may ask is well."""
    for peer in PEERS.values():
        asks = peer.asks(4000, UPSTREAM)
        assert {scenario for scenario, _ in asks} == {HAPPY, *UPSTREAM_FAULTS}
        assert all(each.target == "http://127.0.0.1:4000/v1/images/generations" for each in asks.values())
    assert all(BEHAVIOURS[fault, SMALL] == [fault, "small"] for fault in UPSTREAM_FAULTS)


def test_litellm_gets_a_model_for_each_behaviour() -> None:
    """Its callers ask by a model's name; the next one is its fallback, and it does not try twice of itself."""
    launch = litellm.launch(Path("home"), Path("folder"), 4000, UPSTREAM)
    told = yaml.safe_load(launch.files[litellm.FILE])
    urls = {each["model_name"]: each["litellm_params"]["api_base"] for each in told["model_list"]}
    assert urls["refusing"] == f"{UPSTREAM}/refusing/v1"
    assert urls["dead"] == "http://127.0.0.1:1/v1"
    assert told["router_settings"]["fallbacks"] == [{fault: ["small"]} for fault in UPSTREAM_FAULTS]
    assert {json.loads(each.body)["model"] for each in litellm.asks(4000, UPSTREAM).values()} <= set(urls)


def test_portkey_is_told_by_a_header() -> None:
    """Whom to ask, then whom to fall back to, and that a hang is waited for as long as we wait."""
    headers = portkey.asks(4000, UPSTREAM)["hanging", SMALL].headers
    told = json.loads(headers["x-portkey-config"])
    assert told["strategy"] == {"mode": "fallback"}
    assert [each["custom_host"] for each in told["targets"]] == [f"{UPSTREAM}/hanging/v1", f"{UPSTREAM}/small/v1"]
    assert [each.get("request_timeout") for each in told["targets"]] == [1000, None]


def test_a_peer_that_is_half_installed_is_absent(tmp_path: Path) -> None:
    """Nothing is there, or not all of it: it is told as absent, and nobody waits for it."""
    assert installed(tmp_path) == {"litellm": None, "portkey": None}
    package = tmp_path / "portkey" / portkey.PACKAGE
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.2.3"}')
    assert installed(tmp_path)["portkey"] is None
    (tmp_path / "portkey" / COMPLETE).touch()
    assert installed(tmp_path)["portkey"] in ("1.2.3", None)  # None where there is no Node

"""Where a call comes from, if proxies that are believed stand in between."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagegate.edge.proxies import MAX_HOPS, Proxies
from imagegate.edge.settings import EdgeSettings
from imagegate.runtime.settings import SettingsError

PROXIES = Proxies.of("10.0.0.0/8, fd00::/8 192.0.2.7")
PROXY, FURTHER, CALLER = "10.0.0.1", "10.0.0.2", "203.0.113.9"
# What Python takes for an address: its own, the caller's and the proxies'.
HOPS = st.one_of(st.ip_addresses().map(str), st.sampled_from([PROXY, FURTHER]), st.text(max_size=60))


@pytest.mark.parametrize(
    ("peer", "forwarded", "origin"),
    [
        (CALLER, [], CALLER),
        (CALLER, ["198.51.100.1"], CALLER),
        (PROXY, [], PROXY),
        (PROXY, [CALLER], CALLER),
        (PROXY, [f"198.51.100.1, {CALLER}"], CALLER),
        (PROXY, [f"198.51.100.1, {CALLER},{FURTHER}"], CALLER),
        (PROXY, ["198.51.100.1", CALLER, f"{FURTHER} "], CALLER),
        (PROXY, [FURTHER], FURTHER),
        (PROXY, [f"{CALLER}, unknown"], PROXY),
        (PROXY, [f"{CALLER}, unknown, {FURTHER}"], FURTHER),
        (PROXY, [f"{CALLER},"], PROXY),
        (PROXY, ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", [CALLER], CALLER),
        ("::ffff:10.0.0.1", [f"::ffff:{CALLER}"], CALLER),
        ("192.0.2.7", [CALLER], CALLER),
        ("192.0.2.8", [CALLER], "192.0.2.8"),
        ("", [CALLER], ""),
    ],
)
def test_the_last_that_is_no_proxy_is_the_caller(peer: str, forwarded: list[str], origin: str) -> None:
    """S21: from right to left, as far as each has been said by a proxy; what the caller wrote itself counts nothing."""
    assert PROXIES.origin(peer, forwarded) == origin


@given(st.ip_addresses().map(str), st.lists(HOPS, max_size=5))
def test_by_default_nobody_is_believed(peer: str, forwarded: list[str]) -> None:
    """S21: where no proxy is named, the address is that of the connection, whatever the headers say."""
    assert Proxies().origin(peer, forwarded) == peer


@given(st.lists(HOPS, max_size=80), st.sampled_from([",", ", ", " ,"]))
@example(["10.0.0.1"] * 5000, ",")
@example([","] * 32_000, ",")
@example(["1" * 32_000], ",")
@example([":" * 32_000], ",")
@example(["fe80::1%" + "a" * 32_000], ",")
def test_a_caller_behind_a_proxy_is_always_found(hops: list[str], between: str) -> None:
    """S21: whatever a caller sends, the word of the proxy before us is what counts; and of nonsense no more is made
    than an address, or the proxy.
    """
    lied = between.join(hops)
    assert PROXIES.origin(PROXY, [lied, CALLER]) == CALLER
    assert len(PROXIES.origin(PROXY, [lied])) <= 45


def test_a_chain_without_end_is_not_followed() -> None:
    """S21: after so many proxies it is the last one that was looked at."""
    proxies = [f"10.0.{number // 256}.{number % 256}" for number in range(5000)]
    assert PROXIES.origin(PROXY, [", ".join([CALLER, *proxies])]) == proxies[-(MAX_HOPS - 1)]
    assert PROXIES.origin(PROXY, [CALLER, *proxies[:MAX_HOPS]]) == proxies[1]
    assert PROXIES.origin(PROXY, [CALLER, *proxies[: MAX_HOPS - 1]]) == CALLER


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy.example", "10.0.0.0/8;fd00::/8", "0.0.0.0/0", "::/0"])
def test_what_is_no_network_of_proxies_is_refused(wrong: str) -> None:
    """R10: the variable is named, and what in it is wrong; nor can everybody be believed."""
    with pytest.raises(SettingsError, match="IMAGEGATE_EDGE_TRUSTED_PROXIES: '"):
        EdgeSettings.of({"IMAGEGATE_EDGE_TRUSTED_PROXIES": f"10.0.0.0/8 {wrong}"})
    told = EdgeSettings.of({"IMAGEGATE_EDGE_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8 192.0.2.7"})
    assert told.trusted_proxies == PROXIES
    assert EdgeSettings.of({}).trusted_proxies == Proxies()

"""Where the upstreams are, as the environment says it."""

import pytest

from imagegate.providers.automatic1111 import provider as automatic1111
from imagegate.providers.fal import provider as fal
from imagegate.providers.huggingface import provider as huggingface
from imagegate.runtime.settings import BaseUrl, EnvironmentSettings, SettingsError

VARIABLES = [
    (fal, "FAL_QUEUE_URL"),
    (fal, "FAL_REST_URL"),
    (fal, "FAL_CDN_URL"),
    (huggingface, "HUGGINGFACE_BASE_URL"),
    (huggingface, "HUGGINGFACE_HUB_URL"),
    (automatic1111, "SD_API_URL"),
]


class Somewhere(EnvironmentSettings):
    """The smallest settings with an address."""

    URL: BaseUrl


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "http://h/",
        "https://queue.fal.run",
        "http://127.0.0.1:7860",
        "http://[::1]:7860/base",
        "http://sd_webui:7860/a/b/",
        "https://bücher.example/x",
        "HTTP://Host.example.",
        "http://h/user@example",
    ],
)
def test_an_address_that_can_be_used(url):
    """R13: http or https, a host, perhaps a port and a path: taken as it was written."""
    assert url == Somewhere.read({"URL": url}).URL


WRONG = [
    "localhost:7860",
    "ftp://h/",
    "h",
    "http://",
    "http:///path",
    "http://:80/",
    "http://me:pass@h/",
    "http://me@h/",
    "http://@h/",
    "http://:@h/",
    "http://h:99999/",
    "http://h:0/",
    "http://h:port/",
    "http://[::1/",
    "http://::1/",
    "http://h/?key=secret",
    "http://h?",
    "http://h/#x",
    "http://h o/",
    "http://h\n/",
    "http://h\\x/",
    "http://a..b%41/",
    "http://-h/",
    "http://a..b/",
    "http://me:pass@h:99999/",
    "http://*/",
]


@pytest.mark.parametrize("url", WRONG)
def test_an_address_that_cannot_be_used(url):
    """R13, R14: anything else is one clear error, which names the variable and does not repeat the value."""
    with pytest.raises(SettingsError, match=r"^URL: ") as caught:
        Somewhere.read({"URL": url})
    assert url not in str(caught.value).removeprefix("URL: ") or len(url) < 8
    assert "pass" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize(("module", "variable"), VARIABLES, ids=[variable for _, variable in VARIABLES])
@pytest.mark.parametrize("url", ["http://me:pass@h/", "http://h:99999/", "http://[::1/", "http://h/?x=1"])
def test_every_provider_checks_its_addresses(module, variable, url):
    """R10, R13: a wrong address stops the start of every provider, naming its variable."""
    with pytest.raises(SettingsError, match=variable):
        module.create({variable: url}, lambda _: None)


@pytest.mark.parametrize("url", WRONG)
def test_every_endpoint_is_an_address(url):
    """U6, R13, R14: an endpoint's address is checked as all others are, and not repeated."""
    with pytest.raises(SettingsError, match="HUGGINGFACE_ENDPOINTS") as caught:
        huggingface.create({"HUGGINGFACE_ENDPOINTS": f"sdxl={url}"}, lambda _: None)
    assert "pass" not in str(caught.value).replace("password", "")

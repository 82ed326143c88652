"""What the edge reads from its environment, besides what every process does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BeforeValidator, Field

from imagegate.edge.budget import TOTAL
from imagegate.edge.endpoint import MIB
from imagegate.edge.proxies import Proxies
from imagegate.runtime.settings import EnvironmentSettings, SettingsError, data_folder

PREFIX = "IMAGEGATE_EDGE_"
# Where AUTOMATIC1111 is; the provider's own variable.
WEBUI_VARIABLE = "SD_API_URL"
# What links are signed with; the first of several signs, all of them are believed.
LINK_KEYS_VARIABLE = "IMAGEGATE_EDGE_LINK_KEYS"


class EdgeSettings(EnvironmentSettings):
    """Variables that begin with IMAGEGATE_EDGE_, and the folder of data, IMAGEGATE_DATA."""

    port: int = Field(default=8080, ge=0, le=65535, alias="PORT")
    # What links begin with where they leave the house; by default what the caller used.
    public_url: str = Field(default="", alias="PUBLIC_URL")
    # An SQLAlchemy URL; by default an SQLite file in the folder of data.
    database: str = Field(default="", alias="DATABASE")
    # Where pictures are kept: file:///folder or s3://bucket/prefix; by default a folder of the folder of data.
    pictures: str = Field(default="", alias="PICTURES")
    # How long the link of a picture holds, in seconds: a day, as the guide has it.
    link_seconds: int = Field(default=86_400, ge=60, le=31_536_000, alias="LINK_SECONDS")
    # After how many days pictures are removed; by default never.
    retention_days: float | None = Field(default=None, gt=0, alias="RETENTION_DAYS")
    # MiB that have to be free on a disk of ours before another picture is made.
    min_free_mib: int = Field(default=256, ge=0, alias="MIN_FREE_MIB")
    # What one user may ask of the models in a minute, and at a time.
    generations_per_minute: float = Field(default=30, gt=0, le=100_000, alias="GENERATIONS_PER_MINUTE")
    generations_at_a_time: int = Field(default=8, ge=1, le=10_000, alias="GENERATIONS_AT_A_TIME")
    # What one user may ask besides.
    requests_per_minute: float = Field(default=600, gt=0, le=1_000_000, alias="REQUESTS_PER_MINUTE")
    # MiB of memory that the bodies of all calls under way may take together; one alone may be 32.
    bodies_mib: int = Field(default=TOTAL // MIB, ge=36, le=16_384, alias="BODIES_MIB")
    # Seconds that a generation may take, warming and fallback included.
    timeout: float = Field(default=300, gt=0, le=3600, alias="TIMEOUT")
    # Whose X-Forwarded-For is believed; by default nobody's.
    trusted_proxies: Annotated[Proxies, BeforeValidator(Proxies.of)] = Field(default=Proxies(), alias="TRUSTED_PROXIES")
    data: Path
    # Where AUTOMATIC1111 is, for the status that web backends see; by default that is not told.
    webui_url: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`. Raises SettingsError naming every variable that is wrong."""
        data = str(data_folder(environ))
        webui_url = _without_user(environ.get(WEBUI_VARIABLE, ""))
        return cls.read({**environ, f"{PREFIX}data": data, f"{PREFIX}webui_url": webui_url}, PREFIX)


def _without_user(url: str) -> str:
    """The address without a user and a password, which are nobody's business, and whatever follows its path."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SettingsError(f"{WEBUI_VARIABLE}: is no address") from error
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

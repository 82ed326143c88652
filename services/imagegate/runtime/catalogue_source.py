"""A provider's catalogue as it is in force: the packaged models.yaml, and on top what the operator wants otherwise.

IMAGEGATE_MODELS names a folder with a `<provider>.yaml` for each provider whose models are changed. It is read again
when it changes; one that cannot be used stops a start, and changes nothing while serving.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog

from imagegate.runtime.models import Catalogue
from imagegate.runtime.models_file import CatalogueError, read_models, to_catalogue
from imagegate.runtime.overlay import laid_over, unfinished
from imagegate.runtime.settings import PROVIDER_PREFIX, ProviderSettings

log = structlog.get_logger()

VARIABLE = "IMAGEGATE_MODELS"
SUFFIX = ".yaml"

Stamp = tuple[int, int, int, int]


def _as_it_is(catalogue: Catalogue) -> Catalogue:
    return catalogue


class CatalogueSource:
    """The catalogue of `provider`, followed while it serves.

    `adapt` is what the provider makes of a catalogue before it is in force; it raises CatalogueError for one that it
    cannot serve. `current` is the catalogue, `problem` why the overlay is not in it (empty where it is).

    Raises SettingsError or CatalogueError.
    """

    def __init__(
        self,
        provider: str,
        packaged: Path,
        environ: Mapping[str, str],
        adapt: Callable[[Catalogue], Catalogue] = _as_it_is,
    ) -> None:
        self._provider = provider
        self._packaged_source = f"{packaged.name} of {provider}"
        self._packaged = read_models(packaged, self._packaged_source)
        self._file = Path(environ[VARIABLE]) / f"{provider}{SUFFIX}" if environ.get(VARIABLE) else None
        self._any_model = ProviderSettings.of(provider, environ).any_model
        self._adapt = adapt
        self._stamp = self._stamp_now()
        self.problem = ""
        self.current = self._read()

    def __repr__(self) -> str:
        return f"<CatalogueSource {self._provider} {self.current.revision}>"

    def refresh(self) -> bool:
        """Take the overlay as it is now, if it has changed and can be used; whether the catalogue is another one.

        One that cannot be used is logged once, and read again until it can.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp and not self.problem:
            return False
        try:
            catalogue = self._read()
        except CatalogueError as error:
            if (stamp, str(error)) != (self._stamp, self.problem):
                told = {"source": error.source, "problems": list(error.problems)}
                log.warning("overlay refused, the old catalogue stays", **told)
            self._stamp, self.problem = stamp, str(error)
            return False
        has_changed = catalogue != self.current
        self._stamp, self.current, self.problem = stamp, catalogue, ""
        log.info("models taken", source=str(self._file), revision=catalogue.revision)
        return has_changed

    def _stamp_now(self) -> Stamp | None:
        """What changes with the overlay, its permissions included; None where there is none."""
        try:
            stat = self._file.stat() if self._file else None
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size) if stat else None

    def _read(self) -> Catalogue:
        """The catalogue as the files have it. Raises CatalogueError."""
        if self._file is None or not _exists(self._file):
            return self._made(self._packaged, self._packaged_source)
        source = str(self._file)
        overlay = read_models(self._file, source)
        try:
            return self._made(laid_over(self._packaged, overlay, self._file.name), source)
        except CatalogueError as error:
            raise CatalogueError(*unfinished(self._packaged, overlay), *error.problems, source=source) from error

    def _made(self, content: Mapping[str, object], source: str) -> Catalogue:
        return self._adapt(self._with_switch(to_catalogue(self._provider, content, source)))

    def _with_switch(self, catalogue: Catalogue) -> Catalogue:
        """The catalogue with ids outside it switched as the environment says, if it says anything."""
        if self._any_model is None or catalogue.outside is None:
            return catalogue
        reason = f"switched off by {PROVIDER_PREFIX.format(provider=self._provider.upper())}ANY_MODEL=false"
        switch = {"enabled": self._any_model, "disabled_reason": "" if self._any_model else reason}
        return catalogue.model_copy(update={"outside": catalogue.outside.model_copy(update=switch)})


def _exists(overlay: Path) -> bool:
    """Whether there is something to read. Raises CatalogueError where not even the folder is there."""
    try:
        overlay.stat()
    except FileNotFoundError as error:
        if not overlay.parent.is_dir():
            raise CatalogueError(f"there is no folder {overlay.parent}", source=VARIABLE) from error
        return False
    except OSError:
        return True  # reading it tells what is the matter
    return True


def strangers(environ: Mapping[str, str], providers: Iterable[str]) -> list[str]:
    """The files among the overlays that belong to none of `providers`, so that nobody reads them, by name."""
    folder = Path(environ[VARIABLE]) if environ.get(VARIABLE) else None
    if folder is None:
        return []
    read = {f"{provider}{SUFFIX}" for provider in providers}
    try:
        found = [each.name for each in folder.iterdir()]
    except OSError:  # whoever needs one of them says so
        return []
    return sorted(name for name in found if name not in read and not name.startswith("."))

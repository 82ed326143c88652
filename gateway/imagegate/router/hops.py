"""How each provider's service is reached: as the environment says, or as its own line of the configuration does."""

from imagegate.router.config import ProviderConfig
from imagegate.runtime.tls_files import TlsFiles, TlsPaths
from imagegate.runtime.transport import Transport, TransportSettings


class Hops:
    """Makes the transport to each provider; all show the same certificate. Raises SettingsError where it, or whom to
    believe, cannot be read.
    """

    def __init__(self, settings: TransportSettings | None = None) -> None:
        settings = settings or TransportSettings()
        self._is_tls = settings.is_tls
        self.files = TlsFiles(TlsPaths(settings.cert, settings.key, settings.ca))

    def to(self, provider: ProviderConfig) -> Transport:
        """The transport to this provider."""
        is_tls = self._is_tls if provider.tls is None else provider.tls
        return Transport(self.files if is_tls else None, server_name=provider.server_name)

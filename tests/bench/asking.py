"""What a caller sends, whatever it calls."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: of a method at a `target` (host:port) of gRPC, or a POST to a URL."""

    protocol: Literal["grpc", "http"]
    target: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    # Whether every call is meant to fail: with nobody to ask there is no picture.
    fails: bool = False

    def plain(self) -> dict[str, Any]:
        """For another process."""
        body = b64encode(self.body).decode()
        return {
            "protocol": self.protocol, "target": self.target, "body": body, "headers": dict(self.headers),
            "fails": self.fails,
        }  # fmt: skip

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What `plain` was made of."""
        return cls(**{**plain, "body": b64decode(plain["body"])})

"""How much a gRPC server of ours takes of its callers, and for how long: every number of it. Pure."""

from math import ceil

from pydantic import Field

from imagegate.runtime.channels import MAX_MESSAGE_BYTES, ChannelOptions
from imagegate.runtime.settings import EnvironmentSettings

PREFIX = "IMAGEGATE_GRPC_"
MIB = 1024 * 1024


class ServerLimits(EnvironmentSettings):
    """The limits of one process (variables begin with IMAGEGATE_GRPC_). Those of connections hold for each port."""

    connections: int = Field(default=1000, ge=1, le=100_000, alias="CONNECTIONS")
    # Of one connection. gRPC resets what is beyond it instead of letting it wait: our own channels hold at most 100,
    # other clients start hundreds on one and lose some of them at 128.
    streams: int = Field(default=512, ge=1, le=100_000, alias="STREAMS")
    # Of all connections together, health and reflection apart.
    calls: int = Field(default=1000, ge=1, le=100_000, alias="CALLS")
    # That gRPC keeps until they are looked at, which takes a moment each; of more it cancels some, whoever's they are.
    pending: int = Field(default=20_000, ge=1, le=1_000_000, alias="PENDING")

    request_mib: int = Field(default=32, ge=1, le=64, alias="REQUEST_MIB")
    request_seconds: float = Field(default=30, gt=0, le=3600, alias="REQUEST_SECONDS")
    # Values in one request, however deep they lie: parsed, an empty one takes a hundred bytes.
    request_fields: int = Field(default=10_000, ge=100, le=1_000_000, alias="REQUEST_FIELDS")
    # Of all requests under way together.
    requests_mib: int = Field(default=96, ge=1, le=16_384, alias="REQUESTS_MIB")
    # Of all answers together that wait to be read; the process takes about three times as much for them. The largest
    # has 64 MiB.
    answers_mib: int = Field(default=64, ge=64, le=16_384, alias="ANSWERS_MIB")
    metadata_bytes: int = Field(default=8192, ge=2048, le=65_536, alias="METADATA_BYTES")

    # Until TLS is agreed on and HTTP/2 has begun.
    handshake_seconds: float = Field(default=10, gt=0, le=120, alias="HANDSHAKE_SECONDS")
    # A connection without a call, heads that never end included.
    idle_seconds: float = Field(default=300, gt=0, le=86_400, alias="IDLE_SECONDS")
    # Give or take a tenth, which gRPC draws. Then clients connect anew, to replicas that have come meanwhile as well;
    # calls under way go on, for the grace.
    age_seconds: float = Field(default=600, gt=0, le=86_400, alias="AGE_SECONDS")
    age_grace_seconds: float = Field(default=3600, gt=0, le=86_400, alias="AGE_GRACE_SECONDS")

    # Whoever is silent is asked whether it is still there.
    keepalive_seconds: float = Field(default=60, ge=1, le=7200, alias="KEEPALIVE_SECONDS")
    keepalive_timeout_seconds: float = Field(default=20, ge=1, le=600, alias="KEEPALIVE_TIMEOUT_SECONDS")
    # Strictly below the interval of our clients' pings, 30 s; after so many that come too soon the connection ends.
    ping_seconds: float = Field(default=10, gt=0, lt=30, alias="PING_SECONDS")
    ping_strikes: int = Field(default=2, ge=1, le=1000, alias="PING_STRIKES")

    @property
    def request_bytes(self) -> int:
        """The most bytes that one request may have."""
        return self.request_mib * MIB

    def options(self) -> ChannelOptions:
        """What gRPC itself keeps of them, in its own words."""
        return (
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", self.request_bytes),
            # gRPC would share a port that is in use without a word.
            ("grpc.so_reuseport", 0),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.server.max_pending_requests", self.pending),
            ("grpc.server.max_pending_requests_hard_limit", self.pending),
            # Between the two gRPC would refuse at random.
            ("grpc.max_metadata_size", self.metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.metadata_bytes),
            ("grpc.server_handshake_timeout_ms", _ms(self.handshake_seconds)),
            ("grpc.max_connection_idle_ms", _ms(self.idle_seconds)),
            ("grpc.max_connection_age_ms", _ms(self.age_seconds)),
            ("grpc.max_connection_age_grace_ms", _ms(self.age_grace_seconds)),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_seconds)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout_seconds)),
            # Otherwise the other side has a minute for an answer, whatever is said above.
            ("grpc.http2.ping_timeout_ms", _ms(self.keepalive_timeout_seconds)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.ping_seconds)),
            ("grpc.http2.max_ping_strikes", self.ping_strikes),
        )


def _ms(seconds: float) -> int:
    return ceil(seconds * 1000)

"""A provider's gRPC face, whole: GenerationService and CatalogService in front of its adapter."""

import random
from collections.abc import Sequence

from imagegate.runtime.attempt import Attempts
from imagegate.runtime.catalog_face import CatalogFace
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.generation_face import GenerationFace
from imagegate.runtime.limits import Limits
from imagegate.runtime.made import MadeAnswer
from imagegate.runtime.metrics import ProviderMetrics
from imagegate.runtime.outbox import BOUNDS, Bounds
from imagegate.runtime.poses import PoseTemplates
from imagegate.runtime.provider import Provider
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.server import Service
from imagegate.runtime.streaming import generation_service
from imagegate.v1 import catalog_pb2_grpc


class ProviderService:
    """What one provider's process serves. `bounds` are what the reader of a stream may do; without `poses` there are
    those that come with imagegate. The `entrance` is closed by whoever made it; without one there is one that fetches
    nothing.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        limits: Limits,
        metrics: ProviderMetrics,
        redactor: Redactor,
        log_prompts: bool = True,
        random_source: random.Random | None = None,
        bounds: Bounds = BOUNDS,
        entrance: Entrance | None = None,
        poses: PoseTemplates | None = None,
    ) -> None:
        poses = poses or PoseTemplates()
        attempts = Attempts(provider.catalogue.provider, metrics, redactor, log_prompts)
        entrance = entrance or Entrance(poses)
        self._generation = GenerationFace(
            provider, limits, attempts, entrance, random_source or random.SystemRandom(), bounds
        )
        self._catalog = CatalogFace(provider, limits, redactor, poses)
        metrics.watch_catalogue(lambda: provider.catalogue.revision, lambda: not provider.catalogue_problem)
        if limits.quota is not None:
            metrics.watch_quota(lambda: limits.quota_left or 0, limits.quota.per_day)

    def services(self) -> Sequence[Service]:
        """What to add to a server."""
        return [
            generation_service(
                self._generation.generate,
                self._generation.generate_stream,
                MadeAnswer.serialised,
            ),
            Service(
                "imagegate.v1.CatalogService",
                lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self._catalog, server),
            ),
        ]

"""How everything is doing, which models there are, what they cost and which to use: nothing here is paid for."""

from collections.abc import Callable
from time import monotonic

from aiohttp import web

from imagegate.client import AsyncClient
from imagegate.edge.backend.asked import EstimateRequest, ModelsQuery, RecommendRequest
from imagegate.edge.backend.catalogue import (
    EstimateAnswer,
    ModelsAnswer,
    RecommendAnswer,
    estimate_answer,
    models_answer,
    recommend_answer,
)
from imagegate.edge.backend.checks import Checks
from imagegate.edge.backend.exchange import answer, read_query, tell
from imagegate.edge.backend.naming import own_model, own_provider
from imagegate.edge.backend.status import (
    ImageStatusAnswer,
    ModelStatusAnswer,
    candidates_to_check,
    image_status,
    model_status,
)
from imagegate.edge.body import Body
from imagegate.edge.endpoint import JSON_BYTES, Call, Endpoint


class Questions:
    """Answers what costs nothing. `webui_url` is where the local engine is, empty where that is not known here."""

    def __init__(self, client: AsyncClient, webui_url: str, clock: Callable[[], float] = monotonic) -> None:
        self._client = client
        self._webui_url = webui_url
        self._checks = Checks(client, clock)

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "GET",
                "/api/ai/image-status",
                self.image_status,
                "How image generation is doing, by provider and model",
                tell,
                answers=ImageStatusAnswer,
            ),
            Endpoint(
                "GET",
                "/api/ai/models",
                self.models,
                "Which models there are",
                tell,
                query=ModelsQuery,
                answers=ModelsAnswer,
            ),
            Endpoint(
                "GET",
                "/api/ai/models/{key:.+}/status",
                self.model_status,
                "How one model is doing: its upstream is asked, for free",
                tell,
                answers=ModelStatusAnswer,
            ),
            Endpoint(
                "POST",
                "/api/ai/estimate",
                self.estimate,
                "What a picture costs at least and at most",
                tell,
                max_bytes=JSON_BYTES,
                takes=EstimateRequest,
                answers=EstimateAnswer,
            ),
            Endpoint(
                "POST",
                "/api/ai/recommend",
                self.recommend,
                "Which models to use for a purpose, and why",
                tell,
                max_bytes=JSON_BYTES,
                takes=RecommendRequest,
                answers=RecommendAnswer,
            ),
        ]

    async def image_status(self, call: Call) -> web.Response:
        """How everything is doing."""
        status = await self._client.status()
        checks = await self._checks.of(candidates_to_check(status))
        return answer(image_status(status, checks, self._webui_url or None))

    async def models(self, call: Call) -> web.Response:
        """The catalogue."""
        query = read_query(call, ModelsQuery)
        listed = await self._client.models(
            own_provider(query.provider or ""),
            task=query.task or "",
            tier=query.tier or "",
            use_case=query.use_case or "",
        )
        return answer(models_answer(listed, query.unknown()))

    async def model_status(self, call: Call) -> web.Response:
        """How one model is doing."""
        check = await self._client.check(own_model(call.request.match_info["key"]))
        return answer(model_status(check, await self._client.status()))

    async def estimate(self, call: Call) -> web.Response:
        """What it costs, for this caller."""
        wanted = await Body(call.request, JSON_BYTES).parsed(EstimateRequest)
        fields = wanted.fields()
        if call.caller.tier:
            fields["tier"] = call.caller.tier
        estimate = await self._client.estimate(wanted.prompt or "", model=wanted.model_meant, **fields)
        return answer(estimate_answer(estimate, wanted.unknown()))

    async def recommend(self, call: Call) -> web.Response:
        """What to use, for this caller."""
        wanted = await Body(call.request, JSON_BYTES).parsed(RecommendRequest)
        found = await self._client.recommend(**wanted.fields(call.caller.tier))
        return answer(recommend_answer(found, wanted.unknown()))

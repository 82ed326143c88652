"""A provider's service as the router calls it: bytes in, bytes out. The answer itself is never parsed here."""

import asyncio
from collections.abc import Callable, Mapping

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_status import rpc_status

from imagegate.router.calling import Metadata, Sighting, StreamCall, StreamMethod, answered, hear_trailers, heard, read
from imagegate.runtime.channels import ChannelPool, Line
from imagegate.runtime.errors import MAX_ATTEMPT_BYTES, Dispatch, Failure, Reason, from_status
from imagegate.runtime.redaction import clip
from imagegate.runtime.serialised import holds
from imagegate.runtime.stream_event import response_of
from imagegate.runtime.transport import IN_THE_CLEAR, Transport, is_tls_trouble, was_never_connected
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2

GENERATE_STREAM = "/imagegate.v1.GenerationService/GenerateStream"
CATALOGUE_SECONDS = 5.0
IMAGES = generation_pb2.GenerateResponse.IMAGES_FIELD_NUMBER

# A provider may be anybody's: ours shrink their previews to some 10 KB, and clip their texts themselves.
MAX_PREVIEW_BYTES = 256 * 1024
MAX_CHECK_BYTES = {
    "provider": MAX_ATTEMPT_BYTES["provider"],
    "model": MAX_ATTEMPT_BYTES["model"],
    "upstream_model": MAX_ATTEMPT_BYTES["model"],
    "message": MAX_ATTEMPT_BYTES["message"],
    "remedy": MAX_ATTEMPT_BYTES["remedy"],
    "upstream_message": MAX_ATTEMPT_BYTES["upstream_message"],
}

# How it says that a message or its metadata exceeded the limits of our own hops.
TOO_LARGE = ("larger than max", "metadata size exceeds")

# Hears an event of a call under way; never blocks.
Tell = Callable[[generation_pb2.GenerateEvent], None]


class _NoStreamsError(Exception):
    """The provider does not serve GenerateStream."""


class Endpoint:
    """The service of one provider."""

    def __init__(self, provider: str, target: str, transport: Transport = IN_THE_CLEAR) -> None:
        self.provider = provider
        self.target = target
        self.is_leaving = False  # it is in the configuration no more
        self.is_closed = False
        self._channels = ChannelPool(target, transport)
        self._calls = 0
        self._last_call_ended = asyncio.Event()

    async def begin_call(self, sighting: Sighting) -> Line:
        """A channel for one call, until its `end_call`. Raises Failure(UNREACHABLE) where it is closed."""
        if self.is_closed:
            raise _gone(self, "is not called any more", sighting)
        self._calls += 1
        try:
            return await self._channels.begin()
        except BaseException:
            self._one_call_less()
            raise

    async def end_call(self, line: Line) -> None:
        """One call less."""
        self._one_call_less()
        await self._channels.end(line)

    def _one_call_less(self) -> None:
        self._calls -= 1
        if not self._calls and self.is_leaving:
            self._last_call_ended.set()

    async def finish(self) -> None:
        """Let the calls under way end, which they do by their own deadlines at the latest, then close. No call may
        begin any more.
        """
        self.is_leaving = True
        if self._calls:
            await self._last_call_ended.wait()
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls under way end as UNREACHABLE."""
        self.is_closed = True
        await self._channels.close()

    async def generate(
        self,
        request: bytes,
        timeout: float,
        metadata: Mapping[str, str],
        sighting: Sighting,
        tell: Tell | None = None,
        *,
        may_be_charged: bool = True,
    ) -> bytes:
        """The provider's serialised answer; `tell` hears of its progress. Raises Failure.

        Where it `may_be_charged` the upstream's id stays known even if the caller leaves.
        """
        async with _Calling(self, sighting) as channel:
            told = tuple(metadata.items())
            try:
                if tell is not None:
                    try:
                        return await self._told_of(channel, request, timeout, told, sighting, tell)
                    except _NoStreamsError:
                        pass  # an older provider: nothing was begun
                ask = heard if may_be_charged else answered
                answer = await ask(channel, request, timeout, told, sighting)
            except grpc.aio.AioRpcError as error:
                raise _failure(error, self, sighting) from error
        if not isinstance(answer, bytes):
            raise _silent(self.provider)
        return self._with_picture(answer)

    def _with_picture(self, answer: bytes) -> bytes:
        """The answer, unless there is no picture in it."""
        if not holds(answer, IMAGES):
            raise Failure(
                Reason.BAD_OUTPUT, f"{self.provider} answered OK without a picture", dispatch=Dispatch.ACCEPTED
            )
        return answer

    async def _told_of(
        self,
        channel: grpc.aio.Channel,
        request: bytes,
        timeout: float,
        metadata: Metadata,
        sighting: Sighting,
        tell: Tell,
    ) -> bytes:
        """The answer, after `tell` has heard of its progress. Raises _NoStreamsError where nothing can be told."""
        method: StreamMethod = channel.unary_stream(GENERATE_STREAM)
        call = method(request, timeout=timeout, metadata=metadata)
        try:
            sighting.hear(await call.initial_metadata())
            return self._with_picture(await self._until_completed(call, sighting, tell))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise _NoStreamsError from error
            raise
        finally:
            call.cancel()  # a call that has ended takes no notice

    async def _until_completed(self, call: StreamCall, sighting: Sighting, tell: Tell) -> bytes:
        """The answer at the end of a stream; of what comes before only progress is passed on."""
        try:
            while isinstance(told := await read(call), bytes):
                answer = response_of(told)
                if answer is not None:
                    await hear_trailers(call, sighting)
                    return answer
                event = generation_pb2.GenerateEvent.FromString(told)
                if event.HasField("progress"):
                    sighting.see(event.progress.upstream_id)
                    tell(_bounded(event, sighting))
        except DecodeError as error:
            raise _silent(self.provider) from error
        raise _silent(self.provider)

    async def check_model(self, name: str, timeout: float = CATALOGUE_SECONDS) -> catalog_pb2.ModelCheck:
        """What the provider's upstream says of a model now. Raises Failure."""
        async with _Calling(self, Sighting()) as channel:
            stub = catalog_pb2_grpc.CatalogServiceStub(channel)
            try:
                check: catalog_pb2.ModelCheck = await stub.CheckModel(
                    catalog_pb2.CheckModelRequest(name=name), timeout=timeout
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    raise Failure(Reason.UNSUPPORTED, f"{self.provider} does not offer CheckModel") from error
                raise _failure(error, self, Sighting()) from error
            return _clipped(check)

    async def until_ready(self, seconds: float) -> None:
        """Wait until there is a connection, at most `seconds`. Raises Failure where it is closed meanwhile."""
        async with _Calling(self, Sighting()) as channel:
            try:
                async with asyncio.timeout(seconds):
                    while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                        await channel.wait_for_state_change(state)
            except TimeoutError:
                return  # the next attempt tells

    async def list_models(self) -> catalog_pb2.ListModelsResponse:
        """The provider's catalogue. Raises Failure."""
        async with _Calling(self, Sighting()) as channel:
            stub = catalog_pb2_grpc.CatalogServiceStub(channel)
            try:
                answer: catalog_pb2.ListModelsResponse = await stub.ListModels(
                    catalog_pb2.ListModelsRequest(), timeout=CATALOGUE_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                raise _failure(error, self, Sighting()) from error
            return answer


class _Calling:
    """The channel of one call, in a block. Raises Failure(UNREACHABLE) where it is closed, before or meanwhile."""

    def __init__(self, endpoint: Endpoint, sighting: Sighting) -> None:
        self._endpoint = endpoint
        self._sighting = sighting

    async def __aenter__(self) -> grpc.aio.Channel:
        self._line = await self._endpoint.begin_call(self._sighting)
        return self._line.channel

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        await self._endpoint.end_call(self._line)
        if isinstance(error, asyncio.CancelledError | grpc.aio.UsageError) and self._was_closed_meanwhile():
            raise _gone(self._endpoint, "was closed", self._sighting) from error

    def _was_closed_meanwhile(self) -> bool:
        """Whether the call was cancelled by the closing of its channel, not by its caller's leaving."""
        task = asyncio.current_task()
        return self._endpoint.is_closed and task is not None and not task.cancelling()


def _bounded(event: generation_pb2.GenerateEvent, sighting: Sighting) -> generation_pb2.GenerateEvent:
    """The progress without what is larger than it ever has to be."""
    event.DiscardUnknownFields()
    event.progress.upstream_id = sighting.upstream_id
    if event.progress.preview.ByteSize() > MAX_PREVIEW_BYTES:
        event.progress.ClearField("preview")
    return event


def _clipped(check: catalog_pb2.ModelCheck) -> catalog_pb2.ModelCheck:
    check.DiscardUnknownFields()
    for name, limit in MAX_CHECK_BYTES.items():
        setattr(check, name, clip(getattr(check, name), limit))
    return check


def _failure(error: grpc.aio.AioRpcError, endpoint: Endpoint, sighting: Sighting) -> Failure:
    """The provider's own failure, or what the transport's words mean."""
    try:
        status = rpc_status.from_call(error)
        failure = from_status(status) if status is not None else None
    except (ValueError, DecodeError):  # details that contradict the status, or are none
        failure = None
    if failure is not None and failure.code in (code_pb2.UNAUTHENTICATED, code_pb2.PERMISSION_DENIED):
        return _shut_out(endpoint)
    return failure if failure is not None else _transport_failure(error, endpoint, sighting)


def _transport_failure(error: grpc.aio.AioRpcError, endpoint: Endpoint, sighting: Sighting) -> Failure:
    code, words = error.code(), (error.details() or "").lower()
    sent = sighting.dispatch
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        remedy = "give the request more time"
        return Failure(Reason.TIMEOUT, f"{endpoint.provider} did not answer in time", remedy=remedy, dispatch=sent)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and any(sign in words for sign in TOO_LARGE):
        return Failure(
            Reason.INTERNAL,
            f"a message between the router and {endpoint.provider} was too large",
            remedy="this is a bug; tell whoever keeps imagegate, with the request's id",
            dispatch=sent,
        )
    if "refused_stream" in words or "error code 7" in words or "concurrent rpc limit" in words:
        return Failure(Reason.BUSY, f"{endpoint.provider} takes no more calls just now", dispatch=Dispatch.NOT_SENT)
    never_connected = was_never_connected(error)
    if never_connected and is_tls_trouble(words):
        failure = _gone(endpoint, "shows a certificate that is not believed here", sighting)
    else:
        failure = _gone(endpoint, "cannot be reached" if never_connected else f"went away ({code.name})", sighting)
    if never_connected:
        failure.dispatch = Dispatch.NOT_SENT
    return failure


def _gone(endpoint: Endpoint, how: str, sighting: Sighting) -> Failure:
    """UNREACHABLE; DISABLED where the operator has taken it out, which says nothing about what stands in its place.

    Callers are told of attempts, and its address is not for them: operators find it in the status.
    """
    who = f"the provider service {endpoint.provider}"
    return Failure(
        Reason.DISABLED if endpoint.is_leaving else Reason.UNREACHABLE,
        f"{who} was taken out of the configuration and {how}" if endpoint.is_leaving else f"{who} {how}",
        remedy="" if endpoint.is_leaving else f"start it, or correct providers.{endpoint.provider}.target",
        dispatch=sighting.dispatch,
    )


def _shut_out(endpoint: Endpoint) -> Failure:
    """UNREACHABLE: our own caller is not to blame, nor to be told of keys."""
    return Failure(
        Reason.UNREACHABLE,
        f"the provider service {endpoint.provider} does not let this router in",
        remedy="name this router's certificate in the provider's IMAGEGATE_ALLOWED_CALLERS",
        dispatch=Dispatch.NOT_SENT,
    )


def _silent(provider: str) -> Failure:
    return Failure(Reason.BAD_OUTPUT, f"{provider} answered OK without an answer", dispatch=Dispatch.ACCEPTED)

"""The feed over HTTP: what a broker would bring, for those without one. In batches, or as server-sent events.

A cursor stands for a place in the log, and nothing before it is ever added later; so whoever goes on from the last
cursor misses nothing and sees nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic

from crowdpay_contracts.envelope import EventType
from crowdpay_contracts.examples import EVENTS
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from kyc_service.access.tokens import expires_at
from kyc_service.api import applications, cursors, headers
from kyc_service.api.contract import Operation, Success
from kyc_service.api.problems import Refused
from kyc_service.api.routes import Call, Route, bearer
from kyc_service.application.ports import StoreUnavailable
from kyc_service.domain.record import record
from kyc_service.messaging.publisher import Message
from kyc_service.messaging.translation import translate
from kyc_service.store.feed import Feed

PATH = "/v1/kyc/events"
BATCH = "application/cloudevents-batch+json"
STREAM = "text/event-stream"
END = "end"  # no cursor looks like it
USUAL_LIMIT, LARGEST_LIMIT = 100, 500
LOOKS = 20  # how many spans are read for one batch when the filter leaves little of them
PIECE = 100  # events that a stream reads at a time
HEARTBEAT = 15.0
RETRY = 2000  # milliseconds after which a browser connects again
OVERTIME = 30.0  # seconds that a client who does not read may hold on after its token has expired


@record
class Wanted:
    """What of the feed is asked for, and by whom."""

    tenant: str
    types: frozenset[EventType]
    key: bytes
    source: str

    def seal(self, position: int) -> str:
        """The cursor for what comes after *position*."""
        return cursors.seal_position(self.key, self._listing, position)

    def open_(self, cursor: str) -> int:
        """The position that *cursor* was made after."""
        return cursors.open_position(self.key, self._listing, cursor)

    @property
    def _listing(self) -> cursors.Listing:
        return cursors.Listing(tenant=self.tenant, filters=("events",))  # good for every type: a place is a place


@record
class Piece:
    """Some events of the feed, and where they end."""

    events: Sequence[Message]
    reached: int
    more: bool


async def feed(call: Call) -> Response:
    """A batch of events, or a stream of them that does not end."""
    offered = headers.preferred(call.request, BATCH, STREAM)
    if offered is None:
        raise Refused("not_acceptable")
    given = applications.parameters(call.request, {"after", "limit", "type"}, repeated={"type"})
    one = {name: values[0] for name, values in given.items()}
    limit = applications.limit(one, USUAL_LIMIT, LARGEST_LIMIT)
    wanted = Wanted(
        tenant=call.caller.tenant,
        types=frozenset(_type(value) for value in given.get("type", EventType)),
        key=call.app.signing_key,
        source=call.app.settings.event_source,
    )
    after = call.request.headers.get("last-event-id") or one.get("after")
    position = await call.app.feed.end() if after == END else wanted.open_(after) if after else 0
    if offered == STREAM:
        return _stream(call, wanted, position)
    return await _batch(call, wanted, position, limit)


def _type(value: str) -> EventType:
    if value not in set(EventType):
        raise applications.wrong("type", "This is none of the documented types.")
    return EventType(value)


async def _piece(feed: Feed, wanted: Wanted, after: int, limit: int) -> Piece:
    """Up to *limit* events of the types that are wanted; fewer, if there are too many others between them."""
    events: list[Message] = []
    for _ in range(LOOKS):
        span = await feed.read(wanted.tenant, after, limit - len(events))
        for one in span.publications:
            event = translate(one.recorded, one.facts, wanted.source)
            if event is not None and event.type in wanted.types:
                events.append(event)
        after = span.reached
        if not span.more or len(events) == limit:
            break
    return Piece(events=events, reached=after, more=span.more)


# ── batches ───────────────────────────────────────────────────────────────────────


async def _batch(call: Call, wanted: Wanted, position: int, limit: int) -> Response:
    """One batch; with `Prefer: wait`, as soon as there is something in it."""
    seconds, given = applications.patience(call.request)
    deadline = monotonic() + seconds
    piece = await _piece(call.app.feed, wanted, position, limit)
    while not piece.events and not call.app.feed.closed and (left := deadline - monotonic()) > 0:
        if not piece.more and not await call.app.feed.grown(wanted.tenant, piece.reached, left):
            break
        piece = await _piece(call.app.feed, wanted, piece.reached, limit)
    following = call.request.url.include_query_params(after=wanted.seal(piece.reached))
    link = {"Link": f'<{following.path}?{following.query}>; rel="next"'}
    body = b"[" + b",".join(event.body for event in piece.events) + b"]"
    return Response(body, headers={**link, **(given or {})}, media_type=BATCH)


# ── streams ───────────────────────────────────────────────────────────────────────


class EventStream(StreamingResponse):
    """An answer that goes on; it holds a place among the listeners until it ends, whatever ends it."""

    def __init__(self, content: AsyncIterator[bytes], feed: Feed, seconds: float) -> None:
        given = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, headers=given, media_type=STREAM)
        self._feed = feed
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and give up on a client who does not read long after the time is over."""
        with self._feed.listening():
            try:
                async with asyncio.timeout(self._seconds + OVERTIME):
                    await super().__call__(scope, receive, send)
            except TimeoutError as error:
                raise ClientDisconnect from error


def _stream(call: Call, wanted: Wanted, position: int) -> Response:
    if call.app.feed.full or call.app.feed.closed:
        raise Refused("feed_full")
    token = bearer(call.request.headers.get("authorization", ""))
    seconds = max(0.0, expires_at(token) - call.app.clock().timestamp())
    if call.request.method == "HEAD":
        seconds = 0.0  # nothing would be sent, so nobody would notice when the client has left
    return EventStream(_sent(call.app.feed, wanted, position, monotonic() + seconds), call.app.feed, seconds)


async def _sent(feed: Feed, wanted: Wanted, position: int, until: float) -> AsyncIterator[bytes]:
    """The events from *position* on, until the token expires; something at least every `HEARTBEAT` seconds."""
    yield f"retry: {RETRY}\n".encode() + _beat(wanted, position)
    sent_at = monotonic()
    while not feed.closed and monotonic() < until:
        try:
            piece = await _piece(feed, wanted, position, PIECE)
        except StoreUnavailable:
            return  # the client comes back by itself, to where it was
        position = piece.reached
        if piece.events:
            yield b"".join(_block(wanted, event) for event in piece.events)
            sent_at = monotonic()
        elif monotonic() >= sent_at + HEARTBEAT:
            yield _beat(wanted, position)
            sent_at = monotonic()
        if not piece.more:
            quiet = min(until, sent_at + HEARTBEAT) - monotonic()
            await feed.grown(wanted.tenant, position, max(0.0, quiet))


def _block(wanted: Wanted, event: Message) -> bytes:
    cursor = wanted.seal(event.position)
    return f"id: {cursor}\nevent: {event.type}\ndata: ".encode() + event.body + b"\n\n"


def _beat(wanted: Wanted, position: int) -> bytes:
    """No event, for there are no data; but the client knows from where to go on."""
    return f": alive\nid: {wanted.seal(position)}\n\n".encode()


# ── the table ─────────────────────────────────────────────────────────────────────

SHOWN: Sequence[Mapping[str, object]] = [event.model_dump(mode="json") for event in EVENTS[:2]]
ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=PATH,
        action="event.read",
        handler=feed,
        documented=Operation(
            name="readEvents",
            tag="events",
            summary="What happened, in order",
            description="The events of your tenant as they are published to the broker, free of personal data: a "
            "batch (CloudEvents 1.0), or with `Accept: text/event-stream` a stream of server-sent events, whose `id` "
            'is the cursor and whose `event` is the type. `Link` with `rel="next"` is there even when the batch is '
            "empty: follow it for ever, and nothing is missed and nothing comes twice. With `Prefer: wait=N` an empty "
            "batch is held back until there is something. A stream ends when its token expires.",
            parameters=("After", "FeedLimit", "EventType", "LastEventId", "Prefer"),
            successes={
                200: Success(
                    description="The next events; perhaps none.",
                    schema="EventBatch",
                    example=SHOWN,
                    media_type=BATCH,
                    raw=(STREAM,),
                    headers=("Link", "Preference-Applied"),
                )
            },
            problems=("cursor_invalid", "validation_failed", "not_acceptable", "feed_full"),
        ),
    ),
)

"""Downloads from a server on this machine that knows what real ones do: cut off, stall, redirect, lie."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from kyc_service.application.watchlists import VersionStatus
from kyc_service.screening.lists.download import DownloadFailed, Downloads, SyncInProgress
from kyc_service.screening.lists.library import Watchlists
from kyc_service.screening.lists.sources import SOURCES, Source, SourceUnknown, TokenMissing, source_of
from kyc_service.screening.lists.sync import sync
from kyc_service.store.watchlists import WatchlistRows

CONTENT = b"".join(b'{"id": "mine:%d", "names": [{"v": "Person Number %d"}]}\n' % (n, n) for n in range(5000))


class Site:
    """What the server has, and how it behaves: `behaviour` is used up answer by answer."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/list.jsonl": CONTENT}
        self.behaviour: list[str | int] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ranges = True
        self.url = ""

    def etag(self, path: str) -> str:
        return f'"{hashlib.sha256(self.files[path]).hexdigest()[:16]}"'


class Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        site = self.site
        path = self.path.partition("?")[0]
        site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        how = site.behaviour.pop(0) if site.behaviour else "serve"
        if isinstance(how, str) and how.startswith("http"):
            self.send_response(302)
            self.send_header("Location", how)
            self.end_headers()
            return
        if isinstance(how, int) and how < 1000:
            self.send_error(how)
            return
        if path not in site.files:
            self.send_error(404)
            return
        body, etag = site.files[path], site.etag(path)
        if self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.end_headers()
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and site.ranges and self.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        upto = start + how if isinstance(how, int) else len(body)
        self.wfile.write(body[start:upto])
        self.close_connection = True


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


Seen = list[tuple[str, int, int | None]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
async def downloads(tmp_path: Path, seen: Seen) -> Downloads:
    client = httpx2.AsyncClient()
    return Downloads(tmp_path / "folder", client, progress=lambda *told: seen.append(told), pause=0.001)


@pytest.fixture
def made(downloads: Downloads) -> Downloads:
    downloads.folder.mkdir()
    return downloads


def address(site: Site, path: str = "/list.jsonl") -> str:
    return f"{site.url}{path}"


async def test_a_file_is_fetched_once_and_then_only_when_it_changed(site: Site, made: Downloads) -> None:
    first = await made.fetch(address(site))
    assert (first.changed, first.path.read_bytes()) == (True, CONTENT)
    assert first.file.sha256 == hashlib.sha256(CONTENT).hexdigest()
    again = await made.fetch(address(site))
    assert (again.changed, again.file) == (False, first.file)
    assert site.asked[1][1]["if-none-match"] == site.etag("/list.jsonl")
    site.files["/list.jsonl"] = CONTENT + b"\n"
    changed = await made.fetch(address(site))
    assert (changed.changed, changed.path.read_bytes()) == (True, CONTENT + b"\n")


async def test_a_download_that_is_cut_off_goes_on_where_it_was(site: Site, made: Downloads, seen: Seen) -> None:
    site.behaviour = [100_000, 50_000, 1_000]
    fetched = await made.fetch(address(site))
    assert fetched.path.read_bytes() == CONTENT
    assert [headers.get("range") for _, headers in site.asked] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
        "bytes=151000-",
    ]
    assert seen[-1] == ("list.jsonl", len(CONTENT), len(CONTENT))
    assert [here for _, here, _ in seen] == sorted(here for _, here, _ in seen)
    assert not list(made.folder.glob("*.part*"))


async def test_a_download_goes_on_in_another_process(site: Site, made: Downloads, tmp_path: Path) -> None:
    site.behaviour = [100_000, *[503] * 6]
    with pytest.raises(DownloadFailed, match="the server answers 503"):
        await made.fetch(address(site))
    other = Downloads(made.folder, httpx2.AsyncClient(), pause=0.001)
    assert (await other.fetch(address(site))).path.read_bytes() == CONTENT
    assert site.asked[-1][1]["range"] == "bytes=100000-"


async def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(site: Site, made: Downloads) -> None:
    site.behaviour = [100_000, 503, 503, 503, 503, 503, 503]
    with pytest.raises(DownloadFailed):
        await made.fetch(address(site))
    site.files["/list.jsonl"] = CONTENT[::-1]
    assert (await made.fetch(address(site))).path.read_bytes() == CONTENT[::-1]


async def test_a_server_without_ranges_is_asked_from_the_beginning(site: Site, made: Downloads) -> None:
    site.ranges = False
    site.behaviour = [100_000]
    assert (await made.fetch(address(site))).path.read_bytes() == CONTENT


async def test_a_server_that_is_out_for_a_moment_is_asked_again(site: Site, made: Downloads) -> None:
    site.behaviour = [503, 429, 500]
    assert (await made.fetch(address(site))).path.read_bytes() == CONTENT
    assert len(site.asked) == 4


async def test_a_checksum_that_does_not_fit_leaves_the_file_of_before(site: Site, made: Downloads) -> None:
    await made.fetch(address(site), checksum=hashlib.sha1(CONTENT).hexdigest())  # noqa: S324
    site.files["/list.jsonl"] = b"something else"
    with pytest.raises(DownloadFailed, match="another checksum"):
        await made.fetch(address(site), checksum=hashlib.sha256(CONTENT).hexdigest())
    assert (made.folder / "list.jsonl").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refusal_is_told_at_once_and_without_the_token(site: Site, made: Downloads, status: int) -> None:
    site.behaviour = [status]
    with pytest.raises(DownloadFailed, match=f"the server answers {status}") as failed:
        await made.fetch(address(site, "/list.jsonl?token=s3cret"))
    assert "s3cret" not in str(failed.value)
    assert len(site.asked) == 1


async def test_a_server_that_is_not_there_is_told(made: Downloads, unused_tcp_port: int) -> None:
    with pytest.raises(DownloadFailed, match="could not be downloaded"):
        await made.fetch(f"http://127.0.0.1:{unused_tcp_port}/list.jsonl")


async def test_only_this_machine_is_asked_without_tls(site: Site, made: Downloads) -> None:
    with pytest.raises(DownloadFailed, match="is not HTTPS"):
        await made.fetch("http://lists.example/list.jsonl")
    site.behaviour = ["http://lists.example/list.jsonl"]
    with pytest.raises(DownloadFailed, match=r"lists\.example/list\.jsonl is not HTTPS"):
        await made.fetch(address(site))


async def test_redirections_are_followed_but_not_without_end(site: Site, made: Downloads) -> None:
    site.behaviour = [f"{site.url}/list.jsonl"]
    assert (await made.fetch(address(site, "/old.jsonl"))).path.read_bytes() == CONTENT
    site.behaviour = [f"{site.url}/list.jsonl"] * 9
    with pytest.raises(DownloadFailed, match="without end"):
        await made.fetch(address(site, "/older.jsonl"))


async def test_two_processes_do_not_bring_the_same_list(made: Downloads) -> None:
    with made.alone(), pytest.raises(SyncInProgress), Downloads(made.folder, httpx2.AsyncClient()).alone():
        pass


# ── sync ──────────────────────────────────────────────────────────────────────────


def mine(site: Site, *paths: str) -> Source:
    files = tuple(address(site, path) for path in paths or ("/list.jsonl",))
    return Source(name="mine", title="", publisher="", licence="", files=files)


async def test_a_sync_puts_a_list_in_force_and_keeps_it_fresh(
    site: Site, downloads: Downloads, shelf: WatchlistRows, library: Watchlists, now: datetime
) -> None:
    first = await sync(shelf, mine(site), downloads, now)
    assert (first.new, first.version.status, first.version.entries) == (True, VersionStatus.ACTIVE, 5000)
    later = now + timedelta(days=1)
    again = await sync(shelf, mine(site), downloads, later)
    assert (again.new, again.version) == (False, first.version)
    assert (await library.in_force()).lists[0].confirmed_at == later


@pytest.mark.parametrize("body", [b"", b"<html>moved</html>", CONTENT[:100_000]])
async def test_a_bad_download_changes_nothing_and_the_list_goes_on_ageing(
    site: Site, downloads: Downloads, shelf: WatchlistRows, library: Watchlists, now: datetime, body: bytes
) -> None:
    await sync(shelf, mine(site), downloads, now)
    before = await library.in_force()
    site.files["/list.jsonl"] = body
    for day in (1, 2):  # on the second day the server says that nothing changed
        outcome = await sync(shelf, mine(site), downloads, now + timedelta(days=day))
        assert outcome.version.status in (VersionStatus.QUARANTINED, VersionStatus.REFUSED)
        assert outcome.version.number == 2
    assert await library.in_force() == before
    assert before.lists[0].age(now + timedelta(days=2)) == timedelta(days=2)
    site.files["/list.jsonl"] = CONTENT
    healed = await sync(shelf, mine(site), downloads, now + timedelta(days=3))
    assert healed.version.number == 1
    assert (await library.in_force()).lists[0].confirmed_at == now + timedelta(days=3)


async def test_a_download_that_fails_changes_nothing(
    site: Site, downloads: Downloads, shelf: WatchlistRows, library: Watchlists, now: datetime
) -> None:
    await sync(shelf, mine(site), downloads, now)
    before = await library.in_force()
    site.behaviour = [404]
    with pytest.raises(DownloadFailed):
        await sync(shelf, mine(site), downloads, now)
    assert await library.in_force() == before


# ── OpenSanctions ─────────────────────────────────────────────────────────────────

Publish = Callable[..., None]


def person(number: int, name: str) -> dict[str, object]:
    properties = {"name": [name], "topics": ["sanction"]}
    return {"id": f"NK-{number}", "caption": name, "schema": "Person", "properties": properties, "target": True}


PEOPLE = [person(number, f"Person Number {number}") for number in range(100)]


@pytest.fixture
def publish(site: Site) -> Publish:
    """Publishes a version of the entities as OpenSanctions does: whole, and as a delta."""

    def publish(version: str, people: Sequence[dict[str, object]], chain: dict[str, list[dict[str, object]]]) -> None:
        whole = "".join(f"{json.dumps(one)}\n" for one in people).encode()
        site.files["/entities.ftm.json"] = whole
        for name, operations in chain.items():
            site.files[f"/{name}.json"] = "".join(f"{json.dumps(one)}\n" for one in operations).encode()
        versions = {name: f"{site.url}/{name}.json" for name in chain}
        site.files["/delta.json"] = json.dumps({"versions": versions}).encode()
        resource = {
            "name": "entities.ftm.json",
            "url": f"{site.url}/entities.ftm.json",
            "checksum": hashlib.sha1(whole).hexdigest(),  # noqa: S324
        }
        index = {"name": "peps", "version": version, "resources": [resource], "delta_url": f"{site.url}/delta.json"}
        site.files["/index.json"] = json.dumps(index).encode()

    return publish


def opensanctions(site: Site) -> Source:
    return Source(name="mine", title="", publisher="", licence="", index=f"{site.url}/index.json")


async def test_opensanctions_is_followed_by_its_deltas(
    site: Site, publish: Publish, downloads: Downloads, shelf: WatchlistRows, library: Watchlists, now: datetime
) -> None:
    publish("20240527-aaa", PEOPLE, {"20240527-aaa": []})
    first = await sync(shelf, opensanctions(site), downloads, now)
    assert first.version.added == 100
    chain = {
        "20240527-aaa": [],
        "20240528-bbb": [{"op": "MOD", "entity": person(1, "Another Name")}],
        "20240529-ccc": [{"op": "DEL", "entity": {"id": "NK-2"}}, {"op": "ADD", "entity": person(200, "New Comer")}],
    }
    now_published = [PEOPLE[0], person(1, "Another Name"), *PEOPLE[3:], person(200, "New Comer")]
    publish("20240529-ccc", now_published, chain)
    site.asked.clear()
    second = await sync(shelf, opensanctions(site), downloads, now)
    assert (second.version.added, second.version.changed, second.version.removed) == (1, 1, 1)
    assert "/entities.ftm.json" not in [path for path, _ in site.asked]
    names = {entry.names[0].value for entry in await library.entries(await library.in_force())}
    assert names == {str(one["caption"]) for one in now_published}


async def test_a_chain_that_does_not_fit_is_left_for_the_whole_file(
    site: Site, publish: Publish, downloads: Downloads, shelf: WatchlistRows, now: datetime
) -> None:
    publish("20240527-aaa", PEOPLE, {"20240527-aaa": []})
    await sync(shelf, opensanctions(site), downloads, now)
    broken = {"20240527-aaa": [], "20240528-bbb": [{"op": "DEL", "entity": {"id": "NK-999"}}]}
    publish("20240528-bbb", PEOPLE[:99], broken)
    site.asked.clear()
    outcome = await sync(shelf, opensanctions(site), downloads, now)
    assert (outcome.version.entries, outcome.version.removed) == (99, 1)
    assert "/entities.ftm.json" in [path for path, _ in site.asked]


async def test_a_base_that_is_older_than_the_chain_is_left_for_the_whole_file(
    site: Site, publish: Publish, downloads: Downloads, shelf: WatchlistRows, now: datetime
) -> None:
    publish("20240527-aaa", PEOPLE, {"20240527-aaa": []})
    await sync(shelf, opensanctions(site), downloads, now)
    publish("20240629-zzz", PEOPLE[:99], {"20240628-yyy": [], "20240629-zzz": []})
    outcome = await sync(shelf, opensanctions(site), downloads, now)
    assert (outcome.version.entries, outcome.version.removed) == (99, 1)


# ── sources ───────────────────────────────────────────────────────────────────────


def test_every_official_list_is_behind_tls_and_says_its_licence() -> None:
    for source in SOURCES.values():
        assert all(url.startswith("https://") for url in (*source.files, *([source.index] if source.index else [])))
        assert bool(source.files) is not bool(source.index)
        assert source.licence
        assert source.at_least > 1


def test_a_list_of_ones_own_has_an_address() -> None:
    assert source_of("mine=https://lists.example/mine.jsonl").files == ("https://lists.example/mine.jsonl",)
    with pytest.raises(SourceUnknown, match="no list 'mine'"):
        source_of("mine")


def test_the_union_wants_a_token() -> None:
    with pytest.raises(TokenMissing):
        source_of("eu_fsf")
    (url,) = source_of("eu_fsf", "s3cret").files
    assert url.endswith("?token=s3cret")

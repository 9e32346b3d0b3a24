"""Downloads from servers on this machine that behave as the publishers' own do: signed addresses, tokens, packing."""

import gzip
import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from kyc_service.application.watchlists import VersionStatus
from kyc_service.screening.lists.download import DownloadFailed, Downloads, _asked_to_wait
from kyc_service.screening.lists.sources import Source
from kyc_service.screening.lists.sync import sync
from kyc_service.store.watchlists import WatchlistRows

SDN = (
    b"".join(
        b'%d,"SIDOROV, Ivan %d","individual","RUSSIA-EO14024",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"DOB 12 Apr 1961."\r\n'
        % (n, n)
        for n in range(1, 4000)
    )
    + b"\x1a\r\n"
)
ETAG = f'"{hashlib.md5(SDN).hexdigest()}"'  # noqa: S324 - as S3 makes them
FSF = (
    "fileGenerationDate;Entity_LogicalId;Entity_EU_ReferenceNumber;Entity_SubjectType_ClassificationCode;"
    "NameAlias_LastName;NameAlias_FirstName;NameAlias_WholeName\r\n"
)
TOKEN = "t0ken-of-the-union"


class Publishers:
    """What the servers know, and what they were asked: paths, and headers by their small names."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.signature = 0
        self.expired = 0  # answers of the store that its signature has expired
        self.cut: list[int] = []  # after so many bytes the connection ends, answer by answer
        self.generated = "26/02/2026"
        self.packing = "gzip"


class Handler(BaseHTTPRequestHandler):
    publishers: Publishers
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        there = urlsplit(self.path)
        self.publishers.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.close_connection = True
        match there.path.split("/")[1]:
            case "exports":  # OFAC's service: a signed address of a store elsewhere, another one each time
                self.publishers.signature += 1
                elsewhere = self.publishers.url.replace("127.0.0.1", "localhost")
                signed = f"{elsewhere}/bucket/SDN.CSV?X-Amz-Expires=60&X-Amz-Signature={self.publishers.signature}"
                self.answer(302, {"Location": signed})
            case "bucket":
                self.store(parse_qs(there.query))
            case "fsf":
                self.union(parse_qs(there.query))
            case "resources":  # the United Nations: moved for ever, to a place on the same server
                self.answer(301, {"Location": "../packed/consolidated"})
            case "packed":
                self.packed()

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.publishers.cut.pop(0) if self.publishers.cut and body else len(body)])

    def store(self, query: dict[str, list[str]]) -> None:
        """S3: for the latest signature alone; parts, and nothing for who has it."""
        if self.publishers.expired or query["X-Amz-Signature"] != [str(self.publishers.signature)]:
            self.publishers.expired = max(self.publishers.expired - 1, 0)
            self.answer(403, {}, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        elif self.headers.get("If-None-Match") == ETAG:
            self.answer(304, {"ETag": ETAG})
        elif self.headers.get("If-Range") == ETAG:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            part = {"ETag": ETAG, "Content-Range": f"bytes {start}-{len(SDN) - 1}/{len(SDN)}"}
            self.answer(206, part, SDN[start:])
        else:
            self.answer(200, {"ETag": ETAG, "Accept-Ranges": "bytes"}, SDN)

    def union(self, query: dict[str, list[str]]) -> None:
        """The EU: by token only, made anew for everybody, its length and its version unsaid."""
        if query.get("token") != [TOKEN]:
            self.answer(403, {}, b"<html>Forbidden</html>")
            return
        row = "{};{};EU.{};P;Sidorov;Ivan {};Ivan {} Sidorov\r\n"
        rows = (row.format(self.publishers.generated, n, n, n, n) for n in range(1000))
        body = b"\xef\xbb\xbf" + (FSF + "".join(rows)).encode()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        upto = self.publishers.cut.pop(0) if self.publishers.cut else None
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body[:upto]))
        if upto is None:
            self.wfile.write(b"0\r\n\r\n")

    def packed(self) -> None:
        """A network of caches that packs whatever passes, and says of its versions only that they are alike."""
        if self.headers.get("If-None-Match") == 'W/"1"':
            self.answer(304, {})
        else:
            body = gzip.compress(SDN)[: None if self.publishers.packing == "gzip" else 1000]
            self.answer(200, {"ETag": 'W/"1"', "Content-Encoding": self.publishers.packing.partition(" ")[0]}, body)


@pytest.fixture
def publishers() -> Iterator[Publishers]:
    publishers = Publishers()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"publishers": publishers}))
    publishers.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield publishers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Downloads(folder, httpx2.AsyncClient(), pause=0.001)


async def test_ofac_sends_to_a_signed_address_that_is_another_one_each_time(
    publishers: Publishers, downloads: Downloads
) -> None:
    publishers.cut = [100_000]
    first = await downloads.fetch(f"{publishers.url}/exports/SDN.CSV")
    assert (first.path.name, first.path.read_bytes(), first.file.etag) == ("SDN.CSV", SDN, ETAG)
    assert publishers.signature == 2
    assert publishers.asked[-1][1]["range"] == "bytes=100000-"
    again = await downloads.fetch(f"{publishers.url}/exports/SDN.CSV")
    assert (again.changed, publishers.signature) == (False, 3)
    assert all(headers["user-agent"].startswith("crowdpay-kyc") for _, headers in publishers.asked)


async def test_a_signed_address_that_expired_is_asked_for_once_more(
    publishers: Publishers, downloads: Downloads
) -> None:
    publishers.expired = 2
    assert (await downloads.fetch(f"{publishers.url}/exports/SDN.CSV")).path.read_bytes() == SDN
    assert publishers.signature == 3
    publishers.expired = 99
    with pytest.raises(DownloadFailed, match="the server answers 403") as failed:
        await downloads.fetch(f"{publishers.url}/exports/SDN.CSV")
    assert "Signature" not in str(failed.value)


async def test_the_union_makes_its_file_anew_for_everybody_and_it_is_the_same_version(
    publishers: Publishers, downloads: Downloads, shelf: WatchlistRows, now: datetime
) -> None:
    url = f"{publishers.url}/fsf/public/files/csvFullSanctionsList_1_1/content?token={TOKEN}"
    source = Source(name="eu", title="", publisher="", licence="", files=(url,))
    publishers.cut = [50_000]  # without a version there is nothing to go on with: from the beginning
    first = await sync(shelf, source, downloads, now)
    assert (first.version.status, first.version.entries) == (VersionStatus.ACTIVE, 1000)
    assert [headers.get("range") for _, headers in publishers.asked] == [None, None]
    publishers.generated = "27/02/2026"
    again = await sync(shelf, source, downloads, now + timedelta(days=1))
    assert (again.new, again.version) == (False, first.version)
    assert [one.name for one in first.version.files] == ["eu.csv"]
    assert not any(TOKEN in path.read_text(errors="replace") for path in downloads.folder.iterdir())


async def test_a_wrong_token_is_told_at_once_and_not_repeated(publishers: Publishers, downloads: Downloads) -> None:
    with pytest.raises(DownloadFailed, match="the server answers 403") as failed:
        await downloads.fetch(f"{publishers.url}/fsf/content?token=wrong", "eu.csv")
    assert "wrong" not in str(failed.value)
    assert len(publishers.asked) == 1


async def test_what_a_server_packs_unasked_is_unpacked(publishers: Publishers, downloads: Downloads) -> None:
    url = f"{publishers.url}/resources/consolidated"
    first = await downloads.fetch(url, checksum=hashlib.sha1(SDN).hexdigest())  # noqa: S324
    assert (first.path.read_bytes(), first.file.sha256) == (SDN, hashlib.sha256(SDN).hexdigest())
    assert publishers.asked[-1][0] == "/packed/consolidated"
    assert publishers.asked[-1][1]["accept-encoding"] == "identity"
    assert not (await downloads.fetch(url)).changed
    assert sorted(path.name for path in downloads.folder.iterdir()) == ["consolidated", "consolidated.json"]


@pytest.mark.parametrize(
    ("packing", "why"), [("gzip broken", "cannot be unpacked"), ("br", "comes packed as br, which nobody asked for")]
)
async def test_what_cannot_be_unpacked_leaves_the_file_of_before(
    publishers: Publishers, downloads: Downloads, packing: str, why: str
) -> None:
    await downloads.fetch(f"{publishers.url}/exports/SDN.CSV", "consolidated")
    publishers.packing = packing
    with pytest.raises(DownloadFailed, match=why):
        await downloads.fetch(f"{publishers.url}/packed/consolidated")
    assert (downloads.folder / "consolidated").read_bytes() == SDN
    assert not list(downloads.folder.glob("*.unpacked"))


@pytest.mark.parametrize(("asked", "wait"), [("7", 7), ("9999", 60), ("Fri, 27 Feb 2026 09:00:00 GMT", 0), ("-1", 0)])
def test_a_server_that_asks_for_patience_gets_some(asked: str, wait: float) -> None:
    assert _asked_to_wait(httpx2.Response(503, headers={"Retry-After": asked})) == wait


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.1/admin", "is not HTTPS"),
        ("https://lists.example:moved/", "is redirected to what is no address"),
    ],
)
async def test_no_publisher_sends_us_to_this_machine_or_nowhere(tmp_path: Path, location: str, why: str) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(302, headers={"Location": location}))
    with pytest.raises(DownloadFailed, match=why):
        await Downloads(tmp_path, httpx2.AsyncClient(transport=transport)).fetch("https://lists.example/list.csv")

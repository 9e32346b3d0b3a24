"""Known personal data goes in, and is found nowhere but in the answers to those who may read it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

pytest.importorskip("cv2", reason="the engine extra is not installed")

from datetime import date

from kyc_service.documents.specimen import draw, traveller
from kyc_service.settings import Settings
from kyc_service.store.embedded import discard, join
from tests.messaging.nodes import free_port

CANARIES = {
    "surname": "Quetzalcoatlus",
    "given": "Xenophilius",
    "email": "xenophilius.quetzalcoatlus@canary.example",
    "street": "Zyzzyva Lane 4711",
    "number": "QX7KANARY",
    "note": "the neighbour's parrot vouches for him",
    "subject": "hippolyta.reviewer@canary.example",
    "client": "thaddeus.backend@canary.example",
}
BIRTH = date(1911, 11, 11)


def traces(folder: Path, needles: list[bytes]) -> list[tuple[str, bytes]]:
    """Where any needle stands in any file below *folder*."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [
                (str(path.relative_to(folder)), needle) for needle in needles if needle.lower() in content.lower()
            ]
    return found


def cluster_folder(control: Path) -> Path:
    """Where the embedded server keeps its files: root's is somebody else's, and `cluster` then points there."""
    link = control / "cluster"
    return link.resolve() if link.is_symlink() else control


def needles() -> list[bytes]:
    """Every canary in the encodings that a database or a log would use."""
    texts = [*CANARIES.values(), "QUETZALCOATLUS", "XENOPHILIUS", "1911-11-11", "111111"]
    return [text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le")]


@pytest.fixture
def home() -> Iterator[Path]:
    """A state folder of the story's own, with an embedded server whose files can be read."""
    import shutil
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="kyc-canary-"))
    yield home
    discard(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.timeout(240)
async def test_personal_data_stays_where_it_belongs(start: Callable[..., object], tmp_path: Path, home: Path) -> None:
    from datetime import timedelta

    from kyc_service.access.development import DevelopmentIssuer

    with join(home) as server:
        settings = Settings(_env_file=None, state_dir=home)
        metrics = free_port()
        service = start(
            "serve",
            serving=True,
            KYC_DB_DSN=server.dsn,
            KYC_STATE_DIR=str(home),
            KYC_SANDBOX_TENANTS="sandbox,other",
            KYC_METRICS_PORT=str(metrics),
        )
        issuer = DevelopmentIssuer(settings)

        def bearer(*roles: str, tenant: str = "sandbox") -> dict[str, str]:
            token = issuer.issue(tenant, roles, CANARIES["subject"], CANARIES["client"], timedelta(hours=1))
            return {"Authorization": f"Bearer {token}"}

        ours = bearer("submitter", "reader", "reviewer")
        theirs = bearer("submitter", "reader", "reviewer", "auditor", tenant="other")
        answers_to_others: list[httpx2.Response] = []
        async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
            picture = draw(
                traveller(
                    surname=CANARIES["surname"],
                    given_names=CANARIES["given"],
                    number=CANARIES["number"],
                    birth=BIRTH,
                    issuer="NLD",
                )
            )
            uploaded = await http.post("/v1/kyc/files", content=picture, headers={**ours, "Content-Type": "image/jpeg"})
            assert uploaded.status_code == 201, uploaded.text
            body = {
                "user_id": str(uuid4()),
                "email": CANARIES["email"],
                "documents": [{"doc_type": "PASSPORT", "file_id": uploaded.json()["id"], "issued_country": "NL"}],
                "applicant": {
                    "given_names": "Somebody",
                    "family_name": CANARIES["surname"],
                    "birth_date": BIRTH.isoformat(),
                    "address": {
                        "lines": [CANARIES["street"]],
                        "city": "Delft",
                        "postal_code": "2611",
                        "country": "NL",
                    },
                },
            }
            key = {"Idempotency-Key": "canary-1"}
            submitted = await http.post("/v1/kyc/applications", json=body, headers={**ours, **key})
            assert submitted.status_code == 201, submitted.text
            again = await http.post("/v1/kyc/applications", json=body, headers={**ours, **key})
            assert again.json() == submitted.json()
            application = f"/v1/kyc/applications/{submitted.json()['id']}"
            async with asyncio.timeout(60):
                while (await http.get(application, headers=ours)).json().get("awaiting") != "review":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            detailed = await http.get(f"{application}/history?details=true", headers=ours)
            assert CANARIES["surname"].upper() in detailed.text, "the reviewer must be able to see what was read"
            search = await http.post("/v1/kyc/applications:search", json={"email": CANARIES["email"]}, headers=ours)
            assert [found["id"] for found in search.json()["data"]] == [submitted.json()["id"]]
            reviewed = await http.post(
                f"{application}/review",
                json={"decision": "approve", "reason": "CASE_REVIEW_APPROVED", "note": CANARIES["note"]},
                headers=ours,
            )
            assert reviewed.status_code == 200, reviewed.text
            told = (await http.get(f"{application}/history", headers=ours)).json()["data"]
            assert told[0]["actor"] == CANARIES["subject"], "everybody may read their own name"

            wrong = {**body, "email": f"{CANARIES['email']} x", "applicant": {"family_name": ["Quetzalcoatlus"]}}
            answers_to_others += [
                await http.post("/v1/kyc/applications", json=wrong, headers=ours),  # a problem echoes nothing
                await http.post(
                    "/v1/kyc/applications", json={**body, "email": "a@example.com"}, headers={**ours, **key}
                ),
                await http.get(application, headers=theirs),
                await http.get(f"{application}/history", headers=theirs),
                await http.get("/v1/kyc/applications", headers=theirs),
                await http.post("/v1/kyc/applications:search", json={"email": CANARIES["email"]}, headers=theirs),
                await http.get(f"/v1/kyc/files/{uploaded.json()['id']}", headers=theirs),
                await http.patch(application, json={"email": CANARIES["email"]}, headers=theirs),
            ]
            figures = await http.get(f"http://127.0.0.1:{metrics}/metrics")
            assert 'kyc_engine_analyses_total{outcome="read"} 1.0' in figures.text
            assert 'kyc_decisions_total{evidence="sandbox",outcome="verified"} 1.0' in figures.text
            answers_to_others.append(figures)
        service.stop()
        data_folder = cluster_folder(home / "pg") / "data"

    async with asyncio.timeout(60):  # the server ends when nobody is left, and has then written everything
        while (data_folder / "postmaster.pid").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    looked_for = needles()
    for answer in answers_to_others:
        for needle in looked_for:
            assert needle.lower() not in answer.content.lower(), (answer.request.url.path, needle)
    assert (data_folder / "pg_wal").is_dir()
    assert traces(data_folder, looked_for) == []
    assert traces(home, looked_for) == []
    logs = tmp_path.glob("*.log")
    assert [trace for log in logs for trace in traces(log.parent, looked_for)] == []
    assert list((home / "blobs").rglob("*")), "the document must have been stored"

"""What `kyc documents` tells: pictures read in the engine's own processes, and told to a person or a machine."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from kyc_service.cli.faults import Failure
from kyc_service.documents.checks import Declared, examine, fields
from kyc_service.documents.likeness import FaceLikeness, compare
from kyc_service.documents.mrz import Format, MalformedZone, Particulars
from kyc_service.documents.pool import EnginePool
from kyc_service.documents.readings import Face, Reading
from kyc_service.domain import media
from kyc_service.domain.findings import Field, Finding
from kyc_service.domain.record import record

CODES = {Format.TD3: "P", Format.MRVA: "V", Format.MRVB: "V"}
TIMEOUT = 60.0  # seconds for a picture; an operator's machine may be busy


@record
class Report:
    """One picture, read and judged."""

    file: str
    reading: Reading
    fields: tuple[Field, ...]
    findings: tuple[Finding, ...]
    seconds: float

    def shown(self) -> Mapping[str, Any]:
        """The report as JSON shows it."""
        zone = self.reading.zone
        return {
            "file": self.file,
            "mrz": list(zone.zone.lines) if zone else [],
            "mrz_valid": bool(zone and zone.holds),
            "repaired": bool(zone and zone.repaired),
            "alternatives": zone.alternatives if zone else 0,
            "fields": {
                one.name: {name: value for name, value in asdict(one).items() if name != "name"} for one in self.fields
            },
            "checks": [asdict(finding) for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }


async def read_all(pictures: Sequence[Path]) -> list[Report]:
    """A report for each of *pictures*, in their order; all cores work."""
    workers = min(len(pictures), os.cpu_count() or 1)
    async with EnginePool(workers=workers, timeout=TIMEOUT, waiting=len(pictures)) as pool:
        return list(await asyncio.gather(*(_report(pool, picture) for picture in pictures)))


async def _report(pool: EnginePool, picture: Path) -> Report:
    began = time.perf_counter()
    content = await asyncio.to_thread(picture.read_bytes)
    reading = await pool.read(content, media_type_of(content))
    today = datetime.now(UTC).date()
    return Report(
        file=str(picture),
        reading=reading,
        fields=fields(reading, today),
        findings=examine(reading, Declared(), None, today),
        seconds=sum(one.wall for one in reading.seconds) or time.perf_counter() - began,
    )


def media_type_of(content: bytes) -> str:
    """The media type that the first bytes tell; the engine refuses what it does not know."""
    return media.recognised(content[: media.HEAD]) or "application/octet-stream"


def spoken(report: Report) -> str:
    """The report for a person's eyes."""
    reading = report.reading
    lines = [f"{report.file}  ({report.seconds:.2f} s)"]
    if reading.zone:
        lines += [f"    {line}" for line in reading.zone.zone.lines]
    lines += [
        f"    {one.name:<16} {one.value}{'  (repaired)' if one.repaired else ''}  [{one.source}, {one.confidence:.2f}]"
        for one in report.fields
    ]
    lines += [
        f"    {finding.outcome:<13} {finding.id} {' '.join(finding.reasons)}".rstrip() for finding in report.findings
    ]
    return "\n".join(lines)


async def compared(one: Path, other: Path) -> FaceLikeness:
    """How alike the largest faces of two pictures are.

    Raises:
        Failure: a picture shows no face, or is none.
    """
    async with EnginePool(workers=2, timeout=TIMEOUT) as pool:
        faces = await asyncio.gather(*(_largest_face(pool, picture) for picture in (one, other)))
    return compare(faces[0].description, faces[1].description)


async def _largest_face(pool: EnginePool, picture: Path) -> Face:
    content = await asyncio.to_thread(picture.read_bytes)
    reading = await pool.read(content, media_type_of(content), describe_faces=True)
    if not reading.faces:
        raise Failure(f"{picture}: {'no picture' if reading.refused else 'no face was found'}")
    return reading.faces[0]


def overlaid(picture: Path, reading: Reading) -> bytes:
    """The picture with everything drawn on it that was found, as a PNG file."""
    from kyc_service.documents.overlay import draw_on

    content = picture.read_bytes()
    return draw_on(content, media_type_of(content), reading)


def drawn(kind: str, particulars: Mapping[str, Any]) -> bytes:
    """A specimen of a format.

    Raises:
        Failure: no such format, or the particulars do not fit it.
    """
    from kyc_service.documents.specimen import draw

    if kind.upper() not in Format.__members__:
        raise Failure(f"no format {kind}: one of {', '.join(Format)}")
    chosen = Format[kind.upper()]
    try:
        return draw(_person(CODES.get(chosen, "I"), particulars), chosen)
    except MalformedZone as error:
        raise Failure(str(error)) from error


def _person(code: str, given: Mapping[str, Any]) -> Particulars:
    birth, expiry = (_day(given[name]) for name in ("birth", "expiry"))
    return Particulars(
        code=code,
        issuer=given["country"],
        number=given["number"],
        surname=given["surname"],
        given_names=given["given_names"],
        nationality=given["country"],
        birth=birth,
        sex=given["sex"],
        expiry=expiry,
    )


def _day(moment: datetime) -> date:
    return moment.date()

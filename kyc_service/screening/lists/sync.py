"""Brings the lists up to date: download what changed, and put it in force if it can be believed."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kyc_service.application.watchlists import Binder, SourceFile
from kyc_service.screening.lists import opensanctions_ftm
from kyc_service.screening.lists.download import DownloadFailed, Downloads, Fetched
from kyc_service.screening.lists.reading import ListUnreadable, Problems
from kyc_service.screening.lists.sources import Source
from kyc_service.screening.lists.staging import Outcome, bring, describe

ENTITIES = "entities.ftm.json"


async def sync(binder: Binder, source: Source, downloads: Downloads, now: datetime) -> Outcome:
    """Fetch the files of a *source* and bring them in. When nothing changed, the version in force is as fresh as now.

    Raises:
        DownloadFailed: a file could not be had; nothing changes, and the version in force keeps ageing.
        SyncInProgress: another process brings the same list at the moment.
        VersionRefused: other versions of the list kept coming in force.
    """
    with downloads.alone():
        if source.index:
            files = [await follow_index(source.index, downloads)]
        else:
            fetched = [await downloads.fetch(url, name) for name, url in source.named_files()]
            files = [(one.path, one.file) for one in fetched]
        return await bring(binder, source.name, files, now, at_least=source.at_least)


async def follow_index(url: str, downloads: Downloads) -> tuple[Path, SourceFile]:
    """OpenSanctions' entities, as their index says: by the chain of deltas if there is one, else whole.

    Raises:
        DownloadFailed: the index or the file could not be had.
    """
    index = _json(await downloads.fetch(url, "index.json"))
    version = str(index.get("version") or index.get("last_export") or "")
    base, mark = downloads.folder / ENTITIES, downloads.folder / "version"
    have = mark.read_text(encoding="utf-8") if mark.exists() and base.exists() else None
    if have is None or have != version:
        if have is None or not await _by_deltas(index, have, version, downloads):
            mark.unlink(missing_ok=True)
            resource = _resource(index, url)
            await downloads.fetch(resource["url"], ENTITIES, checksum=resource.get("checksum"))
        mark.write_text(version, encoding="utf-8")
    return base, describe(base)


async def _by_deltas(index: Mapping[str, Any], have: str, version: str, downloads: Downloads) -> bool:
    """Whether the chain of deltas led from the version that we have to the one that there is."""
    if not index.get("delta_url"):
        return False
    chain: Mapping[str, str] = _json(await downloads.fetch(index["delta_url"], "delta.json")).get("versions") or {}
    missing = sorted(one for one in chain if have < one <= version)  # versions begin with their time
    if have not in chain or not missing or missing[-1] != version:
        return False
    paths = [(await downloads.fetch(chain[one], f"delta-{one}.json")).path for one in missing]
    new = downloads.folder / f"{ENTITIES}.new"
    try:
        opensanctions_ftm.follow(downloads.folder / ENTITIES, paths, new, Problems())
    except ListUnreadable:  # the whole file is the way out
        new.unlink(missing_ok=True)
        return False
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    (downloads.folder / f"{ENTITIES}.json").unlink(missing_ok=True)  # it is no longer what was downloaded
    new.replace(downloads.folder / ENTITIES)
    return True


def _resource(index: Mapping[str, Any], url: str) -> Mapping[str, str]:
    found: Sequence[Mapping[str, str]] = index.get("resources") or ()
    for resource in found:
        if resource.get("name") == ENTITIES and resource.get("url"):
            return resource
    raise DownloadFailed(f"The index names no {ENTITIES}: {url.partition('?')[0]}.")


def _json(fetched: Fetched) -> Mapping[str, Any]:
    try:
        told = json.loads(fetched.path.read_text(encoding="utf-8"))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise DownloadFailed(f"{fetched.path.name} is no JSON object.")
    return told

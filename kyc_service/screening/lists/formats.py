"""Every format that can be read, and how a file is recognised by what stands in it, whatever it is called."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kyc_service.domain.record import record
from kyc_service.screening.lists import (
    eu_csv,
    eu_xml,
    ofac_advanced,
    ofac_csv,
    ofac_xml,
    ofsi_csv,
    opensanctions_csv,
    opensanctions_ftm,
    plain_jsonl,
    uk_csv,
    un_xml,
)
from kyc_service.screening.lists.reading import Files, ListUnreadable, Parse, opened

HEAD = 1 << 16  # bytes that are looked at
ROOT = re.compile(r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*)*<(?:[\w.-]+:)?(?P<name>[\w.-]+)", re.DOTALL)
HTML = ("<!doctype html", "<html", "<head", "<script", "<body")


@record
class Head:
    """The beginning of a file."""

    text: str

    @property
    def first(self) -> str:
        """The first line that is not empty."""
        return next((line for line in self.text.splitlines() if line.strip()), "")

    def columns(self, delimiter: str = ",") -> Sequence[str]:
        """The cells of the first row."""
        return next(csv.reader(self.text.splitlines(), delimiter=delimiter), [])

    def has_columns(self, wanted: Sequence[str], delimiter: str = ",") -> bool:
        """Whether one of the first rows is a header with these names in it."""
        read = csv.reader(self.text.splitlines()[:10], delimiter=delimiter)
        return any({*wanted} <= {cell.strip() for cell in row} for row in read)

    @property
    def root(self) -> str:
        """The name of the outermost element of an XML file; empty when it is none."""
        found = ROOT.match(self.text)
        return found["name"] if found else ""

    def json(self) -> Mapping[str, object]:
        """The object on the first line; empty when there is none."""
        try:
            found = json.loads(self.first)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@record
class Format:
    """A way to write a list. `role` says what a file is within it, and None when it is not of this format."""

    name: str
    title: str
    parse: Parse
    role: Callable[[Head], str | None]


def _ofac_csv(head: Head) -> str | None:
    columns = head.columns()
    return ofac_csv.COLUMNS.get(len(columns)) if columns and columns[0].isdigit() else None


def _columns(wanted: Sequence[str], delimiter: str = ",") -> Callable[[Head], str | None]:
    return lambda head: "main" if head.has_columns(wanted, delimiter) else None


def _root(name: str) -> Callable[[Head], str | None]:
    return lambda head: "main" if head.root == name else None


def _keys(*wanted: str) -> Callable[[Head], str | None]:
    return lambda head: "main" if {*wanted} <= head.json().keys() else None


FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(name="ofac-csv", title="OFAC CSV, SDN and non-SDN", parse=ofac_csv.parse, role=_ofac_csv),
        Format(name="ofac-xml", title="OFAC sdn.xml, consolidated.xml", parse=ofac_xml.parse, role=_root("sdnList")),
        Format(name="ofac-advanced", title="OFAC advanced XML", parse=ofac_advanced.parse, role=_root("Sanctions")),
        Format(name="un-xml", title="UN Security Council XML", parse=un_xml.parse, role=_root("CONSOLIDATED_LIST")),
        Format(name="eu-csv", title="EU FSF CSV 1.1", parse=eu_csv.parse, role=_columns(eu_csv.NEEDED, ";")),
        Format(name="eu-xml", title="EU FSF XML 1.1", parse=eu_xml.parse, role=_root("export")),
        Format(name="uk-csv", title="UK Sanctions List CSV", parse=uk_csv.parse, role=_columns(uk_csv.NEEDED)),
        Format(name="ofsi-csv", title="UK OFSI list (closed)", parse=ofsi_csv.parse, role=_columns(ofsi_csv.NEEDED)),
        Format(
            name="opensanctions-csv",
            title="OpenSanctions targets.simple.csv",
            parse=opensanctions_csv.parse,
            role=_columns(opensanctions_csv.NEEDED),
        ),
        Format(
            name="opensanctions-ftm",
            title="OpenSanctions entities.ftm.json",
            parse=opensanctions_ftm.parse,
            role=_keys("id", "schema", "properties"),
        ),
        Format(name="jsonl", title="entries one to a line", parse=plain_jsonl.parse, role=_keys("id", "names")),
    )
}


def recognise(path: Path) -> tuple[Format, str]:
    """The format of a file, and what it is within it.

    Raises:
        ListUnreadable: it is empty, a web page, or nothing that we know.
    """
    with opened(path) as stream:
        start = stream.read(HEAD)
    text = start.decode("utf-8-sig", errors="replace")
    if not text.strip("\x1a\x00 \r\n\t"):
        raise ListUnreadable(f"{path.name} is empty.")
    if text.lstrip().casefold().startswith(HTML):
        raise ListUnreadable(f"{path.name} is a web page, not a list.")
    head = Head(text=text)
    for known in FORMATS.values():
        if role := known.role(head):
            return known, role
    raise ListUnreadable(f"{path.name} is in none of the formats that we know: {', '.join(FORMATS)}.")


def arranged(paths: Sequence[Path]) -> tuple[Format, Files]:
    """Several files that make one list, each in its place.

    Raises:
        ListUnreadable: they do not belong together.
    """
    found = [(*recognise(path), path) for path in paths]
    if not found:
        raise ListUnreadable("There is no file.")
    names = {known.name for known, _, _ in found}
    if len(names) > 1:
        raise ListUnreadable(f"The files are of different formats: {', '.join(sorted(names))}.")
    files = {role: path for _, role, path in found}
    if len(files) < len(found):
        raise ListUnreadable("Two of the files are the same part of a list.")
    return found[0][0], files

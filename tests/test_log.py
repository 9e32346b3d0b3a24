"""Whatever a caller passes along, no personal data and no secret gets into the log."""

import json
import logging
import time

import pytest
import structlog

from kyc_service.log import HIDDEN, MOST_REMEMBERED, QUIET, Forwarded, configure, redact
from kyc_service.settings import Settings


@pytest.mark.parametrize(
    "key",
    [
        "email",
        "applicant",
        "family_name",
        "birth_date",
        "Authorization",
        "access_token",
        "db_dsn",
        "note",
        "home_address",
    ],
)
def test_a_value_under_a_telling_key_is_hidden(key: str) -> None:
    assert redact(None, "info", {"event": "e", key: "anything"}) == {"event": "e", key: HIDDEN}


@pytest.mark.parametrize(
    "secret",
    [
        "anna@example.com",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
        "kyc:hunter2",
    ],
)
def test_what_looks_like_a_secret_is_hidden_under_any_key_and_at_any_depth(secret: str) -> None:
    text = f"see postgresql://{secret}@db/kyc and password={secret} PASSWORD={secret} end"
    event = {"event": text, "detail": [text, {"inner": text}], "raw": text.encode()}
    said = json.dumps(redact(None, "info", event))
    assert not any(part in said for part in ("anna", "c2ln", "hunter2"))
    assert said.count("end") == 3


def test_plain_facts_are_left_as_they_are() -> None:
    event = {"event": "request", "status": 201, "duration_ms": 1.5, "route": "/v1/kyc/applications", "tenant": None}
    assert redact(None, "info", dict(event)) == event


def test_a_line_is_json_and_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(_env_file=None))
    structlog.get_logger("test").warning("mail to anna@example.com", email="anna@example.com")
    line = json.loads(capsys.readouterr().err)
    structlog.reset_defaults()
    assert (line["event"], line["email"], line["level"]) == (f"mail to {HIDDEN}", HIDDEN, "warning")


def test_what_a_library_logs_is_a_redacted_line_too_and_its_exception_keeps_its_words_to_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(Settings(_env_file=None))
    try:
        int("Anna Maria Eriksson")
    except ValueError:
        logging.getLogger("some.library").exception("cannot read %s", "anna@example.com")
    said = capsys.readouterr().err
    structlog.reset_defaults()
    line = json.loads(said)
    assert (line["event"], line["logger"], line["error"]) == (f"cannot read {HIDDEN}", "some.library", "ValueError")
    assert "Eriksson" not in said
    assert "test_log.py" in line["at"][-1]


def test_setting_the_log_up_again_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(_env_file=None))
    configure(Settings(_env_file=None))
    logging.getLogger("some.library").warning("once")
    said = capsys.readouterr().err
    structlog.reset_defaults()
    assert said.count("once") == 1


def test_what_a_library_says_again_and_again_is_said_once_in_a_while_with_how_often_it_was_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(Settings(_env_file=None))
    handler = Forwarded()
    began = time.time()
    for moment, text in [(0, "away"), (1, "away"), (2, "back"), (QUIET - 1, "away"), (QUIET, "away"), (QUIET, "away")]:
        record = logging.LogRecord("some.library", logging.ERROR, __file__, 1, "broker is %s", (text,), None)
        record.created = began + moment
        handler.emit(record)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    structlog.reset_defaults()
    assert [(line["event"], line.get("left_out")) for line in lines] == [
        ("broker is away", None),
        ("broker is back", None),
        ("broker is away", 2),
    ]


def test_no_more_is_remembered_of_libraries_than_there_is_room_for(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(_env_file=None))
    handler = Forwarded()
    for number in range(2 * MOST_REMEMBERED + 1):
        handler.emit(logging.LogRecord("some.library", logging.ERROR, __file__, 1, f"node {number}", (), None))
    assert len(capsys.readouterr().err.splitlines()) == 2 * MOST_REMEMBERED + 1
    structlog.reset_defaults()
    assert len(handler._said) == 1

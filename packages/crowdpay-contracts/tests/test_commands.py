"""Commands in their envelope: what one says, and what is none."""

import json
from uuid import UUID

import pytest
from crowdpay_contracts import CommandType, KycCommand, amend_command, encode_command, submit_command
from crowdpay_contracts.examples import AMEND, APPLICATION, COMMANDS, SUBMIT
from pydantic import ValidationError


@pytest.mark.parametrize("command", [pytest.param(command, id=command.type) for command in COMMANDS])
def test_a_command_survives_its_journey(command: KycCommand) -> None:
    assert KycCommand.model_validate_json(encode_command(command)) == command


def test_what_a_command_does_not_say_is_not_sent_as_null() -> None:
    assert set(json.loads(encode_command(SUBMIT))) == {"specversion", "id", "source", "type", "datacontenttype", "data"}
    assert json.loads(encode_command(AMEND))["expectedversion"] == 4


def test_an_amendment_names_its_application_and_its_patch() -> None:
    command = amend_command(APPLICATION, {"email": "bob@example.com"}, id="1", source="/shop")
    assert command == KycCommand(
        specversion="1.0",
        id="1",
        source="/shop",
        type=CommandType.KYC_AMEND,
        subject=APPLICATION,
        datacontenttype="application/merge-patch+json",
        data={"email": "bob@example.com"},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"source": None},
        {"type": "KYC_DELETE"},
        {"type": "KYC_AMEND"},  # without a subject
        {"subject": str(UUID(int=1))},  # of an application that is only being submitted
        {"expectedversion": 0},
        {"data": []},
        {"datacontenttype": "text/plain"},
    ],
)
def test_what_is_no_command_is_refused(change: dict[str, object]) -> None:
    body = json.loads(encode_command(submit_command({}, id="1", source="/shop"))) | change
    with pytest.raises(ValidationError):
        KycCommand.model_validate_json(json.dumps(body))

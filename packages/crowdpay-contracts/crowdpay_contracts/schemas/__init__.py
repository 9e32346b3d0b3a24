"""The JSON Schemas of every message (draft 2020-12), for readers in other languages.

They are generated from the models and committed beside this file: `python -m crowdpay_contracts.schemas --write`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TypeAlias

from pydantic import TypeAdapter

from crowdpay_contracts import examples
from crowdpay_contracts.application import ApplicantDocument, ApplicationStatus, KycApplication
from crowdpay_contracts.commands import KycCommand, encode_command
from crowdpay_contracts.envelope import SCHEMA_BASE, KycEvent
from crowdpay_contracts.events import (
    KycApplicationCreated,
    KycApplicationRejected,
    KycApplicationVerified,
    KycSagaRollback,
)
from crowdpay_contracts.internal import KycScreeningAlert, KycScreeningAlerted

Schema: TypeAlias = dict[str, object]

DRAFT = "https://json-schema.org/draft/2020-12/schema"

MODELS: Mapping[str, Callable[[], Schema]] = {
    "ApplicationStatus": TypeAdapter(ApplicationStatus).json_schema,
    "ApplicantDocument": TypeAdapter(ApplicantDocument).json_schema,
    "KycApplication": TypeAdapter(KycApplication).json_schema,
    "KycApplicationCreated": TypeAdapter(KycApplicationCreated).json_schema,
    "KycApplicationVerified": TypeAdapter(KycApplicationVerified).json_schema,
    "KycApplicationRejected": TypeAdapter(KycApplicationRejected).json_schema,
    "KycSagaRollback": TypeAdapter(KycSagaRollback).json_schema,
    "KycEvent": TypeAdapter(KycEvent).json_schema,
    "KycScreeningAlert": TypeAdapter(KycScreeningAlert).json_schema,
    "KycScreeningAlerted": TypeAdapter(KycScreeningAlerted).json_schema,
    "KycCommand": TypeAdapter(KycCommand).json_schema,
}

EXAMPLES: Mapping[str, Sequence[object]] = {
    "ApplicationStatus": [status.value for status in ApplicationStatus],
    "ApplicantDocument": [examples.DOCUMENT.model_dump(mode="json")],
    "KycApplication": [examples.KYC_APPLICATION.model_dump(mode="json")],
    "KycApplicationCreated": [examples.CREATED.model_dump(mode="json")],
    "KycApplicationVerified": [examples.VERIFIED.model_dump(mode="json")],
    "KycApplicationRejected": [examples.REJECTED.model_dump(mode="json")],
    "KycSagaRollback": [examples.ROLLBACK.model_dump(mode="json")],
    "KycEvent": [event.model_dump(mode="json") for event in examples.EVENTS],
    "KycScreeningAlert": [examples.ALERT.model_dump(mode="json")],
    "KycScreeningAlerted": [examples.ALERTED.model_dump(mode="json")],
    "KycCommand": [json.loads(encode_command(command)) for command in examples.COMMANDS],
}


def generate() -> Mapping[str, Schema]:
    """The schemas of the models as they are now, by name."""
    return {
        name: {
            "$schema": DRAFT,
            "$id": f"{SCHEMA_BASE}{name}.json",
            **schema(),
            "examples": EXAMPLES[name],
        }
        for name, schema in MODELS.items()
    }


def render(schema: Schema) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def load(name: str) -> Schema:
    """The published schema called *name*, for example `KycEvent`."""
    schema: Schema = json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return schema

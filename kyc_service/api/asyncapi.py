"""The AsyncAPI document, made of the contracts. `python -m kyc_service.api.asyncapi` writes or checks a copy."""

import json
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

from crowdpay_contracts import examples
from crowdpay_contracts.commands import COMMANDS, PARKED, CommandType, KycCommand, encode_command
from crowdpay_contracts.envelope import (
    MEDIA_TYPE,
    TOPIC,
    KycCreated,
    KycRejected,
    KycRollback,
    KycVerified,
    encode_event,
)
from crowdpay_contracts.internal import INTERNAL_TOPIC, KycScreeningAlerted
from pydantic import BaseModel

from kyc_service.api import answers, forms, openapi, problems
from kyc_service.api.contract import SHOWN
from kyc_service.api.openapi import EXAMPLE_REQUEST, as_text, keep_copy
from kyc_service.api.problems import KINDS, as_json

Json: TypeAlias = dict[str, Any]

VERSION = "1.0.0"
DESCRIPTION = """\
What the KYC service tells the rest of the company, and what it can be asked by message.

Events and commands are CloudEvents 1.0 in structured mode, the same on RabbitMQ and on Kafka. Events hold no personal
data, arrive at least once, and in order within an application; they can also be read over HTTP at `/v1/kyc/events`.
New types of events and new members may come: ignore what you do not know."""
EVENTS: Mapping[type[BaseModel], str] = {
    KycCreated: "A person applied",
    KycVerified: "The person is who they say",
    KycRejected: "The application ended with a no",
    KycRollback: "It could not be finished, and everything was undone",
}
INTERNAL: Mapping[type[BaseModel], str] = {KycScreeningAlerted: "Somebody may be on a list"}
# A command's data is what the body of the same request over HTTP is.
BODIES: Mapping[CommandType, tuple[str, str]] = {
    CommandType.KYC_SUBMIT: ("Submit a new application", "NewApplication"),
    CommandType.KYC_AMEND: ("Update a pending application", "ApplicationPatch"),
}
SHAPES: tuple[type, ...] = (
    *EVENTS,
    *INTERNAL,
    KycCommand,
    forms.NewApplication,
    forms.ApplicationPatch,
    answers.Application,
    answers.Problem,
)
QUORUM: Json = {"durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
AMQP, KAFKA = "0.3.0", "0.5.0"  # versions of the bindings
LOGINS = ("userPassword", "plain", "scramSha256", "scramSha512")


def document() -> Json:
    """The whole document."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "KYC Service messages",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": MEDIA_TYPE,
        "servers": {
            "rabbitmq": {
                "host": "rabbitmq:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The operator's RabbitMQ, by `KYC_EVENT_BROKER_URL`.",
                "security": _secured("userPassword"),
            },
            "kafka": {
                "host": "kafka:9092",
                "protocol": "kafka",
                "description": "The operator's Kafka, by `KYC_EVENT_BROKER_URL`; perhaps without a login.",
                "security": _secured("plain", "scramSha256", "scramSha512"),
            },
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "securitySchemes": {name: {"type": name} for name in LOGINS},
            "schemas": {
                **openapi.schemas(SHAPES),
                **_command_schemas(),
                "ParkedNote": PARKED_NOTE,
                "ParkedCommand": PARKED_COMMAND,
            },
            "correlationIds": {
                "reply": {
                    "description": "Yours, in the answer. On RabbitMQ it is the property `correlation_id`, or else "
                    "`message_id`.",
                    "location": "$message.header#/correlation_id",
                }
            },
        },
    }


def _secured(*names: str) -> list[Json]:
    return [{"$ref": f"#/components/securitySchemes/{name}"} for name in names]


# ── channels and operations ───────────────────────────────────────────────────────


def _channels() -> Json:
    return {
        "events": {
            "address": TOPIC,
            "title": "What happened",
            "description": "RabbitMQ: a topic exchange; the routing key is the type of the event. Kafka: a topic; the "
            "key is the application.",
            "messages": _named(type_of(model) for model in EVENTS),
            "bindings": _exchange(TOPIC),
        },
        "internal": {
            "address": INTERNAL_TOPIC,
            "title": "What is for the compliance desk alone",
            "description": "As `kyc.events`, and apart from it: whoever talks to applicants must not read it, because "
            "they could tip somebody off.",
            "messages": _named(type_of(model) for model in INTERNAL),
            "bindings": _exchange(INTERNAL_TOPIC),
        },
        "commands": {
            "address": COMMANDS,
            "title": "What is asked for",
            "description": "RabbitMQ: a quorum queue, by the default exchange. Kafka: a topic.",
            "messages": _named(kind.value for kind in BODIES),
            "bindings": {
                "amqp": {"is": "queue", "queue": {"name": COMMANDS, **QUORUM}, "bindingVersion": AMQP},
                "kafka": {"topic": COMMANDS, "bindingVersion": KAFKA},
            },
        },
        "replies": {
            "address": None,
            "title": "Answers",
            "description": "Where the command says: `amq.rabbitmq.reply-to`, a queue that RabbitMQ named, or a queue "
            "or topic `kyc.replies` or `kyc.replies.…`.",
            "messages": _named(["Application", "Problem"]),
        },
        "parked": {
            "address": PARKED,
            "title": "What nobody could carry out",
            "description": "RabbitMQ: the command itself, with the reason in its headers and without its token. Kafka: "
            "a note where it stands.",
            "messages": _named(["ParkedCommand", "ParkedNote"]),
            "bindings": {
                "amqp": {"is": "queue", "queue": {"name": PARKED, **QUORUM}, "bindingVersion": AMQP},
                "kafka": {"topic": PARKED, "bindingVersion": KAFKA},
            },
        },
    }


def _exchange(topic: str) -> Json:
    """A topic exchange on RabbitMQ, and a topic on Kafka."""
    return {
        "amqp": {
            "is": "routingKey",
            "exchange": {"name": topic, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"},
            "bindingVersion": AMQP,
        },
        "kafka": {"topic": topic, "bindingVersion": KAFKA},
    }


def _named(names: Any) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _operations() -> Json:
    return {
        "publishEvents": {
            "action": "send",
            "channel": {"$ref": "#/channels/events"},
            "title": "Tell what happened",
            "summary": "At least once, in order within an application; nothing is ever left out.",
        },
        "publishAlerts": {
            "action": "send",
            "channel": {"$ref": "#/channels/internal"},
            "title": "Tell the compliance desk that there is something to decide",
            "summary": "With the same promises as events.",
        },
        "takeCommands": {
            "action": "receive",
            "channel": {"$ref": "#/channels/commands"},
            "title": "Carry out what is asked for",
            "summary": "Each command once, whoever sends or delivers it again; with the access token in the header "
            "`authorization`.",
            "reply": {
                "address": {
                    "location": "$message.header#/reply_to",
                    "description": "On RabbitMQ it is the property `reply_to`.",
                },
                "channel": {"$ref": "#/channels/replies"},
            },
        },
        "parkCommands": {
            "action": "send",
            "channel": {"$ref": "#/channels/parked"},
            "title": "Put apart what cannot be carried out",
            "summary": "With the reason, for a person to look at.",
        },
    }


# ── messages ──────────────────────────────────────────────────────────────────────


def _messages() -> Json:
    events = {type_of(model): _event(model, title) for model, title in (*EVENTS.items(), *INTERNAL.items())}
    commands = {kind.value: _command(kind, title) for kind, (title, _) in BODIES.items()}
    return {**events, **commands, **_answers()}


def _event(model: type[BaseModel], title: str) -> Json:
    kind = type_of(model)
    known = (*examples.EVENTS, examples.ALERTED)
    shown = [json.loads(encode_event(event)) for event in known if event.type == kind]
    return {
        "name": kind,
        "title": title,
        "summary": f"`data` is `{_name_of(model.model_fields['data'].annotation)}`.",
        "contentType": MEDIA_TYPE,
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "examples": [{"name": kind.lower(), "payload": payload} for payload in shown],
        "bindings": {
            "amqp": {"messageType": kind, "bindingVersion": AMQP},
            "kafka": {
                "key": {"type": "string", "format": "uuid", "description": "The application."},
                "bindingVersion": KAFKA,
            },
        },
    }


def _command(kind: CommandType, title: str) -> Json:
    (command,) = (one for one in examples.COMMANDS if one.type is kind)
    return {
        "name": kind.value,
        "title": title,
        "summary": f"`data` is what `{'POST' if kind is CommandType.KYC_SUBMIT else 'PATCH'}` takes over HTTP.",
        "contentType": MEDIA_TYPE,
        "correlationId": {"$ref": "#/components/correlationIds/reply"},
        "headers": COMMAND_HEADERS,
        "payload": {"$ref": f"#/components/schemas/{_schema_of(kind)}"},
        "examples": [
            {
                "name": kind.value.lower(),
                "headers": {
                    "authorization": "Bearer …",
                    "reply_to": "kyc.replies.shop",
                    "correlation_id": "4711",
                },
                "payload": json.loads(encode_command(command)),
            }
        ],
    }


COMMAND_HEADERS: Json = {
    "type": "object",
    "required": ["authorization"],
    "properties": {
        "authorization": {
            "type": "string",
            "pattern": "^[Bb]earer [^ ]+$",
            "description": "The access token, as over HTTP. It has to be valid when the command is carried out.",
        },
        "reply_to": {
            "type": "string",
            "description": "Where the answer goes; on RabbitMQ the property of that name. Without it nobody is told.",
        },
        "correlation_id": {
            "type": "string",
            "description": "Comes back with the answer; on RabbitMQ the property of that name.",
        },
    },
}
ANSWER_HEADERS: Json = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {
            "type": ["integer", "string"],
            "description": "The status that HTTP would have; text on Kafka.",
        },
        "correlation_id": {"type": "string"},
        "etag": {"type": "string", "description": "The version of the application."},
        "location": {"type": "string", "description": "Where it can be read over HTTP."},
        "idempotent-replayed": {"type": "string", "const": "true", "description": "This answer was given before."},
    },
}
PARKED_NOTE: Json = {
    "title": "ParkedNote",
    "type": "object",
    "required": ["topic", "partition", "offset", "reason", "parked_at"],
    "properties": {
        "topic": {"type": "string"},
        "partition": {"type": "integer", "minimum": 0},
        "offset": {"type": "integer", "minimum": 0},
        "reason": {"type": "string", "description": "A code of docs/commands.md."},
        "parked_at": {"type": "string", "format": "date-time"},
    },
}
PARKED_COMMAND: Json = {
    "title": "ParkedCommand",
    "description": "What was sent, byte by byte; perhaps no command, and no JSON either.",
}
PARKED_HEADERS: Json = {
    "type": "object",
    "description": "And those of the message but the token. What RabbitMQ gave up by itself has `x-death` instead.",
    "properties": {
        "kyc-reason": {"type": "string", "description": "A code of docs/commands.md."},
        "kyc-deliveries": {"type": "integer", "minimum": 1},
        "kyc-parked-at": {"type": "string", "format": "date-time"},
    },
}


def _answers() -> Json:
    problem = {**as_json(KINDS["application_not_found"]), "request_id": EXAMPLE_REQUEST}
    note = {
        "topic": COMMANDS,
        "partition": 0,
        "offset": 4711,
        "reason": "json_invalid",
        "parked_at": "2026-03-02T09:30:00+00:00",
    }
    return {
        "Application": {
            "name": "Application",
            "title": "It was carried out",
            "summary": "The application as the API shows it, or as it did when the command was first carried out.",
            "contentType": "application/json",
            "correlationId": {"$ref": "#/components/correlationIds/reply"},
            "headers": ANSWER_HEADERS,
            "payload": {"$ref": "#/components/schemas/Application"},
            "examples": [{"name": "submitted", "headers": {"status": 201, "etag": '"v2"'}, "payload": SHOWN}],
        },
        "Problem": {
            "name": "Problem",
            "title": "It was refused",
            "summary": "The same problem (RFC 9457) as over HTTP; pointers begin at the envelope.",
            "contentType": problems.MEDIA_TYPE,
            "correlationId": {"$ref": "#/components/correlationIds/reply"},
            "headers": ANSWER_HEADERS,
            "payload": {"$ref": "#/components/schemas/Problem"},
            "examples": [{"name": "not_found", "headers": {"status": 404}, "payload": problem}],
        },
        "ParkedCommand": {
            "name": "ParkedCommand",
            "title": "The command that was parked (RabbitMQ)",
            "summary": "Take it out when it was dealt with.",
            "contentType": MEDIA_TYPE,
            "headers": PARKED_HEADERS,
            "payload": {"$ref": "#/components/schemas/ParkedCommand"},
            "examples": [
                {
                    "name": "forbidden",
                    "headers": {
                        "kyc-reason": "forbidden",
                        "kyc-deliveries": 1,
                        "kyc-parked-at": "2026-03-02T09:30:00+00:00",
                    },
                    "payload": json.loads(encode_command(examples.SUBMIT)),
                }
            ],
        },
        "ParkedNote": {
            "name": "ParkedNote",
            "title": "Where a parked record stands (Kafka)",
            "summary": "Nothing of the record itself is written a second time.",
            "contentType": "application/json",
            "payload": {"$ref": "#/components/schemas/ParkedNote"},
            "examples": [{"name": "not_json", "payload": note}],
        },
    }


# ── schemas ───────────────────────────────────────────────────────────────────────


def _command_schemas() -> Json:
    """The envelope of commands with the type and the data of each."""
    return {
        _schema_of(kind): {
            "allOf": [
                {"$ref": "#/components/schemas/KycCommand"},
                {
                    "type": "object",
                    "required": ["type", "data", *(["subject"] if kind is CommandType.KYC_AMEND else [])],
                    "properties": {
                        "type": {"const": kind.value},
                        "data": {"$ref": f"#/components/schemas/{body}"},
                    },
                },
            ]
        }
        for kind, (_, body) in BODIES.items()
    }


def type_of(model: type[BaseModel]) -> str:
    """The type of the events that *model* describes."""
    return str(model.model_json_schema()["properties"]["type"]["const"])


def _schema_of(kind: CommandType) -> str:
    return "".join(part.capitalize() for part in kind.value.split("_")) + "Command"


def _name_of(shape: object) -> str:
    return str(getattr(shape, "__name__", shape))


def main(arguments: list[str] | None = None) -> int:
    """Write the copy, or say whether it is still true."""
    return keep_copy("The AsyncAPI document of the service.", as_text(document()), arguments)


if __name__ == "__main__":
    sys.exit(main())

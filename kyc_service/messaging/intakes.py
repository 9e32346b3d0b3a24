"""An intake for each broker that commands may come from."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from kyc_service.messaging.amqp_intake import AmqpIntake
from kyc_service.messaging.brokers import KINDS, Broker
from kyc_service.messaging.intake import Intake, Pace
from kyc_service.messaging.kafka import address
from kyc_service.messaging.kafka_intake import KafkaIntake
from kyc_service.messaging.letters import Carrier
from kyc_service.messaging.parking import Report


def intakes(brokers: Sequence[Broker], carry_out: Carrier, pace: Pace, report: Report) -> Sequence[Intake]:
    """One for each of them; none of them waits for another. What lies parked is told to *report*."""
    return [_intake(broker, carry_out, pace, report) for broker in brokers]


def _intake(broker: Broker, carry_out: Carrier, pace: Pace, report: Report) -> Intake:
    if KINDS[urlsplit(broker.url).scheme] == "kafka":
        return KafkaIntake(broker.name, address(broker.url), carry_out, pace, report)
    return AmqpIntake(broker.name, broker.url, carry_out, pace, report)

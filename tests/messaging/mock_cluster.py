"""The mock cluster of librdkafka, whose brokers fail as they are told to; confluent-kafka does not offer that part."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka

PRODUCE, FIND_COORDINATOR, JOIN_GROUP, SYNC_GROUP, INIT_PRODUCER = 0, 10, 11, 14, 22
PRODUCER = 0  # the kind of a client


def _library() -> ctypes.CDLL:
    """The one that is loaded already: the wheel brings its own, and the extension knows where it lies."""
    folder = Path(confluent_kafka.__file__).parent
    found = [*folder.parent.glob("confluent_kafka.libs/librdkafka-*"), *folder.glob(".dylibs/librdkafka*")]
    library = ctypes.CDLL(str(found[0]))
    for name, result in {
        "rd_kafka_conf_new": ctypes.c_void_p,
        "rd_kafka_new": ctypes.c_void_p,
        "rd_kafka_mock_cluster_new": ctypes.c_void_p,
        "rd_kafka_mock_cluster_bootstraps": ctypes.c_char_p,
        "rd_kafka_mock_get_requests": ctypes.POINTER(ctypes.c_void_p),
        "rd_kafka_mock_request_api_key": ctypes.c_int16,
    }.items():
        getattr(library, name).restype = result
    return library


class MockCluster:
    """A few brokers in this process; their numbers begin at 1."""

    def __init__(self, brokers: int) -> None:
        self._library = _library()
        why = ctypes.create_string_buffer(512)
        settings = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(settings, b"log_level", b"0", why, ctypes.sizeof(why))
        self._client = ctypes.c_void_p(self._library.rd_kafka_new(PRODUCER, settings, why, ctypes.sizeof(why)))
        assert self._client, why.value
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._client, brokers))
        assert self._cluster
        self._library.rd_kafka_mock_start_request_tracking(self._cluster)

    @property
    def servers(self) -> str:
        """Where its brokers answer."""
        found: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return found.decode()

    def make(self, topic: str, partitions: int, replicas: int = 1) -> None:
        """A topic; what is asked for and was not made, is made with four partitions."""
        self._call("topic_create", topic.encode(), partitions, replicas)

    def refuse(self, topic: str, error: int) -> None:
        """Let whoever asks for the topic be answered by that error; 0: no longer."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error)

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Give the partition another leader; -1: none."""
        self._call("partition_set_leader", topic.encode(), partition, broker)

    def answer(self, request: int, *errors: int) -> None:
        """Answer the next requests of that kind, to whichever broker, by these errors; 0: as it should be."""
        given = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), given
        )

    def forgive(self, request: int) -> None:
        """Answer requests of that kind as it should be from now on."""
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, ctypes.c_int16(request))

    def asked(self, request: int) -> bool:
        """Whether anybody has asked for that."""
        count = ctypes.c_size_t()
        found = self._library.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(count))
        kinds = {self._library.rd_kafka_mock_request_api_key(ctypes.c_void_p(one)) for one in found[: count.value]}
        self._library.rd_kafka_mock_request_destroy_array(found, count)
        return request in kinds

    def down(self, broker: int) -> None:
        """Cut the broker off."""
        self._call("broker_set_down", broker)

    def up(self, broker: int) -> None:
        """Let it answer again."""
        self._call("broker_set_up", broker)

    def slow(self, broker: int, milliseconds: int) -> None:
        """Let everything that the broker answers take so long."""
        self._call("broker_set_rtt", broker, milliseconds)

    def coordinate(self, group: str, broker: int) -> None:
        """Give the group another coordinator."""
        self._call("coordinator_set", b"group", group.encode(), broker)

    def gather(self, milliseconds: int) -> None:
        """Let a group that has no member wait so long for more of them, before its first member has joined."""
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, ctypes.c_int32(milliseconds))

    def end(self) -> None:
        """For good."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def _call(self, name: str, *arguments: bytes | int) -> None:
        failed = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)
        assert failed == 0, (name, arguments, failed)


@contextmanager
def mock_cluster(brokers: int = 3) -> Iterator[MockCluster]:
    """A cluster of one's own."""
    cluster = MockCluster(brokers)
    try:
        yield cluster
    finally:
        cluster.end()

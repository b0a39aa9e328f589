"""Reads what the pipeline left behind without any of its code: topics through kcat, answers through pymongo.

A dump is a list of plain dictionaries, so that a test can plant what a broken pipeline would leave.
"""

import glob
import io
import json
import os
import subprocess
import urllib.request

import fastavro

TOPICS = (
    "quiz.sessions.v1",
    "quiz.answers.v1",
    "quiz.scores.v1",
    "quiz.results.v1",
)
# Confluent framing: a zero, four bytes of schema id, the datum.
FRAME_BYTES = 5
KCAT_TIMEOUT_S = 120


class Schemas:
    """Writer schemas by registry id, and the committed ones by topic for when no registry is given."""

    def __init__(self, registry=None, folder=None):
        self._registry = registry
        self._folder = folder
        self._by_id = {}
        self._by_topic = {}

    def of(self, topic, schema_id):
        """The schema that a record of `topic` was written with."""
        if self._registry:
            if schema_id not in self._by_id:
                with urllib.request.urlopen(f"{self._registry}/schemas/ids/{schema_id}", timeout=10) as answer:
                    text = json.load(answer)["schema"]
                self._by_id[schema_id] = fastavro.parse_schema(json.loads(text))
            return self._by_id[schema_id]
        if topic not in self._by_topic:
            path = os.path.join(self._folder, f"{topic}.avsc")
            with open(path, encoding="utf-8") as file:
                self._by_topic[topic] = fastavro.parse_schema(json.load(file))
        return self._by_topic[topic]

    def decode(self, topic, value):
        """The record, or None when the bytes are not one: a poison record is nobody's answer."""
        if value is None or len(value) <= FRAME_BYTES or value[0] != 0:
            return None
        schema_id = int.from_bytes(value[1:FRAME_BYTES], "big")
        try:
            return fastavro.schemaless_reader(io.BytesIO(value[FRAME_BYTES:]), self.of(topic, schema_id))
        except Exception:  # noqa: BLE001 - whatever it is, it is not a record of ours.
            return None


def split_kcat(data):
    """Cuts kcat's output of `FORMAT` into (partition, offset, timestamp_ms, key, value)."""
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        partition, offset, timestamp, key_bytes, value_bytes = (int(word) for word in data[at:end].split())
        at = end + 1
        key = None if key_bytes < 0 else data[at : at + key_bytes]
        at += max(key_bytes, 0)
        value = None if value_bytes < 0 else data[at : at + value_bytes]
        at += max(value_bytes, 0)
        yield partition, offset, timestamp, key, value


FORMAT = "%p %o %T %K %S\n%k%s"


def read_raw(brokers, topic):
    """All of a topic that readers of committed records see, as kcat prints it."""
    command = [
        "kcat", "-C", "-q", "-e", "-o", "beginning", "-b", brokers, "-t", topic, "-f", FORMAT,
        "-X", "isolation.level=read_committed", "-X", "fetch.wait.max.ms=50",
    ]
    done = subprocess.run(command, capture_output=True, timeout=KCAT_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"kcat could not read {topic}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def read_topic(brokers, topic, games, schemas):
    """The records of `games`, in the order of each partition."""
    records = []
    for partition, offset, timestamp, key, value in split_kcat(read_raw(brokers, topic)):
        name = (key or b"").split(b"/")[0].decode(errors="replace")
        if name not in games:
            continue
        records.append(
            {
                "topic": topic,
                "partition": partition,
                "offset": offset,
                "timestamp_ms": timestamp,
                "key": (key or b"").decode(errors="replace"),
                "record": schemas.decode(topic, value),
                "undecodable": None if value is None or schemas.decode(topic, value) is not None else value.hex(),
            }
        )
    return records


def read_answers(uri, database, lanes):
    """The stored answers of these lanes, each read with its shard key."""
    import pymongo  # Only a run on real servers needs it; the tests of the checker do not.

    found = []
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=10_000, retryReads=True)
    try:
        answers = client[database]["answers"]
        for lane in lanes:
            found.extend(answers.find({"lane": lane}))
    finally:
        client.close()
    return found


def read_logs(folder):
    """The lines of every client's log in a folder. A line that was cut off at the end says nothing."""
    lines = []
    for path in sorted(glob.glob(os.path.join(folder, "client-*.jsonl"))):
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file):
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                line["process"] = os.path.basename(path)
                line["line"] = number
                lines.append(line)
    return lines


def write(folder, name, rows):
    """Keeps a dump beside the logs, one row a line, for whoever looks into a failure."""
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, default=plain) + "\n")


def plain(value):
    """Bytes of a record as hexadecimal, everything else as text."""
    return value.hex() if isinstance(value, (bytes, bytearray)) else str(value)

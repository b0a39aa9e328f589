"""Whether the time that an answer was charged is the time that its player took, by the player's own clock."""


def edge_clocks_apart_s(topics):
    """How far apart the wall clocks of the edges are, by what they wrote and when the broker had it."""
    offsets = []
    for row in topics.answers:
        body = row["record"] and row["record"]["body"]["submitted"]
        if body and "received_at_us" in body:
            offsets.append(body["received_at_us"] / 1e6 - row["timestamp_ms"] / 1e3)
    return round(max(offsets) - min(offsets), 1) if offsets else 0.0


def measure(clients, stored):
    """The largest differences over all stored answers, in ms.

    `credit_lost_ms`: charged longer than the player took from seeing the question first to sending the answer
    first, both on its own monotonic clock. `credit_gained_ms`: charged less.
    """
    shown, left = {}, {}
    for line in clients.lines:
        if line["event"] == "applied" and line["kind"] == "question" and "mono_us" in line:
            shown.setdefault((line["game"], line["player"], line["question"]), line["mono_us"])
        elif line["event"] == "sent" and "mono_us" in line:
            left.setdefault((line["game"], line["player"], line["question"]), line["mono_us"])
    lost, gained = 0, 0
    for doc in stored:
        place = (doc["game"], doc["player"], doc["question"])
        if place in shown and place in left:
            over_us = doc["elapsed_us"] - (left[place] - shown[place])
            lost, gained = max(lost, over_us), max(gained, -over_us)
    return {"credit_lost_ms": round(lost / 1e3, 1), "credit_gained_ms": round(gained / 1e3, 1)}

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
    first, both on its own monotonic clock. `vouched_lost_ms`: the same, over answers that were sent again after
    an edge had vouched for their time, which a lost edge must not cost anything. `credit_gained_ms`: charged less.
    """
    shown, left = {}, {}
    vouched, resent = set(), set()
    for line in clients.lines:
        if line["event"] == "applied" and line["kind"] == "question" and "mono_us" in line:
            shown.setdefault((line["game"], line["player"], line["question"]), line["mono_us"])
        elif line["event"] == "sent" and "mono_us" in line:
            place = (line["game"], line["player"], line["question"])
            if place in left and place in vouched:
                resent.add(place)
            left.setdefault(place, line["mono_us"])
        elif line["event"] == "taken":
            vouched.add((line["game"], line["player"], line["question"]))
    lost, gained, broken = 0, 0, 0
    for doc in stored:
        place = (doc["game"], doc["player"], doc["question"])
        if place in shown and place in left:
            over_us = doc["elapsed_us"] - (left[place] - shown[place])
            lost, gained = max(lost, over_us), max(gained, -over_us)
            if place in resent:
                broken = max(broken, over_us)
    ms = {"credit_lost_ms": lost, "vouched_lost_ms": broken, "credit_gained_ms": gained}
    return {"vouched": len(resent), **{name: round(us / 1e3, 1) for name, us in ms.items()}}

"""How long the pipeline kept people waiting: for a receipt, for a board, for the next question."""

from collections import defaultdict
from statistics import median


def measure(clients):
    """The longest waits of a run in seconds, and `unavailable_s`: the longest beyond the run's own median.

    A wait for receipts is the longest time in which answers were on their way and none was acknowledged.
    """
    receipts = receipt_waits(clients)
    boards, nexts = host_waits(clients)
    kinds = {"receipt": receipts, "board": boards, "next": nexts}
    beyond = [max(waits) - median(waits) for waits in kinds.values() if waits]
    slowest = sorted(line.get("ack_us", 0) for line in clients.lines if line["event"] == "acked")
    reconnects = sorted(line["took_ms"] for line in clients.lines if line["event"] == "reconnected")
    return {
        **{f"{kind}_wait_s": round(max(waits, default=0) / 1e6, 3) for kind, waits in kinds.items()},
        "unavailable_s": round(max(beyond, default=0) / 1e6, 3),
        "ack_max_s": round(max(slowest, default=0) / 1e6, 3),
        "ack_p75_ms": round(quantile(slowest, 0.75) / 1e3, 1),
        "ack_p99_ms": round(quantile(slowest, 0.99) / 1e3, 1),
        "reconnect_p99_ms": quantile(reconnects, 0.99),
    }


def quantile(ordered, share):
    """A quantile of sorted numbers; 0 of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def receipt_waits(clients):
    """For each game and question, µs: the longest time with answers on their way and no receipt."""
    moments = defaultdict(list)
    finished = set()
    for key, line in clients.sent.items():
        moments[key[0], key[2]].append((line["intended_us"], 1))
    for key, line in list(clients.acked.items()) + list(clients.refused.items()):
        if key in clients.sent and key not in finished:
            finished.add(key)
            moments[key[0], key[2]].append((line["ts_us"], -1))
    waits = []
    for times in moments.values():
        waiting, since, longest = 0, None, 0
        for at, step in sorted(times, key=lambda moment: (moment[0], -moment[1])):
            if step > 0:
                since = at if waiting == 0 else since
            else:
                longest, since = max(longest, at - since), at
            waiting += step
        waits.append(longest)
    return waits


def host_waits(clients):
    """µs from the last receipt of a question to its board, and from each board to the next question.

    The first is what people wait for when all have answered: the close, the lanes and the board.
    """
    boards, nexts = [], []
    receipts = defaultdict(list)
    for key, line in clients.acked.items():
        receipts[key[0], key[2]].append(line["ts_us"])
    for (game, player), course in clients.courses.items():
        if player is not None:
            continue
        board = None
        for line in course:
            if line["event"] != "applied":
                continue
            if line["kind"] == "board":
                before = [at for at in receipts[game, line["question"]] if at <= line["ts_us"]]
                if before:
                    boards.append(line["ts_us"] - max(before))
                board = line["ts_us"]
            elif line["kind"] == "question" and board is not None:
                nexts.append(line["ts_us"] - board)
                board = None
    return boards, nexts

"""Judges a run from four records that the pipeline's own code did not compare: what the clients wrote down,
the raw topics, the stored answers, and the results that each client applied.

    check.py --log DIR --brokers HOST:PORT --registry URL --mongo URI [--database NAME]

Prints one JSON object. `lost`, `phantom`, `dup`, `mismatch` and `gap` must be 0:

    lost      acknowledged, but not in the log, not scored or not stored
    phantom   logged, scored or stored, but never sent
    dup       one submission with two effects, or one result applied twice
    mismatch  a score, total, rank, receipt or stored answer that is not the oracle's
    gap       a durable result that a client should have applied and did not

`late` counts acknowledged answers that came behind the close of their question: recorded, with 0 points.
Exit code 0 when it could judge, whatever it found.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict

import applied
import dump
import fair
import stalls
from world import Clients, Topics

KINDS = ("lost", "phantom", "dup", "mismatch", "gap")
DETAILS_MAX = 20


class Findings:
    """What was found, counted by kind, with the first few of each in words."""

    def __init__(self):
        self.counts = Counter()
        self.details = defaultdict(list)

    def add(self, kind, what, /, **fields):
        """One more of a kind."""
        self.counts[kind] += 1
        if len(self.details[kind]) < DETAILS_MAX:
            self.details[kind].append({"what": what, **fields})


def judge_acked(clients, topics, stored, findings):
    """Every acknowledged answer is in the log, judged once, reported and stored."""
    by_submission = defaultdict(list)
    for doc in stored:
        by_submission[doc["submission"]].append(doc)
    reported = reported_outcomes(topics, findings)
    for key, line in clients.acked.items():
        game, player, question, submission = key
        entry = topics.at.get(tuple(line["position"]))
        if entry is None or entry[2]["submission"] != submission or entry[2]["player"] != player:
            findings.add("lost", "not in the log where the receipt says", key=key, position=line["position"])
            continue
        lane = f"{entry[0]}/{entry[1]}"
        effect = topics.lanes[lane].players.get(player) and topics.lanes[lane].players[player].given.get(question)
        if effect is None:
            findings.add("lost", "refused by the rules", key=key)
        elif effect.submission != submission:
            findings.add("lost", "another submission was first", key=key, first=effect.submission)
        elif effect.verdict == "late":
            findings.add("late", "behind the close", key=key)
        else:
            if not by_submission[submission]:
                findings.add("lost", "not stored", key=key)
            outcome = reported.get((game, entry[1], question), {}).get(player)
            if outcome is None or outcome["verdict"] in ("unanswered", "late"):
                findings.add("lost", "not scored", key=key, reported=outcome)
    for key, receipts in clients.receipts.items():
        if len(receipts) > 1:
            findings.add("dup", "two receipts for one submission", key=key, receipts=sorted(receipts))


def reported_outcomes(topics, findings):
    """What the scoring workers reported: (game, lane, question) -> player -> outcome. Repeats must be equal."""
    reported = defaultdict(dict)
    for row in topics.scores:
        record = row["record"]
        if record is None or record["body"]["scored"] is None:
            continue
        place = reported[(record["game"], record["lane"], record["question"])]
        for outcome in record["body"]["scored"]["outcomes"]:
            told = {name: outcome[name] for name in ("verdict", "points", "total", "streak")}
            if place.setdefault(outcome["player"], told) != told:
                findings.add("dup", "reported twice, and differently", player=outcome["player"], told=told)
    return reported


def judge_log(clients, topics, findings):
    """Nothing is in the log that no client sent, and what is there is what was sent."""
    for (partition, offset), (game, _, body) in topics.at.items():
        key = (game, body["player"], body["question"], body["submission"])
        if key not in clients.sent:
            findings.add("phantom", "logged, never sent", key=key, position=[partition, offset])
            continue
        response = body["response"]
        logged = (tuple(response["picks"]), response["text"], response["number"])
        if logged not in clients.responses[key]:
            findings.add("mismatch", "another response was logged than sent", key=key, logged=logged)


def judge_stored(clients, topics, stored, findings):
    """The store has the oracle's effects: each one, once, and nothing else."""
    expected = {}
    for name, lane in topics.lanes.items():
        game = name.split("/")[0]
        for player, state in lane.players.items():
            for question, effect in state.given.items():
                if effect.verdict != "late":
                    expected[(game, player, question)] = effect
    seen = Counter(doc["submission"] for doc in stored)
    for submission, times in seen.items():
        if times > 1:
            findings.add("dup", "stored more than once", submission=submission, times=times)
    for doc in stored:
        place = (doc["game"], doc["player"], doc["question"])
        if doc["submission"] not in clients.submissions:
            findings.add("phantom", "stored, never sent", place=place, submission=doc["submission"])
        effect = expected.pop(place, None)
        if effect is None:
            findings.add("mismatch", "stored, though the rules give it no effect", place=place)
            continue
        ours = (effect.submission, effect.verdict, effect.points, effect.elapsed_us, effect.offset)
        theirs = (doc["submission"], doc["verdict"], doc["points"], doc["elapsed_us"], doc["position"]["offset"])
        if ours != theirs:
            findings.add("mismatch", "stored otherwise than the rules say", place=place, oracle=ours, stored=theirs)
    for place, effect in expected.items():
        findings.add("lost", "logged and right to store, not stored", place=place, submission=effect.submission)


def judge_scores(clients, topics, findings):
    """What the scoring workers and the board reported is the oracle's."""
    for (game, lane, question), outcomes in reported_outcomes(topics, Findings()).items():
        oracle_says = topics.report(game, lane, question)
        if oracle_says is None:
            findings.add("mismatch", "reported without a close", game=game, lane=lane, question=question)
            continue
        for player, outcome in outcomes.items():
            if oracle_says.get(player) != outcome:
                told = {"oracle": oracle_says.get(player), "reported": outcome}
                findings.add("mismatch", "scored otherwise", player=player, question=question, **told)
        for player in oracle_says.keys() - outcomes.keys():
            findings.add("mismatch", "missing in the report", player=player, question=question)
    for row in topics.results:
        published = row["record"] and row["record"]["body"]["outcomes"]
        if not published:
            continue
        game, question = row["record"]["game"], published["question"]
        totals, ranks = topics.standing(game, question)
        for outcome in published["outcomes"]:
            player = outcome["player"]
            told = (outcome["total"], outcome["rank"])
            ours = (totals.get(player), ranks.get(totals.get(player)))
            if told != ours:
                findings.add("mismatch", "published otherwise", player=player, question=question, oracle=ours, told=told)


def republished(topics):
    """Durable results that stand in the log more than once."""
    seen = Counter()
    for row in topics.results:
        record = row["record"]
        if record and record["event_id"]:
            seen[(record["game"], record["event_id"], (record["body"]["outcomes"] or {}).get("part"))] += 1
    return sum(times - 1 for times in seen.values())


def judge(lines, records, stored):
    """All of it. `records` and `stored` are dumps as `dump.py` makes them."""
    clients, topics, findings = Clients(lines), Topics(records), Findings()
    judge_acked(clients, topics, stored, findings)
    judge_log(clients, topics, findings)
    judge_stored(clients, topics, stored, findings)
    judge_scores(clients, topics, findings)
    applied.judge(clients, topics, findings)
    undecodable = sum(row["record"] is None for row in records)
    return {
        **{kind: findings.counts[kind] for kind in KINDS},
        "late": findings.counts["late"],
        "games": len(clients.games),
        "joined": clients.count("joined"),
        "questions": max((line.get("questions", 0) for line in clients.games.values()), default=0),
        "sent": len(clients.sent),
        "acked": len(clients.acked),
        "refused": len(clients.refused),
        "taken": len(clients.taken),
        "logged": len(topics.at),
        "logged_again": len(topics.at) - len({(body["player"], body["submission"]) for _, _, body in topics.at.values()}),
        "republished": republished(topics),
        "stored": len(stored),
        "applied": clients.count("applied"),
        "stale": clients.count("stale"),
        "reconnected": clients.count("reconnected"),
        "undecodable": undecodable,
        **stalls.measure(clients),
        **fair.measure(clients, stored),
        "edge_clocks_apart_s": fair.edge_clocks_apart_s(topics),
        "details": findings.details,
    }


def main():
    """Dumps and judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", required=True)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry")
    parser.add_argument("--schemas", default="schemas/avro")
    parser.add_argument("--mongo", required=True)
    parser.add_argument("--database", default="quizstream")
    args = parser.parse_args()
    lines = dump.read_logs(args.log)
    games = {line["game"]: line for line in lines if line["event"] == "game"}
    if not games:
        print(f"check: no game in the logs of {args.log}", file=sys.stderr)
        return 1
    schemas = dump.Schemas(args.registry, args.schemas)
    records = []
    for topic in dump.TOPICS:
        records.extend(dump.read_topic(args.brokers, topic, games, schemas))
    lanes = [f"{game}/{lane}" for game, line in games.items() for lane in range(line["lanes"])]
    stored = dump.read_answers(args.mongo, args.database, lanes)
    dump.write(args.log, "topics.jsonl", records)
    dump.write(args.log, "answers.jsonl", stored)
    print(json.dumps(judge(lines, records, stored), default=dump.plain))
    return 0


if __name__ == "__main__":
    sys.exit(main())

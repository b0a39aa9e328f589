"""What each client applied, against what the results topic says that it should have."""

from collections import defaultdict

KIND_OF = {"question": "question", "stopped": "closed", "board": "board", "outcomes": "outcome", "over": "over"}


def expected_of(topics):
    """game -> the durable results in the order of the log: (offset, identity, kind, players or None, part).

    A record that is published again after a crash has its first one's identity: a client applies one of them.
    """
    expected = defaultdict(list)
    for row in topics.results:
        record = row["record"]
        if record is None:
            continue
        for name, kind in KIND_OF.items():
            body = record["body"][name]
            if not body:
                continue
            players = {outcome["player"]: outcome for outcome in body["outcomes"]} if name == "outcomes" else None
            identity = (record["event_id"], body["part"] if name == "outcomes" else 0)
            expected[record["game"]].append((row["offset"], identity, kind, players))
    return expected


def judge(clients, topics, findings):
    """Holes, repeats and wrong numbers in what clients applied."""
    expected = expected_of(topics)
    identities = {
        game: {offset: identity for offset, identity, _, _ in rows} for game, rows in expected.items()
    }
    for (game, player), course in clients.courses.items():
        judge_order(game, player, course, identities.get(game, {}), findings)
        judge_holes(game, player, course, expected.get(game, []), findings)
        if player is not None:
            judge_outcomes(game, player, course, topics, findings)
        else:
            judge_boards(game, course, topics, findings)


def judge_order(game, player, course, identities, findings):
    """What is applied live rises, and each result is applied once."""
    newest, seen = None, set()
    for line in course:
        if line["event"] == "reconnected" and not line["recovered"]:
            newest = None
        if line["event"] != "applied" or line["at"] is None:
            continue
        if newest is not None and line["at"] < newest:
            findings.add("gap", "applied an older result", game=game, player=player, at=line["at"], newest=newest)
        newest = line["at"]
        mark = (identities.get(line["at"], line["at"]), line["kind"])
        if mark in seen:
            findings.add("dup", "applied a result twice", game=game, player=player, mark=mark)
        seen.add(mark)


def judge_holes(game, player, course, expected, findings):
    """From its first cursor to the last thing it applied, a client has every durable result that is for it.

    After a reconnect that is not `recovered` the snapshot stands for what was missed, up to its cursor.
    """
    first, have, skipped, last, position = None, set(), [], -1, None
    identity_at = {offset: identity for offset, identity, _, _ in expected}
    for line in course:
        if line["event"] in ("joined", "reconnected") and line.get("cursor"):
            offset = line["cursor"]["offset"]
            if line["event"] == "reconnected" and not line["recovered"]:
                skipped.append((position if position is not None else -1, offset))
            if first is None:
                first = offset
            position = offset if position is None or not line["recovered"] else position
        if line["event"] == "applied" and line["at"] is not None:
            have.add(identity_at.get(line["at"]))
            last, position = max(last, line["at"]), line["at"]
            # The host's first greeting is not in its log: it has everything from its first result on.
            first = line["at"] - 1 if first is None else first
    if first is None or not have:
        return holes_by_question(game, player, course, findings)
    for offset, identity, kind, players in expected:
        if identity in have or offset <= first or offset > last:
            continue
        if players is not None and player not in players:
            continue
        if kind == "outcome" and player is None:
            continue
        if any(lower < offset <= upper for lower, upper in skipped):
            continue
        have.add(identity)
        findings.add("gap", "never applied", game=game, player=player, kind=kind, offset=offset)
    return None


def holes_by_question(game, player, course, findings):
    """For a client without offsets: between its first and its last board none is missing.

    A reconnect may jump over boards, for a snapshot has only the newest.
    """
    newest = None
    for line in course:
        if line["event"] == "reconnected":
            newest = None
        elif line["event"] == "applied" and line["kind"] == "board":
            if newest is not None and line["question"] > newest + 1:
                findings.add("gap", "boards are missing", game=game, player=player, after=newest, next=line["question"])
            newest = line["question"]


def judge_outcomes(game, player, course, topics, findings):
    """A player was told the oracle's points, total and rank."""
    for line in course:
        if line["event"] not in ("applied", "stale") or line["kind"] != "outcome":
            continue
        question = line["question"]
        totals, ranks = topics.standing(game, question)
        lane = topics.lane_of.get((game, player))
        report = (topics.report(game, lane, question) or {}).get(player, {"verdict": "unanswered", "points": 0})
        ours = (report["verdict"], report["points"], totals.get(player), ranks.get(totals.get(player)))
        told = (line["verdict"], line["points"], line["total"], line["rank"])
        if ours != told:
            findings.add("mismatch", "told otherwise", player=player, question=question, oracle=ours, told=told)


def judge_boards(game, course, topics, findings):
    """The host was shown the oracle's best."""
    for line in course:
        if line["event"] != "applied" or line["kind"] != "board" or "top" not in line:
            continue
        totals, ranks = topics.standing(game, line["question"])
        best = sorted(totals.values(), reverse=True)[: len(line["top"])]
        ours = [(ranks[total], total) for total in best]
        shown = [(row[0], row[2]) for row in line["top"]]
        if ours != shown:
            findings.add("mismatch", "another board", game=game, question=line["question"], oracle=ours, shown=shown)

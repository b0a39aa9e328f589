"""The checker itself: silent on a run without fault, and it names each kind of fault that is planted.

Run with `python3 -m unittest discover tests/checker`; it needs neither servers nor packages.
"""

import copy
import sys
import types
import unittest
from fractions import Fraction

# The dump module wants fastavro, which judging a ready-made dump does not.
sys.modules.setdefault("fastavro", types.ModuleType("fastavro"))

import check  # noqa: E402
import dump  # noqa: E402
import oracle  # noqa: E402

GAME, LIMIT_US = "GAME000000000", 10_000_000
PLAYERS = ("ADA0000000000", "BOB0000000000", "CYN0000000000")
QUESTIONS = 3
KEY = {"kind": "single", "options": 3, "correct": b"\x01", "accepted": [], "value": None, "tolerance": None}


def submission(player, question):
    return f"{player[:3]}S{question}".ljust(13, "0")


class World:
    """A small run without fault, written by hand: three players, three questions, everybody answers."""

    def __init__(self):
        self.lines, self.records, self.stored = [], [], []
        self.offsets = {}
        self.clock_us = 1_000_000
        self.line("game", player=None, pin="000001", lanes=1, players=3, questions=QUESTIONS)
        admitted = [{"player": player, "nickname": player, "lane": 0} for player in PLAYERS]
        self.sessions(joins={"admitted": admitted, "refused": []})
        for player in PLAYERS:
            self.line("joined", player, recovered=False, cursor={"epoch": "e", "offset": -1}, nickname=player)
        totals = dict.fromkeys(PLAYERS, 0)
        streaks = dict.fromkeys(PLAYERS, 0)
        for question in range(QUESTIONS):
            self.play(question, totals, streaks)
        self.result("over", {"reason": "finished", "players": 3, "top": []}, "s99")

    def tick(self):
        self.clock_us += 1_000
        return self.clock_us

    def line(self, event, player=None, **fields):
        self.lines.append({"event": event, "ts_us": self.tick(), "game": GAME, "player": player, **fields})

    def append(self, topic, record, key=GAME):
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        row = {"topic": topic, "partition": 3, "offset": offset, "timestamp_ms": 0, "key": key, "record": record}
        self.records.append(row)
        return offset

    def sessions(self, **body):
        full = dict.fromkeys(("joins", "kicked", "closed")) | body
        self.append("quiz.sessions.v1", {"game": GAME, "body": full})

    def answers(self, **body):
        full = dict.fromkeys(("submitted", "opened", "closed")) | body
        return self.append("quiz.answers.v1", {"game": GAME, "lane": 0, "body": full}, f"{GAME}/0")

    def result(self, name, body, event_id, told=None):
        full = dict.fromkeys(("question", "stopped", "board", "outcomes", "over")) | {name: body}
        at = self.append("quiz.results.v1", {"game": GAME, "event_id": event_id, "body": full})
        kind = {"stopped": "closed", "outcomes": "outcome"}.get(name, name)
        for player in (None, *PLAYERS):
            if kind == "outcome" and player is None:
                continue
            fields = {"kind": kind, "at": at, "epoch": "e", "snapshot": False, "question": body.get("question")}
            self.line("applied", player, **fields, **(told or {}).get(player, {}))

    def play(self, question, totals, streaks):
        marker = {"question": question, "key": KEY, "points_max": 1000, "limit_us": LIMIT_US, "streaks": True}
        self.answers(opened=marker)
        self.result("question", {"question": question}, f"s{question}1")
        outcomes = []
        for number, player in enumerate(PLAYERS):
            # Cyn is always wrong; the others are right, each a second later than the one before.
            pick, elapsed_us = (1 if number < 2 else 0), (number + 1) * 1_000_000
            self.answer(question, player, pick, elapsed_us)
            points = 0
            if pick == 1:
                points = 1000 - 50 * (number + 1) + min(100 * streaks[player], 500)
                streaks[player] += 1
            totals[player] += points
            verdict = "correct" if pick == 1 else "wrong"
            self.stored.append(
                {"game": GAME, "player": player, "question": question, "submission": submission(player, question),
                 "verdict": verdict, "points": points, "elapsed_us": elapsed_us,
                 "position": {"partition": 3, "offset": self.offsets["quiz.answers.v1"] - 1}})
            outcomes.append({"player": player, "verdict": verdict, "points": points, "total": totals[player],
                             "streak": streaks[player]})
        self.answers(closed={"question": question})
        self.sessions(closed={"question": question})
        self.result("stopped", {"question": question}, f"s{question}2")
        scored = {"game": GAME, "lane": 0, "question": question, "body": {"scored": {"outcomes": outcomes}}}
        self.append("quiz.scores.v1", scored)
        rows = sorted(outcomes, key=lambda outcome: -outcome["total"])
        top = [[rank + 1, row["player"], row["total"], row["points"]] for rank, row in enumerate(rows)]
        self.result("board", {"question": question}, f"q{question}.board", {None: {"top": top}})
        ranked = [{**row, "rank": rank + 1} for rank, row in enumerate(rows)]
        told = {row["player"]: {name: row[name] for name in ("verdict", "points", "total", "rank")} for row in ranked}
        self.result("outcomes", {"question": question, "part": 0, "outcomes": ranked}, f"q{question}.outcomes.0", told)

    def answer(self, question, player, pick, elapsed_us):
        fields = {"question": question, "submission": submission(player, question)}
        self.line("sent", player, **fields, picks=[pick], intended_us=self.clock_us, **{"try": 1})
        response = {"picks": bytes([pick]), "text": None, "number": None}
        body = {**fields, "player": player, "response": response, "elapsed_us": elapsed_us}
        offset = self.answers(submitted=body)
        self.line("acked", player, **fields, receipt=f"r{offset}", position=[3, offset], ack_us=900, **{"try": 1})

    def verdict(self):
        return check.judge(self.lines, self.records, self.stored)

    def row(self, topic, name, number=0):
        rows = [row for row in self.records if row["topic"] == topic and row["record"]["body"].get(name)]
        return rows[number]

    def applied(self, player, kind, question):
        return next(
            line for line in self.lines
            if line["event"] == "applied" and (line["player"], line["kind"], line["question"]) == (player, kind, question)
        )


class PlantedFaults(unittest.TestCase):
    def setUp(self):
        self.world = World()

    def found(self, **expected):
        verdict = self.world.verdict()
        counts = {kind: verdict[kind] for kind in check.KINDS}
        for kind, least in expected.items():
            self.assertGreaterEqual(counts.pop(kind), least, (kind, verdict))
        return verdict, counts

    def test_a_run_without_fault_has_none(self):
        verdict, counts = self.found()
        self.assertEqual(sum(counts.values()), 0, verdict["details"])
        self.assertEqual((verdict["sent"], verdict["acked"], verdict["stored"]), (9, 9, 9))

    def test_lost_when_an_acked_answer_is_not_stored(self):
        self.world.stored.pop()
        _, others = self.found(lost=1)
        self.assertEqual(sum(others.values()), 0)

    def test_lost_when_an_acked_answer_is_not_in_the_log(self):
        self.world.records.remove(self.world.row("quiz.answers.v1", "submitted", 4))
        self.found(lost=1)

    def test_lost_when_an_acked_answer_is_not_reported(self):
        self.world.row("quiz.scores.v1", "scored", 1)["record"]["body"]["scored"]["outcomes"].pop()
        self.found(lost=1)

    def test_lost_when_another_answer_took_its_place(self):
        usurper = copy.deepcopy(self.world.row("quiz.answers.v1", "submitted", 4))
        usurper["record"]["body"]["submitted"]["submission"] = "X" * 13
        usurper["offset"] -= 0.5
        self.world.records.append(usurper)
        self.found(lost=1, phantom=1)

    def test_late_when_an_acked_answer_is_behind_the_close(self):
        row = self.world.row("quiz.answers.v1", "submitted", 0)
        close = self.world.row("quiz.answers.v1", "closed", 0)
        acked = next(line for line in self.world.lines if line["event"] == "acked")
        row["offset"] = close["offset"] + 0.5
        acked["position"] = [3, row["offset"]]
        verdict, _ = self.found(mismatch=1)
        self.assertEqual(verdict["late"], 1)

    def test_phantom_when_the_store_has_what_nobody_sent(self):
        self.world.stored[0]["submission"] = "X" * 13
        self.found(phantom=1)

    def test_phantom_when_the_log_has_what_nobody_sent(self):
        self.world.lines = [line for line in self.world.lines if line["event"] != "sent" or line["question"] != 1]
        self.found(phantom=3)

    def test_dup_when_a_submission_is_stored_twice(self):
        self.world.stored.append({**self.world.stored[0], "question": 2})
        self.found(dup=1)

    def test_dup_when_a_resend_gets_another_receipt(self):
        acked = next(line for line in self.world.lines if line["event"] == "acked")
        self.world.lines.append({**acked, "receipt": "another"})
        _, others = self.found(dup=1)
        self.assertEqual(sum(others.values()), 0)

    def test_dup_when_a_client_applies_a_result_twice(self):
        self.world.lines.append(copy.deepcopy(self.world.applied(PLAYERS[0], "board", 2)))
        self.found(dup=1)

    def test_a_resend_in_the_log_has_no_effect_and_is_no_fault(self):
        again = copy.deepcopy(self.world.row("quiz.answers.v1", "submitted", 0))
        again["offset"] += 0.5
        self.world.records.append(again)
        verdict, counts = self.found()
        self.assertEqual(sum(counts.values()), 0, verdict["details"])
        self.assertEqual(verdict["logged_again"], 1)

    def test_mismatch_when_the_store_has_other_points(self):
        self.world.stored[4]["points"] += 1
        _, others = self.found(mismatch=1)
        self.assertEqual(sum(others.values()), 0)

    def test_mismatch_when_a_worker_reports_other_points(self):
        self.world.row("quiz.scores.v1", "scored", 1)["record"]["body"]["scored"]["outcomes"][0]["points"] += 1
        self.found(mismatch=1)

    def test_mismatch_when_a_player_is_told_another_total(self):
        self.world.applied(PLAYERS[1], "outcome", 2)["total"] += 100
        _, others = self.found(mismatch=1)
        self.assertEqual(sum(others.values()), 0)

    def test_mismatch_when_the_host_is_shown_another_board(self):
        self.world.applied(None, "board", 1)["top"][0][2] += 1
        _, others = self.found(mismatch=1)
        self.assertEqual(sum(others.values()), 0)

    def test_mismatch_when_another_response_is_logged(self):
        self.world.row("quiz.answers.v1", "submitted", 8)["record"]["body"]["submitted"]["response"]["picks"] = b"\x02"
        self.found(mismatch=1)

    def test_gap_when_a_client_misses_a_result(self):
        self.world.lines.remove(self.world.applied(PLAYERS[2], "outcome", 1))
        _, others = self.found(gap=1)
        self.assertEqual(sum(others.values()), 0)

    def test_gap_when_an_older_result_is_applied(self):
        late = self.world.applied(PLAYERS[0], "board", 1)
        self.world.lines.remove(late)
        self.world.lines.append(late)
        _, others = self.found(gap=1)
        self.assertEqual(sum(others.values()), 0)

    def test_a_result_that_is_published_again_is_applied_once(self):
        again = copy.deepcopy(self.world.row("quiz.results.v1", "board", 1))
        again["offset"] += 0.5
        self.world.records.append(again)
        verdict, counts = self.found()
        self.assertEqual(sum(counts.values()), 0, verdict["details"])

    def test_a_snapshot_stands_for_what_was_missed(self):
        ada = PLAYERS[0]
        missed = self.world.applied(ada, "board", 1)
        place = self.world.lines.index(missed)
        cursor = {"epoch": "e", "offset": missed["at"]}
        back = {**missed, "event": "reconnected", "recovered": False, "cursor": cursor, "took_ms": 5}
        self.world.lines[place] = back
        verdict, counts = self.found()
        self.assertEqual(sum(counts.values()), 0, verdict["details"])
        # One that claims to have recovered everything must have everything.
        self.world.lines[place] = {**back, "recovered": True}
        self.found(gap=1)

    def test_time_credit_is_measured(self):
        for line in self.world.lines:
            line["mono_us"] = 0
            if line["event"] == "sent":
                line["mono_us"] = (PLAYERS.index(line["player"]) + 1) * 1_000_000
        verdict = self.world.verdict()
        self.assertEqual((verdict["credit_lost_ms"], verdict["credit_gained_ms"]), (0.0, 0.0))
        self.world.stored[0]["elapsed_us"] += 250_000
        self.world.stored[1]["elapsed_us"] -= 125_000
        verdict = self.world.verdict()
        self.assertEqual((verdict["credit_lost_ms"], verdict["credit_gained_ms"]), (250.0, 125.0))

    def test_waits_are_measured(self):
        self.assertEqual(self.world.verdict()["unavailable_s"], 0.0)
        for line in self.world.lines:
            if line["event"] == "acked" and line["question"] == 1:
                line["ts_us"] += 4_000_000
        self.assertAlmostEqual(self.world.verdict()["unavailable_s"], 4.0, places=1)


class Rules(unittest.TestCase):
    def test_speed_pays_as_published(self):
        whole = Fraction(1)
        cases = [(2_000_000, 30_000_000, 1000, 967), (0, 30_000_000, 1000, 1000), (499_999, 1_000_000, 1000, 1000),
                 (500_000, 1_000_000, 1000, 750), (31_000_000, 30_000_000, 1000, 500), (1_000_000, 1_000_000_000, 1000, 1000)]
        for elapsed_us, limit_us, most, points in cases:
            self.assertEqual(oracle.speed_v1(whole, elapsed_us, limit_us, most), points)
        self.assertEqual(oracle.speed_v1(Fraction(1, 2), 2_000_000, 30_000_000, 1000), 484)

    def test_responses_are_judged_by_kind(self):
        def response(picks=(), text=None, number=None):
            return {"picks": bytes(picks), "text": text, "number": number}

        many = {**KEY, "kind": "multiple", "options": 4, "correct": b"\x00\x02"}
        order = {**KEY, "kind": "order", "options": 0, "correct": b"\x02\x00\x01"}
        text = {**KEY, "kind": "text", "options": 0, "accepted": ["Z\u00fcrich"]}
        number = {**KEY, "kind": "number", "options": 0, "value": 0.7, "tolerance": 0.1}
        for key, given, verdict in [
            (KEY, response([1]), "correct"), (KEY, response([0, 1]), None), (KEY, response([3]), None),
            (many, response([0, 2]), "correct"), (many, response([0]), "partial"), (many, response([0, 1]), "wrong"),
            (many, response([]), None), (order, response([2, 0, 1]), "correct"), (order, response([2, 1, 0]), "partial"),
            (order, response([2, 0]), None), (text, response(text=" ZURICH "), "correct"), (text, response(text=" "), None),
            (number, response(number=0.8), "correct"), (number, response(number=0.81), "wrong"), (number, response([1]), None),
        ]:
            judgement = oracle.judged(key, given)
            self.assertEqual(judgement and judgement[0], verdict, (key["kind"], given))

    def test_ties_share_a_rank(self):
        self.assertEqual(oracle.ranks([10, 30, 10, 20]), {30: 1, 20: 2, 10: 3})

    def test_kcat_output_is_cut_by_lengths(self):
        data = b"0 7 123 3 4\nkeya\nbc" + b"1 8 124 -1 -1\n" + b"1 9 125 0 2\n\n\n"
        self.assertEqual(
            list(dump.split_kcat(data)),
            [(0, 7, 123, b"key", b"a\nbc"), (1, 8, 124, None, None), (1, 9, 125, b"", b"\n\n")],
        )


if __name__ == "__main__":
    unittest.main()

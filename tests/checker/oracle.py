"""What each answer must have led to, worked out one record after another from the answers topic.

Written from the tables of docs/ARCHITECTURE.md, and from nothing else: if this and the pipeline agree, two
people read the rules the same way.
"""

import math
import unicodedata
from dataclasses import dataclass, field
from fractions import Fraction

GRACE_US = 300_000
FULL_PAY_US = 500_000
TEXT_CHARS_MAX = 200
# Characters that phones type in place of the plain ones.
STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2010": "-", "\u2013": "-", "\u2014": "-"})


def half_up(number):
    """A fraction rounded to an integer, halves upwards."""
    return math.floor(number + Fraction(1, 2))


def speed_v1(share, elapsed_us, limit_us, points_max):
    """Points for an answer that is right to `share` (0 to 1) after `elapsed_us`."""
    taken = min(max(elapsed_us, 0), limit_us)
    if taken < FULL_PAY_US:
        full = points_max
    else:
        full = half_up(Fraction(points_max) * (1 - Fraction(taken, limit_us) / 2))
    return half_up(full * share)


def folded(text):
    """A text as a kind quizmaster compares it."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return " ".join(plain.translate(STRAIGHT).split())


def judged(key, response):
    """(verdict, share of a right answer), or None for what is no answer to such a question."""
    kind, options = key["kind"], key["options"]
    picks, text, number = list(response["picks"]), response["text"], response["number"]
    if kind == "text":
        if text is None or len(text) > TEXT_CHARS_MAX or not folded(text):
            return None
        return right_or_wrong(folded(text) in {folded(accepted) for accepted in key["accepted"]})
    if kind == "number":
        if number is None or not math.isfinite(number):
            return None
        return right_or_wrong(is_near(number, key["value"], key["tolerance"]))
    if text is not None or number is not None:
        return None
    correct = list(key["correct"])
    if kind == "order":
        options = len(correct)
    if len(set(picks)) != len(picks) or any(pick >= options for pick in picks):
        return None
    if kind in ("single", "true_false"):
        return right_or_wrong(picks[0] in correct) if len(picks) == 1 else None
    if kind == "poll":
        return ("counted", Fraction(0)) if len(picks) == 1 else None
    if kind == "multiple":
        if not picks:
            return None
        hits = len(set(picks) & set(correct))
        return credit(hits - (len(picks) - hits), len(correct))
    if kind == "order":
        if len(picks) != options:
            return None
        return credit(sum(mine == right for mine, right in zip(picks, correct)), options)
    return None


def right_or_wrong(right):
    """All or nothing."""
    return ("correct", Fraction(1)) if right else ("wrong", Fraction(0))


def credit(earned, possible):
    """Part of a right answer."""
    if earned <= 0:
        return ("wrong", Fraction(0))
    return ("correct" if earned >= possible else "partial", Fraction(min(earned, possible), possible))


def is_near(number, value, tolerance):
    """Numbers are typed in decimal, so a tolerance has a slack of a few units in the last place."""
    if not tolerance:
        return number == value
    return abs(number - value) <= tolerance + 4 * 2.0**-52 * max(abs(number), abs(value), tolerance)


@dataclass
class Effect:
    """What a player's first answer to a question led to."""

    submission: str
    offset: int
    verdict: str
    points: int
    elapsed_us: int


@dataclass
class Player:
    """A player's standing in a lane."""

    total: int = 0
    streak: int = 0
    given: dict = field(default_factory=dict)


@dataclass
class Report:
    """A lane's totals at the close of a question."""

    question: int
    outcomes: dict


class Lane:
    """One lane, fed with the records of its key in the order of their partition."""

    def __init__(self, name):
        self.name = name
        self.players = {}
        self.marker = None
        self.last_closed = None
        self.reports = []
        # submission -> list of (question, player, outcome, offset), one for each record.
        self.judgements = {}
        self.counts = {}

    def feed(self, offset, body):
        """Takes the next record."""
        if body["opened"] is not None:
            self.marker = body["opened"]
        elif body["closed"] is not None:
            self._close(body["closed"]["question"])
        elif body["submitted"] is not None:
            self._answer(offset, body["submitted"])

    def _answer(self, offset, answer):
        outcome = self._judge(offset, answer)
        entry = (answer["question"], answer["player"], outcome, offset)
        self.judgements.setdefault(answer["submission"], []).append(entry)

    def _judge(self, offset, answer):
        question = answer["question"]
        is_open = self.marker is not None and self.marker["question"] == question
        if not is_open and self.last_closed != question:
            return "refused"
        player = self.players.setdefault(answer["player"], Player())
        if question in player.given:
            return "duplicate"
        if not is_open:
            player.given[question] = Effect(answer["submission"], offset, "late", 0, answer["elapsed_us"])
            return "late"
        limit_us = self.marker["limit_us"]
        elapsed_us = min(max(answer["elapsed_us"], 0), limit_us)
        if answer["elapsed_us"] > limit_us + GRACE_US:
            player.given[question] = Effect(answer["submission"], offset, "late", 0, elapsed_us)
            return "late"
        judgement = judged(self.marker["key"], answer["response"])
        if judgement is None:
            return "refused"
        verdict, share = judgement
        points = speed_v1(share, elapsed_us, limit_us, self.marker["points_max"])
        if verdict == "correct" and self.marker["streaks"] and self.marker["points_max"] > 0:
            points += min(100 * player.streak, 500)
        player.given[question] = Effect(answer["submission"], offset, verdict, points, elapsed_us)
        return "scored"

    def _close(self, question):
        if self.marker is None or self.marker["question"] != question:
            return
        poll = self.marker["key"]["kind"] == "poll"
        outcomes = {}
        for name, player in self.players.items():
            effect = player.given.get(question)
            verdict = effect.verdict if effect else "unanswered"
            points = effect.points if effect else 0
            player.total += points
            if not poll:
                player.streak = player.streak + 1 if verdict == "correct" else 0
            outcomes[name] = {"verdict": verdict, "points": points, "total": player.total, "streak": player.streak}
        self.reports.append(Report(question, outcomes))
        self.last_closed, self.marker = question, None


def run(records):
    """The lanes of a dump of the answers topic, by key."""
    lanes = {}
    for row in sorted(records, key=lambda row: (row["partition"], row["offset"])):
        if row["record"] is not None:
            lanes.setdefault(row["key"], Lane(row["key"])).feed(row["offset"], row["record"]["body"])
    return lanes


def ranks(totals):
    """The rank of each total: ties share one, the next skips."""
    order = sorted(totals, reverse=True)
    return {total: order.index(total) + 1 for total in set(order)}

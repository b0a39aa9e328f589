"""The four records of a run, arranged for comparing: what clients saw, what the topics and the store hold."""

from collections import defaultdict

import oracle


class Clients:
    """What the clients wrote down."""

    def __init__(self, lines):
        self.lines = lines
        self.games = {line["game"]: line for line in lines if line["event"] == "game"}
        # (game, player, question, submission) -> the first line of each kind.
        self.sent = self._first("sent")
        self.acked = self._first("acked")
        self.refused = self._first("refused")
        self.taken = self._first("taken")
        self.submissions = {key[3] for key in self.sent}
        self.receipts = defaultdict(set)
        self.responses = defaultdict(set)
        # (game, player) -> applied lines, joins and reconnects, in the order in which they happened.
        self.courses = defaultdict(list)
        for line in lines:
            if line["event"] == "acked":
                self.receipts[answer_key(line)].add(line["receipt"])
            elif line["event"] == "sent":
                self.responses[answer_key(line)].add(response_of(line))
            elif line["event"] in ("joined", "reconnected", "applied", "stale"):
                self.courses[(line["game"], line["player"])].append(line)

    def _first(self, event):
        found = {}
        for line in self.lines:
            if line["event"] == event:
                found.setdefault(answer_key(line), line)
        return found

    def count(self, event):
        """How many lines of an event there are."""
        return sum(line["event"] == event for line in self.lines)


def answer_key(line):
    """Whose answer to what."""
    return (line["game"], line["player"], line["question"], line["submission"])


def response_of(line):
    """What was answered, as something that can be compared."""
    return (tuple(line.get("picks") or ()), line.get("text"), line.get("number"))


class Topics:
    """What the topics hold."""

    def __init__(self, records):
        by_topic = defaultdict(list)
        for row in records:
            by_topic[row["topic"]].append(row)
        self.answers = by_topic["quiz.answers.v1"]
        self.scores = by_topic["quiz.scores.v1"]
        self.results = sorted(by_topic["quiz.results.v1"], key=lambda row: row["offset"])
        self.sessions = sorted(by_topic["quiz.sessions.v1"], key=lambda row: row["offset"])
        self.lanes = oracle.run(self.answers)
        self.at = {}
        for row in self.answers:
            body = row["record"] and row["record"]["body"]["submitted"]
            if body:
                self.at[(row["partition"], row["offset"])] = (row["record"]["game"], row["record"]["lane"], body)
        self.lane_of, self.members = self._members()

    def _members(self):
        """Each player's lane, and who was in a game when each of its questions closed."""
        lane_of, inside, members = {}, defaultdict(set), {}
        for row in self.sessions:
            record = row["record"]
            if record is None:
                continue
            game, body = record["game"], record["body"]
            if body["joins"]:
                for admitted in body["joins"]["admitted"]:
                    lane_of[(game, admitted["player"])] = admitted["lane"]
                    inside[game].add(admitted["player"])
            if body["kicked"]:
                inside[game].discard(body["kicked"]["player"])
            if body["closed"]:
                members[(game, body["closed"]["question"])] = frozenset(inside[game])
        return lane_of, members

    def report(self, game, lane, question):
        """What the oracle says a lane reported at the close of a question."""
        found = self.lanes.get(f"{game}/{lane}")
        return next((r.outcomes for r in found.reports if r.question == question), None) if found else None

    def standing(self, game, question):
        """Each member's total after a question, and the ranks of the totals."""
        totals = {}
        for player in self.members.get((game, question), ()):
            report = self.report(game, self.lane_of[(game, player)], question) or {}
            totals[player] = report.get(player, {}).get("total", 0)
        return totals, oracle.ranks(list(totals.values()))

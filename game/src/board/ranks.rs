//! From totals to ranks.

use super::roster::{Entry, Roster};
use quiz_schemas::LaneNo;
use quiz_schemas::events::{BoardRow, Outcome, PlayerScore, Verdict};

/// The distinct totals of a game, best first, each with its rank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ranks {
    /// (total, rank), totals descending.
    steps: Vec<(i64, i32)>,
    players: i32,
}

impl Ranks {
    /// The ranks of these totals, one for each player.
    #[must_use]
    pub fn of(mut totals: Vec<i64>) -> Self {
        totals.sort_unstable_by(|a, b| b.cmp(a));
        let players = totals.len() as i32;
        let mut steps: Vec<(i64, i32)> = Vec::new();
        for (better, total) in totals.into_iter().enumerate() {
            if steps.last().is_none_or(|last| last.0 != total) {
                steps.push((total, better as i32 + 1));
            }
        }
        Self { steps, players }
    }

    /// The rank that `total` has, from 1, and how many points it is behind the next better total; 0
    /// for the best. For a total that no player has: the rank it would have.
    #[must_use]
    pub fn rank(&self, total: i64) -> (i32, i64) {
        let at = self.steps.partition_point(|step| step.0 > total);
        let rank = self.steps.get(at).map_or(self.players + 1, |step| step.1);
        let gap = at.checked_sub(1).map_or(0, |better| self.steps[better].0 - total);
        (rank, gap)
    }
}

/// Everybody's standing at one moment of a game.
#[derive(Debug)]
pub struct Standing<'a> {
    members: Vec<Member<'a>>,
    ranks: Ranks,
}

#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    entry: &'a Entry,
    score: Option<&'a PlayerScore>,
    total: i64,
}

impl<'a> Standing<'a> {
    pub(super) fn new(roster: &'a Roster, seq: i64, lanes: impl Iterator<Item = (LaneNo, &'a [PlayerScore])>) -> Self {
        let entries = roster.entries();
        let mut scores: Vec<Option<&PlayerScore>> = vec![None; entries.len()];
        for (lane, rows) in lanes {
            for row in rows {
                // A player who never got in, or a row of a lane that is not the player's, counts nowhere.
                if let Some(at) = roster.index(row.player).filter(|&at| entries[at].lane == lane) {
                    scores[at] = Some(row);
                }
            }
        }
        let members: Vec<Member<'a>> = entries
            .iter()
            .zip(scores)
            .filter(|(entry, _)| entry.is_in(seq))
            .map(|(entry, score)| Member { entry, score, total: score.map_or(0, |row| row.total) })
            .collect();
        let ranks = Ranks::of(members.iter().map(|member| member.total).collect());
        Self { members, ranks }
    }

    /// How many players are on the board.
    #[must_use]
    pub fn players(&self) -> i32 {
        self.members.len() as i32
    }

    /// The first `rows` rows: best total first, the rows of a tie by nickname, then by id.
    #[must_use]
    pub fn top(&self, rows: usize) -> Vec<BoardRow> {
        let mut best = self.members.clone();
        let order = |a: &Member<'_>, b: &Member<'_>| {
            (b.total, &a.entry.fold, a.entry.player).cmp(&(a.total, &b.entry.fold, b.entry.player))
        };
        if rows > 0 && rows < best.len() {
            best.select_nth_unstable_by(rows - 1, order);
        }
        best.truncate(rows);
        best.sort_unstable_by(order);
        best.iter()
            .map(|member| BoardRow {
                rank: self.ranks.rank(member.total).0,
                player: member.entry.player,
                nickname: member.entry.nickname.clone(),
                total: member.total,
                points: member.score.map_or(0, |row| row.points),
            })
            .collect()
    }

    /// Each lane's personal outcomes, in the order of admission, for `lanes` lanes.
    #[must_use]
    pub fn outcomes(&self, lanes: LaneNo) -> Vec<Vec<Outcome>> {
        let mut by_lane: Vec<Vec<Outcome>> = vec![Vec::new(); usize::from(lanes)];
        for member in &self.members {
            if let Some(lane) = by_lane.get_mut(usize::from(member.entry.lane)) {
                lane.push(self.outcome(member));
            }
        }
        by_lane
    }

    fn outcome(&self, member: &Member<'_>) -> Outcome {
        let (rank, gap) = self.ranks.rank(member.total);
        Outcome {
            player: member.entry.player,
            verdict: member.score.map_or(Verdict::Unanswered, |row| row.verdict),
            points: member.score.map_or(0, |row| row.points),
            total: member.total,
            rank,
            gap,
            streak: member.score.map_or(0, |row| row.streak),
        }
    }
}

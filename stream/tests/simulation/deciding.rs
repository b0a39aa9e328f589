//! A toy transactional group: every input leads to one numbered decision and one marker in another
//! topic, and every game has its turns when their time has come. Its state is the fold of its
//! own decisions. It does not drop inputs that it reads twice, unless told to: exactly once must come
//! of the transactions.

use std::collections::BTreeMap;

use quiz_schemas::events::{AnswersRecord, Cause, GameOver, LaneClosed, OverReason, PresenceChanged, SessionsRecord};
use quiz_schemas::{AnyEvent, GameId, PlayerId, Topic};
use quiz_stream::{Delivery, GroupSpec, Output, Processor, Record};

/// After how long a game has its next turn, µs.
pub const TURN_US: i64 = 120_000;

/// How many turns a game has: decisions that no input leads to.
pub const TURNS: u32 = 3;

#[derive(Default)]
struct Game {
    seq: i64,
    turns: u32,
    turn_at_us: Option<i64>,
}

impl Game {
    fn next_turn_us(&self) -> Option<i64> {
        self.turn_at_us.filter(|_| self.turns < TURNS)
    }
}

/// What the toy remembers of a partition number.
#[derive(Default)]
pub struct State {
    games: BTreeMap<GameId, Game>,
    /// The highest cause folded in, by topic.
    causes: BTreeMap<Topic, i64>,
}

pub struct Deciding {
    /// Whether inputs that were decided already are dropped.
    pub drops_known: bool,
}

fn fold(state: &mut State, decision: &SessionsRecord) {
    let game = state.games.entry(decision.game).or_default();
    game.seq = decision.seq + 1;
    let turn_at_us = decision.at_us + TURN_US;
    game.turn_at_us = game.turn_at_us.or(Some(turn_at_us));
    match &decision.cause {
        Some(cause) => {
            let topic = Topic::from_name(&cause.topic).expect("a cause names one of our topics");
            let highest = state.causes.entry(topic).or_insert(-1);
            *highest = cause.offset.max(*highest);
        }
        None => {
            game.turns += 1;
            game.turn_at_us = Some(turn_at_us);
        }
    }
}

fn decide(state: &mut State, output: &mut Output<()>, decision: SessionsRecord) {
    let marker = LaneClosed { question: 1, closed_at_us: decision.seq };
    fold(state, &decision);
    output.produce.push(AnswersRecord { game: decision.game, lane: 0, body: marker.into() }.into());
    output.produce.push(decision.into());
}

impl Processor for Deciding {
    type State = State;
    type Key = ();
    type Doc = ();
    type Write = ();

    fn group(&self) -> GroupSpec {
        GroupSpec {
            id: "toy.deciding",
            reads: &[Topic::Commands, Topic::Joins],
            restores_from: Some(Topic::Sessions),
            delivery: Delivery::Transactional,
        }
    }

    fn start(&self, _partition: i32) -> State {
        State::default()
    }

    fn restore(&self, state: &mut State, records: &[Record]) {
        for record in records {
            if let AnyEvent::Sessions(decision) = &record.event {
                fold(state, decision);
            }
        }
    }

    fn apply(&self, state: &mut State, batch: &[Record], now_us: i64) -> Output<()> {
        let mut output = Output::default();
        for record in batch {
            if self.drops_known && state.causes.get(&record.topic).is_some_and(|&highest| record.offset <= highest) {
                continue;
            }
            let game = match &record.event {
                AnyEvent::Commands(event) => event.game,
                AnyEvent::Joins(event) => event.game,
                other => panic!("not an input: {other:?}"),
            };
            let presence = PresenceChanged {
                connected: vec![PlayerId::from_bits(record.offset.cast_unsigned())],
                edges: vec![],
                disconnected: vec![],
                answered: vec![],
            };
            let cause = Cause { topic: record.topic.name().into(), offset: record.offset };
            let seq = state.games.get(&game).map_or(0, |game| game.seq);
            let decision = SessionsRecord { game, seq, at_us: now_us, cause: Some(cause), body: presence.into() };
            decide(state, &mut output, decision);
        }
        output
    }

    fn next_tick_us(&self, state: &State) -> Option<i64> {
        state.games.values().filter_map(Game::next_turn_us).min()
    }

    fn tick(&self, state: &mut State, now_us: i64) -> Output<()> {
        let mut output = Output::default();
        let due = |game: &Game| game.next_turn_us().is_some_and(|at_us| at_us <= now_us);
        let turns: Vec<(GameId, i64)> =
            state.games.iter().filter(|(_, game)| due(game)).map(|(id, game)| (*id, game.seq)).collect();
        for (game, seq) in turns {
            let body = GameOver { reason: OverReason::Expired };
            decide(state, &mut output, SessionsRecord { game, seq, at_us: now_us, cause: None, body: body.into() });
        }
        output
    }
}

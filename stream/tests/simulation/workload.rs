//! What is put into the input topics: good records, and bad ones of every kind.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use quiz_schemas::events::{
    AnswerSubmitted, AnswersRecord, CommandsRecord, EndGame, JoinsRecord, LaneClosed, LaneOpened, PlayerConnected,
};
use quiz_schemas::quiz::{AnswerKey, Picks, Response};
use quiz_schemas::{AnyEvent, Codec, GameId, LaneKey, PlayerId, SchemaId, SubmissionId, Topic};

use crate::rng::Rng;

/// One codec for all runs: a run that needs a schema id which is not known yet takes a new one.
pub static CODEC: LazyLock<std::sync::Arc<Codec>> = LazyLock::new(|| std::sync::Arc::new(Codec::with_fixed_ids()));
static NEXT_SCHEMA: AtomicU32 = AtomicU32::new(1_000);

/// A record to append.
pub struct Input {
    pub topic: Topic,
    pub key: Bytes,
    pub value: Bytes,
    /// Why it must end in the dead-letter topic.
    pub dead: Option<&'static str>,
}

/// The inputs of one run, in the order in which they are appended.
pub struct Workload {
    pub inputs: Vec<Input>,
    /// Schema ids that the registry has and the codec does not.
    pub registered: BTreeMap<SchemaId, Topic>,
}

struct Builder<'a> {
    rng: &'a mut Rng,
    registered: BTreeMap<SchemaId, Topic>,
    newer: Option<SchemaId>,
    absent: Option<SchemaId>,
}

fn fresh_id() -> SchemaId {
    NEXT_SCHEMA.fetch_add(1, Ordering::Relaxed)
}

fn with_id(value: &[u8], id: SchemaId) -> Bytes {
    [&[0][..], &id.to_be_bytes(), &value[5..]].concat().into()
}

impl Builder<'_> {
    fn good(&mut self, event: &AnyEvent) -> Input {
        let value = CODEC.encode_any(event).expect("a toy event encodes");
        let topic = event.topic();
        // Some writers are newer than this build's codec.
        let value = if self.rng.chance(40) {
            let id = *self.newer.get_or_insert_with(fresh_id);
            match *self.registered.entry(id).or_insert(topic) == topic {
                true => with_id(&value, id),
                false => value.into(),
            }
        } else {
            value.into()
        };
        Input { topic, key: event.key().as_bytes().to_vec().into(), value, dead: None }
    }

    fn poison(&mut self, event: &AnyEvent) -> Input {
        let good = CODEC.encode_any(event).expect("a toy event encodes");
        let (value, dead): (Bytes, _) = match self.rng.below(5) {
            0 => (Bytes::new(), "too_short"),
            1 => (Bytes::from_static(b"\x09 not a record"), "magic"),
            2 => (good[..good.len() - 1].to_vec().into(), "datum"),
            3 => ([&good[..], b"more"].concat().into(), "trailing"),
            _ => (with_id(&good, *self.absent.get_or_insert_with(fresh_id)), "unknown_schema"),
        };
        Input { topic: event.topic(), key: event.key().as_bytes().to_vec().into(), value, dead: Some(dead) }
    }
}

fn submitted(lane: LaneKey, id: u64, value: i64) -> AnyEvent {
    let answer = AnswerSubmitted {
        question: 0,
        player: PlayerId::from_bits(id),
        submission: SubmissionId::from_bits(id),
        response: Response::Picks(Picks::one(0)),
        received_at_us: 0,
        elapsed_us: value,
        edge: "sim".into(),
    };
    AnswersRecord { game: lane.game, lane: lane.lane, body: answer.into() }.into()
}

fn opened(lane: LaneKey) -> AnyEvent {
    let key = AnswerKey::Poll { options: 2 };
    let opened = LaneOpened {
        question: 0,
        key,
        points_max: 0,
        limit_us: 1,
        rule: "toy".into(),
        streaks: false,
        opened_at_us: 0,
    };
    AnswersRecord { game: lane.game, lane: lane.lane, body: opened.into() }.into()
}

fn closed(lane: LaneKey) -> AnyEvent {
    AnswersRecord { game: lane.game, lane: lane.lane, body: LaneClosed { question: 0, closed_at_us: 0 }.into() }.into()
}

/// Takes from the front of a random list until all are empty.
fn interleave(rng: &mut Rng, mut lists: Vec<Vec<Input>>) -> Vec<Input> {
    lists.iter_mut().for_each(|list| list.reverse());
    let mut inputs = Vec::new();
    while !lists.is_empty() {
        let at = rng.below(lists.len());
        match lists[at].pop() {
            Some(input) => inputs.push(input),
            None => drop(lists.swap_remove(at)),
        }
    }
    inputs
}

impl Workload {
    /// Lanes that open, take answers, close, and take late answers; all are closed at the end.
    pub fn counting(rng: &mut Rng) -> Self {
        let lanes = 2 + rng.below(5);
        let mut builder = Builder { rng, registered: BTreeMap::new(), newer: None, absent: None };
        let mut id = 0;
        let mut lists = Vec::new();
        for number in 0..lanes {
            let lane = LaneKey { game: GameId::from_bits(1 + builder.rng.below(3) as u64), lane: number as u16 };
            let mut list = Vec::new();
            for _ in 0..1 + builder.rng.below(3) {
                list.push(builder.good(&opened(lane)));
                for _ in 0..builder.rng.below(12) {
                    id += 1;
                    let value = 1 + builder.rng.below(1000) as i64;
                    match builder.rng.below(20) {
                        0 => list.push(builder.poison(&submitted(lane, id, value))),
                        1 => {
                            let refused = builder.good(&submitted(lane, id, -1));
                            list.push(Input { dead: Some(crate::counting::REFUSED), ..refused });
                        }
                        _ => list.push(builder.good(&submitted(lane, id, value))),
                    }
                }
                list.push(builder.good(&closed(lane)));
                for _ in 0..builder.rng.below(3) {
                    id += 1;
                    list.push(builder.good(&submitted(lane, id, 7)));
                }
            }
            lists.push(list);
        }
        let registered = builder.registered;
        Self { inputs: interleave(rng, lists), registered }
    }

    /// Inputs of a few games on two topics.
    pub fn deciding(rng: &mut Rng) -> Self {
        let games = 1 + rng.below(4) as u64;
        let mut builder = Builder { rng, registered: BTreeMap::new(), newer: None, absent: None };
        let mut inputs = Vec::new();
        for number in 0..15 + builder.rng.below(30) {
            let game = GameId::from_bits(builder.rng.next() % games);
            let body = PlayerConnected { player: PlayerId::from_bits(number as u64) };
            let event: AnyEvent = match builder.rng.below(2) {
                0 => JoinsRecord { game, at_us: 0, edge: "sim".into(), body: body.into() }.into(),
                _ => {
                    let body = EndGame { reason: None };
                    CommandsRecord { game, at_us: 0, edge: "sim".into(), body: body.into() }.into()
                }
            };
            let poison = builder.rng.chance(60);
            inputs.push(if poison { builder.poison(&event) } else { builder.good(&event) });
        }
        Self { registered: builder.registered, inputs }
    }
}

//! Goal: a trace is what the records say, whatever the order in which the topics are read and however often a
//! result is published. Method: random games of few players; a naive oracle that searches the list of records
//! for each hop.

use proptest::prelude::*;
use quiz_game::view::EventId;
use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Quiz, Response};
use quiz_schemas::{AnyEvent, Pin, Position, SubmissionId};
use quiz_stream::Record;
use smol_str::SmolStr;

use super::*;

const PLAYERS: u64 = 6;
const QUESTIONS: QuestionNo = 2;
const LANES: LaneNo = 2;

fn game() -> GameId {
    GameId::from_bits(7)
}

fn player(no: u64) -> PlayerId {
    PlayerId::from_bits(no)
}

fn edge(no: u64) -> SmolStr {
    SmolStr::new(format!("edge-{no}"))
}

/// What may differ from game to game.
#[derive(Clone, Debug)]
struct Course {
    /// By question and player: whether they answer, at which edge they are, how much later each record's stamp is.
    answers: Vec<(bool, u64)>,
    gaps: Vec<i64>,
    /// Whether each kind is missing: close, report, announcement, board, outcomes, deliveries.
    missing: [bool; 6],
    /// Outcomes are published twice, and the edge tells of the second.
    twice: bool,
    order: Vec<usize>,
}

fn course() -> impl Strategy<Value = Course> {
    let answers = proptest::collection::vec((any::<bool>(), 0u64..3), (PLAYERS * u64::from(QUESTIONS)) as usize);
    let gaps = proptest::collection::vec(-2i64..50, 200);
    let missing = proptest::array::uniform6(proptest::bool::weighted(0.15));
    let order = Just(vec![0usize, 1, 2, 3, 4]).prop_shuffle();
    (answers, gaps, missing, any::<bool>(), order).prop_map(|(answers, gaps, missing, twice, order)| Course {
        answers,
        gaps,
        missing,
        twice,
        order,
    })
}

/// Writes records with rising offsets, and stamps that come from the course.
struct Log<'a> {
    course: &'a Course,
    at_ms: i64,
    records: Vec<Record>,
}

impl Log<'_> {
    fn push(&mut self, event: impl Into<AnyEvent>) -> i64 {
        let event = event.into();
        let offset = self.records.len() as i64;
        self.at_ms += self.course.gaps[self.records.len() % self.course.gaps.len()];
        let appended_at_us = self.at_ms * 1_000;
        self.records.push(Record { topic: event.topic(), partition: 0, offset, appended_at_us, event });
        offset
    }

    fn session(&mut self, body: impl Into<SessionsBody>) {
        self.push(SessionsRecord { game: game(), seq: 0, at_us: 0, cause: None, body: body.into() });
    }

    fn lane(&mut self, lane: LaneNo, body: impl Into<AnswersBody>) {
        self.push(AnswersRecord { game: game(), lane, body: body.into() });
    }

    fn score(&mut self, lane: LaneNo, question: QuestionNo, body: impl Into<ScoresBody>) {
        let (position, counts) = (Position { partition: 0, offset: 0 }, LaneCounts::default());
        self.push(ScoresRecord { game: game(), lane, question, position, counts, body: body.into() });
    }

    fn play(&mut self) {
        let settings =
            GameSettings { lanes: LANES, capacity: 9, rule: "speed-v1".into(), streaks: false, auto_advance_ms: None };
        let quiz = Quiz { id: "q".into(), version: 1, title: "T".into(), questions: Vec::new() };
        self.session(GameCreated { pin: Pin::from_index(1), quiz, settings });
        let admitted = (0..PLAYERS).map(|no| PlayerAdmitted {
            player: player(no),
            nickname: "n".into(),
            lane: 0,
            edge: Some(edge(9)),
        });
        self.session(JoinsDecided { admitted: admitted.collect(), refused: Vec::new() });
        (0..QUESTIONS).for_each(|question| self.ask(question));
    }

    fn ask(&mut self, question: QuestionNo) {
        let key = AnswerKey::Single { options: 2, correct: Picks::new(&[1]).expect("few") };
        for lane in 0..LANES {
            let (key, rule) = (key.clone(), "speed-v1".into());
            self.lane(
                lane,
                LaneOpened {
                    question,
                    key,
                    points_max: 10,
                    limit_us: 9_000_000,
                    rule,
                    streaks: false,
                    opened_at_us: 0,
                },
            );
        }
        let places = (0..PLAYERS)
            .map(|no| self.course.answers[(u64::from(question) * PLAYERS + no) as usize])
            .collect::<Vec<_>>();
        let connected = (0..PLAYERS).map(player).collect();
        let edges = places.iter().map(|(_, at)| edge(*at)).collect();
        self.session(PresenceChanged { connected, edges, disconnected: Vec::new(), answered: Vec::new() });
        for (no, (_, at)) in (0..PLAYERS).zip(&places).filter(|(_, (answers, _))| *answers) {
            let submission = SubmissionId::from_bits(100 * u64::from(question) + no);
            let response = Response::Picks(Picks::new(&[1]).expect("few"));
            let received_at_us = self.at_ms * 1_000 - 777;
            let given = AnswerSubmitted {
                question,
                player: player(no),
                submission,
                response,
                received_at_us,
                elapsed_us: 5,
                edge: edge(*at),
            };
            let lane = LaneKey::of(game(), player(no), LANES).lane;
            self.lane(lane, given.clone());
            // A resend is no other answer.
            self.lane(lane, AnswerSubmitted { submission: SubmissionId::from_bits(999), ..given });
        }
        self.close(question, &places);
    }

    fn close(&mut self, question: QuestionNo, places: &[(bool, u64)]) {
        let [no_close, no_report, no_stored, no_board, no_outcomes, no_delivery] = self.course.missing;
        for lane in (0..LANES).filter(|_| !no_close) {
            self.lane(lane, LaneClosed { question, closed_at_us: 0 });
        }
        for (lane, part) in (0..LANES).flat_map(|lane| [(lane, 0), (lane, 1)]).filter(|_| !no_report) {
            self.score(lane, question, LaneScored { part, parts: 2, distribution: Vec::new(), outcomes: Vec::new() });
        }
        for lane in (0..LANES).filter(|_| !no_stored) {
            self.score(lane, question, LaneStored { stored: 1, opened_offset: 3 });
        }
        if !no_board {
            let key = AnswerKey::Poll { options: 2 };
            let body = BoardPublished {
                question,
                key,
                explanation: None,
                distribution: Vec::new(),
                answered: 0,
                correct: 0,
                players: 0,
                top: Vec::new(),
                last: false,
            };
            self.push(ResultsRecord {
                game: game(),
                at_us: 0,
                event_id: Some(EventId::Board(question).text()),
                body: body.into(),
            });
        }
        let mut told = Vec::new();
        for time in 0..=usize::from(self.course.twice) {
            for lane in (0..LANES).filter(|_| !no_outcomes) {
                let mine = (0..PLAYERS).map(player).filter(|player| LaneKey::of(game(), *player, LANES).lane == lane);
                let outcomes = mine
                    .map(|player| Outcome {
                        player,
                        verdict: Verdict::Correct,
                        points: 0,
                        total: 0,
                        rank: 1,
                        gap: 0,
                        streak: 0,
                    })
                    .collect();
                let body = OutcomesPublished { question, part: 0, parts: 1, outcomes };
                let event_id = Some(EventId::Outcomes(question, lane).text());
                let at = self.push(ResultsRecord { game: game(), at_us: 0, event_id, body: body.into() });
                if time == usize::from(self.course.twice) {
                    told.push(ResultDelivered { at, sockets: 2, first_us: at * 10, last_us: self.at_ms * 1_000 + at });
                }
            }
        }
        let mut edges: Vec<u64> = places.iter().map(|(_, at)| *at).collect();
        edges.dedup();
        for (no, version) in edges.into_iter().flat_map(|no| [(no, 2), (no, 1)]).filter(|_| !no_delivery) {
            let results = if version == 2 { told.clone() } else { Vec::new() };
            let body = EdgeDelivered { question, version, results }.into();
            self.push(TalliesRecord { game: game(), edge: edge(no), at_us: 0, body });
        }
    }
}

/// When the first record that `is` picks was appended.
fn first(records: &[Record], is: impl Fn(&AnyEvent) -> bool) -> Option<i64> {
    records.iter().find(|record| is(&record.event)).map(|record| record.appended_at_us)
}

/// The stamps of an answer's hops, in the order of [`Hop::ALL`]; none when there is no answer.
fn oracle(records: &[Record], no: u64, question: QuestionNo) -> Option<[Option<i64>; 8]> {
    let lane = LaneKey::of(game(), player(no), LANES).lane;
    let (appended_us, given) = records.iter().find_map(|record| match &record.event {
        AnyEvent::Answers(AnswersRecord { body: AnswersBody::AnswerSubmitted(given), .. })
            if given.player == player(no) && given.question == question =>
        {
            Some((record.appended_at_us, given))
        }
        _ => None,
    })?;
    let closed = first(
        records,
        |event| matches!(event, AnyEvent::Answers(AnswersRecord { lane: of, body: AnswersBody::LaneClosed(closed), .. }) if *of == lane && closed.question == question),
    );
    let scored = [0, 1].map(|part| {
        first(records, |event| matches!(event, AnyEvent::Scores(ScoresRecord { lane: of, question: at, body: ScoresBody::LaneScored(scored), .. }) if *of == lane && *at == question && scored.part == part))
    });
    let stored = first(
        records,
        |event| matches!(event, AnyEvent::Scores(ScoresRecord { lane: of, question: at, body: ScoresBody::LaneStored(_), .. }) if *of == lane && *at >= question),
    );
    let board = first(
        records,
        |event| matches!(event, AnyEvent::Results(ResultsRecord { body: ResultsBody::BoardPublished(board), .. }) if board.question == question),
    );
    let mine = |event: &AnyEvent| matches!(event, AnyEvent::Results(ResultsRecord { body: ResultsBody::OutcomesPublished(batch), .. }) if batch.question == question && batch.outcomes.iter().any(|outcome| outcome.player == player(no)));
    let offsets: Vec<i64> = records.iter().filter(|record| mine(&record.event)).map(|record| record.offset).collect();
    let mut out = records.iter().filter_map(|record| match &record.event {
        AnyEvent::Tallies(TalliesRecord { edge, body: TalliesBody::EdgeDelivered(told), .. })
            if *edge == given.edge && told.question == question =>
        {
            told.results.iter().find(|result| offsets.contains(&result.at)).map(|result| result.last_us)
        }
        _ => None,
    });
    let scored = scored[0].zip(scored[1]).map(|(one, other)| one.max(other));
    let edge_in = Some(given.received_at_us);
    Some([edge_in, Some(appended_us), closed, scored, stored, board, first(records, mine), out.next_back()])
}

/// The records in another order of the topics, each topic in its own.
fn by_topic(records: &[Record], order: &[usize]) -> Vec<Record> {
    let topics = [Topic::Sessions, Topic::Answers, Topic::Scores, Topic::Results, Topic::Tallies];
    order.iter().flat_map(|no| records.iter().filter(|record| record.topic == topics[*no]).cloned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_trace_is_what_the_records_say(course in course()) {
        let mut log = Log { course: &course, at_ms: 1_790_000_000_000, records: Vec::new() };
        log.play();
        let records = log.records;
        let mut timeline = Timeline::new(game());
        let mut other = Timeline::new(GameId::from_bits(8));
        for record in by_topic(&records, &course.order) {
            timeline.take(&record);
            other.take(&record);
        }
        prop_assert!(other.lanes().is_none() && other.spread().answers == 0, "another game's records have no effect");
        prop_assert_eq!(timeline.lanes(), Some(LANES));
        let mut latencies = Vec::new();
        let mut answers = 0;
        for (no, question) in (0..PLAYERS).flat_map(|no| (0..QUESTIONS).map(move |question| (no, question))) {
            let trace = timeline.trace(player(no), question);
            let expected = oracle(&records, no, question);
            // Where a question never closes the next one does not open, and no answer to it is scored.
            if course.missing[0] && question > 0 {
                prop_assert!(trace.is_none());
                continue;
            }
            prop_assert_eq!(trace.is_some(), expected.is_some());
            let (Some(trace), Some(expected)) = (trace, expected) else { continue };
            answers += 1;
            let stamps: Vec<Option<i64>> = trace.steps.iter().map(|step| step.at_us).collect();
            prop_assert_eq!(&stamps[..], &expected[..]);
            // The sum of the hops is the whole, whatever is missing.
            let way: Vec<i64> = trace.steps.iter().filter(|step| step.part != Part::Branch).filter_map(|step| step.at_us).collect();
            prop_assert_eq!(trace.whole_us, way.last().expect("two") - way[0]);
            prop_assert_eq!(trace.whole_us, trace.latency_us + trace.open_us);
            for hop in [Hop::Stored, Hop::Board] {
                let step = trace.steps.iter().find(|step| step.hop == hop).expect("shown");
                prop_assert_eq!(step.since_us, step.at_us.zip(expected[3]).map(|(at_us, scored)| at_us - scored));
            }
            if trace.is_complete() {
                latencies.push(trace.latency_us);
            }
        }
        let spread = timeline.spread();
        prop_assert_eq!((spread.answers, spread.complete), (answers, latencies.len()));
        let sum = spread.hops.last().expect("the sum");
        latencies.sort_unstable();
        prop_assert_eq!(sum.max_us, latencies.last().copied().unwrap_or(0));
        if !latencies.is_empty() {
            let below = latencies.iter().filter(|us| **us < sum.p50_us).count();
            let within = latencies.iter().filter(|us| **us <= sum.p50_us).count();
            prop_assert!(2 * below < latencies.len() && 2 * within >= latencies.len());
        }
    }

    #[test]
    fn a_time_is_written_as_others_write_it(at_ms in -62_000_000_000_000i64..250_000_000_000_000) {
        let theirs = mongodb::bson::DateTime::from_millis(at_ms).try_to_rfc3339_string().expect("a time");
        let ours = text::rfc3339(at_ms * 1_000);
        // They leave out what is 0 behind the point.
        let (whole, rest) = theirs.trim_end_matches('Z').split_once('.').unwrap_or((theirs.trim_end_matches('Z'), ""));
        prop_assert_eq!(ours, format!("{whole}.{rest:0<3}Z"));
    }
}

#[test]
fn a_table_says_what_is_missing_and_clamps_nothing() {
    let gaps = vec![-2; 4];
    let course = Course {
        answers: vec![(true, 0); 12],
        gaps,
        missing: [false, false, false, false, false, true],
        twice: false,
        order: Vec::new(),
    };
    let mut log = Log { course: &course, at_ms: 1_790_000_000_000, records: Vec::new() };
    log.play();
    let mut timeline = Timeline::new(game());
    log.records.iter().for_each(|record| timeline.take(record));
    let trace = timeline.trace(player(1), 0).expect("they answered");
    let shown = text::one(&trace);
    assert!(!trace.is_complete() && shown.contains("no record says so"), "{shown}");
    assert!(trace.latency_us < 0 && shown.contains("whole -"), "{shown}");
    let all = text::all(&timeline.spread());
    assert!(all.contains("12 answers, of 0 of them every hop is known"), "{all}");
}

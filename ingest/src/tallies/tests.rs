//! Goal: the newest telling of each question says what was counted, and a telling that is lost is made
//! again. Method: random courses against a plain list of what happened.

use super::*;
use proptest::prelude::*;
use quiz_schemas::PlayerId;
use quiz_schemas::events::TalliesBody;

const QUESTIONS: u16 = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Count(u16, u8),
    Close(u16),
    /// Tell the news; whether it gets into the log.
    Tell(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..QUESTIONS, 0u8..4).prop_map(|(question, kind)| Step::Count(question, kind)),
        1 => (0..QUESTIONS).prop_map(Step::Close),
        3 => any::<bool>().prop_map(Step::Tell),
    ]
}

/// The log, as a ledger reads it: of each question the parts of the highest version.
#[derive(Default)]
struct Log(BTreeMap<QuestionNo, Vec<EdgeTallied>>);

impl Log {
    fn take(&mut self, records: &[TalliesRecord]) {
        for record in records {
            let TalliesBody::EdgeTallied(tallied) = &record.body else { continue };
            let parts = self.0.entry(tallied.question).or_default();
            if parts.first().is_some_and(|first| first.version < tallied.version) {
                parts.clear();
            }
            parts.push(tallied.clone());
        }
    }
}

#[test]
fn an_answer_under_way_when_its_question_is_told_may_be_in_the_log() {
    let books = GameTallies::new(GameId::from_bits(3));
    books.appending(0);
    books.close(0);
    let mut log = Log::default();
    books.count(0, acked(1));
    log.take(&books.news(&edge(), 0));
    let told = log.0[&0][0].clone();
    assert_eq!((told.received, told.acked, told.unavailable), (2, 1, 1));
    books.count(0, acked(2));
    books.appended(0);
    log.take(&books.news(&edge(), 0));
    let told = log.0[&0][0].clone();
    assert_eq!((told.received, told.acked, told.unavailable), (2, 2, 0));
}

#[test]
fn answers_under_way_have_no_more_books_than_counted_ones() {
    let books = GameTallies::new(GameId::from_bits(3));
    let questions = QuestionNo::try_from(TALLIED_QUESTIONS_MAX + 5).expect("few");
    for question in 0..questions {
        books.appending(question);
    }
    books.appending(0);
    books.appended(0);
    assert_eq!(books.books().questions.len(), TALLIED_QUESTIONS_MAX);
    assert!(!books.books().questions.contains_key(&0), "the oldest made room");
}

fn player() -> PlayerId {
    PlayerId::from_bits(5)
}

fn acked(id: u64) -> Tally {
    Tally::Acked { player: player(), submission: SubmissionId::from_bits(id) }
}

fn edge() -> EdgeId {
    "edge-1".into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_newest_telling_is_what_was_counted(steps in proptest::collection::vec(step(), 1..120)) {
        let books = GameTallies::new(GameId::from_bits(7));
        let mut happened: Vec<(u16, Tally)> = Vec::new();
        let mut log = Log::default();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Count(question, kind) => {
                    let all = [acked(at as u64), Tally::Repeated, Tally::Refused, Tally::Unavailable];
                    let tally = all[usize::from(kind)];
                    happened.push((question, tally));
                    books.count(question, tally);
                }
                Step::Close(question) => books.close(question),
                Step::Tell(arrives) => {
                    let news = books.news(&edge(), 0);
                    if arrives {
                        log.take(&news);
                    } else {
                        for record in &news {
                            books.untold(&record.body);
                        }
                    }
                }
            }
        }
        log.take(&books.all(&edge(), 0, true));
        for question in 0..QUESTIONS {
            let of: Vec<Tally> = happened.iter().filter(|(q, _)| *q == question).map(|(_, tally)| *tally).collect();
            let Some(parts) = log.0.get(&question) else {
                prop_assert!(of.is_empty());
                continue;
            };
            let [told] = &parts[..] else { panic!("{parts:?}") };
            let acked: Vec<SubmissionId> =
                of.iter().filter_map(|tally| if let Tally::Acked { submission, .. } = tally { Some(*submission) } else { None }).collect();
            let count = |want: Tally| of.iter().filter(|tally| **tally == want).count() as i64;
            prop_assert_eq!(told.received, of.len() as i64);
            prop_assert_eq!(told.acked, acked.len() as i64);
            prop_assert_eq!(&told.submissions.0, &acked, "in the order of their acks");
            prop_assert_eq!(told.repeated, count(Tally::Repeated));
            prop_assert_eq!(told.refused, count(Tally::Refused));
            prop_assert_eq!(told.unavailable, count(Tally::Unavailable));
            let digest = acked.iter().fold(0i64, |sum, id| sum.wrapping_add(submission_digest(player(), *id)));
            prop_assert_eq!(told.digest, digest);
            prop_assert!(told.last);
        }
        prop_assert!(books.all(&edge(), 0, true).is_empty(), "all is told");
    }
}

#[test]
fn what_is_open_is_not_told_and_what_is_unchanged_not_again() {
    let books = GameTallies::new(GameId::from_bits(7));
    books.count(0, Tally::Refused);
    assert!(books.news(&edge(), 0).is_empty());
    books.close(0);
    assert_eq!(books.news(&edge(), 0).len(), 1);
    assert!(books.news(&edge(), 0).is_empty());
    books.count(0, Tally::Repeated);
    assert_eq!(books.news(&edge(), 0).len(), 1);
}

#[test]
fn a_last_word_stays_the_last_when_it_has_to_be_told_again() {
    let books = GameTallies::new(GameId::from_bits(7));
    books.count(0, acked(1));
    books.close(0);
    for record in books.all(&edge(), 0, true) {
        books.untold(&record.body);
    }
    let mut log = Log::default();
    log.take(&books.news(&edge(), 0));
    assert_eq!((log.0[&0][0].last, log.0[&0][0].version), (true, 2));
}

#[test]
fn many_submissions_are_told_in_parts() {
    let books = GameTallies::new(GameId::from_bits(7));
    let all = TALLY_SUBMISSIONS_MAX as u64 * 2 + 1;
    for id in 0..all {
        books.count(3, acked(id));
    }
    let records = books.all(&edge(), 0, false);
    let mut ids = Vec::new();
    for (part, record) in records.iter().enumerate() {
        let TalliesBody::EdgeTallied(tallied) = &record.body else { panic!("{record:?}") };
        assert_eq!((tallied.part, tallied.parts, tallied.acked), (part as i32, 3, all as i64));
        ids.extend(tallied.submissions.0.iter().map(|id| id.bits()));
    }
    assert_eq!(ids, (0..all).collect::<Vec<_>>());
}

#[test]
fn only_the_newest_questions_have_books() {
    let books = GameTallies::new(GameId::from_bits(7));
    for question in 0..=TALLIED_QUESTIONS_MAX as u16 {
        books.count(question, Tally::Refused);
    }
    books.count(0, Tally::Refused);
    let told = books.all(&edge(), 0, true);
    assert_eq!(told.len(), TALLIED_QUESTIONS_MAX);
    let registry = Tallies::default();
    assert!(Arc::ptr_eq(&registry.of(GameId::from_bits(1)), &registry.of(GameId::from_bits(1))));
}

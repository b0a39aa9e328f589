//! Goal: the newest telling of each question says when its results were written, and to how many sockets; a
//! telling that is lost is made again. Method: random courses against a plain list of what happened.

use super::*;
use proptest::prelude::*;

const QUESTIONS: u16 = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A result of this question.
    Watch(u16),
    /// A write of one of the results so far, at this time.
    Write(usize, i64),
    /// Tell the news; whether it gets into the log.
    Tell(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..QUESTIONS).prop_map(Step::Watch),
        6 => (any::<usize>(), 0i64..1_000).prop_map(|(result, at_us)| Step::Write(result, at_us)),
        3 => any::<bool>().prop_map(Step::Tell),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_newest_telling_is_what_was_written(steps in proptest::collection::vec(step(), 1..120)) {
        let mut deliveries = Deliveries::default();
        let mut results: Vec<(u16, Arc<ResultWrites>, Vec<i64>)> = Vec::new();
        let mut log: BTreeMap<u16, EdgeDelivered> = BTreeMap::new();
        let mut take = |told: Vec<EdgeDelivered>| for told in told {
            let newer = log.get(&told.question).is_none_or(|held| held.version < told.version);
            assert!(newer, "versions rise: {told:?}");
            log.insert(told.question, told);
        };
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Watch(question) => {
                    let result = ResultWrites::new(question, at as i64);
                    deliveries.watch(Arc::clone(&result));
                    results.push((question, result, Vec::new()));
                }
                Step::Write(result, at_us) if !results.is_empty() => {
                    let place = result % results.len();
                    let (_, result, times) = &mut results[place];
                    result.written(at_us);
                    times.push(at_us);
                }
                Step::Write(..) => {}
                Step::Tell(true) => take(deliveries.news()),
                Step::Tell(false) => deliveries.news().iter().for_each(|lost| deliveries.untold(lost.question)),
            }
        }
        take(deliveries.news());
        prop_assert!(deliveries.news().is_empty(), "all is told");
        for question in 0..QUESTIONS {
            let of = results.iter().filter(|(of, _, times)| *of == question && !times.is_empty());
            let expected: Vec<ResultDelivered> = of.map(|(_, result, times)| ResultDelivered {
                at: result.at,
                sockets: times.len() as i64,
                first_us: *times.iter().min().expect("written"),
                last_us: *times.iter().max().expect("written"),
            }).collect();
            let told = log.get(&question).map(|told| told.results.clone()).unwrap_or_default();
            prop_assert_eq!(told, expected);
        }
    }
}

#[test]
fn only_the_newest_questions_are_measured_and_each_only_so_much() {
    let mut deliveries = Deliveries::default();
    let watch = |deliveries: &mut Deliveries, question, at| {
        let result = ResultWrites::new(question, at);
        result.written(5);
        deliveries.watch(result);
    };
    for question in 0..=DELIVERED_QUESTIONS_MAX as u16 {
        watch(&mut deliveries, question, 1);
    }
    watch(&mut deliveries, 0, 2);
    let told: Vec<u16> = deliveries.news().iter().map(|told| told.question).collect();
    assert_eq!(told, (1..=DELIVERED_QUESTIONS_MAX as u16).collect::<Vec<_>>());
    for at in 0..=DELIVERED_RESULTS_MAX as i64 {
        watch(&mut deliveries, 9, at);
    }
    assert_eq!(deliveries.news()[0].results.len(), DELIVERED_RESULTS_MAX);
}

#[test]
fn a_socket_counts_what_it_has_flushed() {
    let (board, outcome) = (ResultWrites::new(0, 1), ResultWrites::new(0, 2));
    let mut unflushed = Unflushed::default();
    unflushed.note(None);
    assert!(!unflushed.is_full());
    unflushed.note(Some(&board));
    unflushed.note(Some(&outcome));
    assert!(unflushed.is_full());
    assert_eq!((board.delivered(), outcome.delivered()), (None, None), "not before it is flushed");
    unflushed.flushed(|| 7);
    let told = ResultDelivered { at: 1, sockets: 1, first_us: 7, last_us: 7 };
    assert_eq!((board.delivered(), outcome.delivered()), (Some(told), Some(ResultDelivered { at: 2, ..told })));
    Unflushed::default().flushed(|| panic!("nobody needs the time"));
}

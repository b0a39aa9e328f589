use std::collections::BTreeMap;

use proptest::prelude::*;
use quiz_ingest::protocol::Replying;
use quiz_schemas::quiz::{Picks, Response};

use super::*;

fn answer(no: u64) -> Answer {
    let response = Response::Picks(Picks::one((no % 7) as u8));
    Answer { question: no as QuestionNo, submission: SubmissionId::from_bits(no + 1), response, proof: None }
}

fn ack(no: u64) -> Ack {
    Ack {
        submission: SubmissionId::from_bits(no + 1),
        question: no as QuestionNo,
        receipt: "r".into(),
        elapsed_ms: 1,
        position: (0, 0),
    }
}

fn error(no: u64, code: ErrorCode) -> ErrorMessage {
    let submission = Some(SubmissionId::from_bits(no + 1));
    ErrorMessage::new(code, Replying { submission, id: None })
}

/// What the network and the edges do to a player.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    Wait(u64),
    Send,
    Lose,
    Enter,
    Take(u64),
    Ack(u64),
    Unavailable(u64),
    Refuse(u64),
    Close(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = || 0..12_u64;
    let step = prop_oneof![
        2 => Just(Step::Ask),
        4 => (0..6_000_u64).prop_map(Step::Wait),
        6 => Just(Step::Send),
        2 => Just(Step::Lose),
        2 => Just(Step::Enter),
        1 => which().prop_map(Step::Take),
        2 => which().prop_map(Step::Ack),
        2 => which().prop_map(Step::Unavailable),
        1 => which().prop_map(Step::Refuse),
        1 => which().prop_map(Step::Close),
    ];
    prop::collection::vec(step, 1..120)
}

/// A player's answers as told by what was done to it, kept without a queue: for each answer whether
/// it left, its proof, and its last word.
#[derive(Default, Clone, Debug)]
struct Fate {
    sent: u32,
    proof: bool,
    settled: bool,
}

proptest! {
    /// Goal: an answer leaves until it has its last word and never after; always as it was given,
    /// and with its proof from when there is one; nothing leaves twice without a reason; whatever
    /// has left and has no last word is still kept. Method: a table of fates, and every order of
    /// replies, losses and waits.
    #[test]
    fn an_answer_leaves_until_its_last_word(steps in steps()) {
        let mut now = Instant::now();
        let mut outbox = Outbox::new(true);
        let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Ask if next < 12 => {
                    if let Some(given_up) = outbox.put(answer(next), now) {
                        fates.get_mut(&u64::from(given_up.answer.question)).expect("it was asked").settled = true;
                    }
                    fates.insert(next, Fate::default());
                    next += 1;
                }
                Step::Ask => {}
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Send => {
                    let Some(kept) = outbox.send(now).cloned() else { continue };
                    let no = u64::from(kept.answer.question);
                    let fate = fates.get_mut(&no).expect("it was asked");
                    prop_assert!(!fate.settled, "{no} leaves after its last word");
                    prop_assert_eq!(kept.answer.proof.is_some(), fate.proof);
                    prop_assert_eq!(Answer { proof: None, ..kept.answer }, answer(no));
                    fate.sent += 1;
                    prop_assert_eq!(kept.tries, fate.sent);
                    prop_assert!(outbox.kept().all(|other| other.answer.question as u64 != no || other.due == now + REPLY_WAIT));
                }
                Step::Lose => {
                    let unknown: Vec<u64> = outbox.offline().iter().map(|kept| u64::from(kept.answer.question)).collect();
                    prop_assert!(unknown.iter().all(|no| fates[no].sent > 0 && !fates[no].settled));
                    prop_assert!(outbox.offline().is_empty(), "told twice");
                }
                Step::Enter => {
                    outbox.online(now);
                    let open = fates.values().filter(|fate| fate.sent > 0 && !fate.settled).count();
                    let due = outbox.kept().filter(|kept| kept.tries > 0 && kept.due <= now).count();
                    prop_assert_eq!(due, open, "all that left is to leave again on a fresh socket");
                }
                Step::Take(no) => {
                    outbox.taken(SubmissionId::from_bits(no + 1), "proof");
                    if let Some(fate) = fates.get_mut(&no).filter(|fate| !fate.settled) { fate.proof = true; }
                }
                Step::Ack(no) => {
                    let kept = outbox.acked(&ack(no));
                    let known = fates.get_mut(&no).filter(|fate| !fate.settled);
                    prop_assert_eq!(kept.is_some(), known.is_some());
                    known.into_iter().for_each(|fate| fate.settled = true);
                }
                Step::Unavailable(no) => {
                    let mut error = error(no, ErrorCode::Unavailable);
                    error.proof = Some("proof".into());
                    let known = fates.get_mut(&no).filter(|fate| !fate.settled);
                    let expected = if known.is_some() { Failed::Again } else { Failed::Unknown };
                    prop_assert_eq!(outbox.failed(&error, now, 0.5), expected);
                    known.into_iter().for_each(|fate| fate.proof = true);
                }
                Step::Refuse(no) => {
                    let failed = outbox.failed(&error(no, ErrorCode::QuestionClosed), now, 0.5);
                    let known = fates.get_mut(&no).filter(|fate| !fate.settled);
                    prop_assert_eq!(matches!(failed, Failed::Refused(_)), known.is_some());
                    known.into_iter().for_each(|fate| fate.settled = true);
                }
                Step::Close(no) => {
                    outbox.closed(no as QuestionNo);
                    // What had not left by then never leaves.
                    for (_, fate) in fates.range_mut(..=no).filter(|(_, fate)| fate.sent == 0) {
                        fate.settled = true;
                    }
                }
            }
            let kept: Vec<u64> = outbox.kept().map(|kept| u64::from(kept.answer.question)).collect();
            let open: Vec<u64> = fates.iter().filter(|(_, fate)| !fate.settled).map(|(no, _)| *no).collect();
            prop_assert_eq!(kept, open);
        }
    }
}

#[test]
fn a_wait_that_an_edge_asks_for_is_kept_and_spread() {
    let now = Instant::now();
    for (jitter, wait_ms) in [(0.0, 800), (1.0, 1_200)] {
        let mut outbox = Outbox::new(true);
        outbox.put(answer(0), now);
        outbox.send(now);
        assert_eq!(outbox.failed(&error(0, ErrorCode::Unavailable).retry_after(800), now, jitter), Failed::Again);
        assert_eq!(outbox.due(), Some(now + Duration::from_millis(wait_ms)));
    }
}

#[test]
fn the_oldest_is_given_up_for_one_too_many() {
    let now = Instant::now();
    let mut outbox = Outbox::new(true);
    for no in 0..UNACKED_MAX as u64 {
        assert_eq!(outbox.put(answer(no), now), None);
    }
    assert_eq!(outbox.put(answer(99), now).map(|kept| kept.answer.question), Some(0));
}

#[test]
fn one_that_does_not_resend_gives_up_with_its_socket() {
    let now = Instant::now();
    let mut outbox = Outbox::new(false);
    outbox.put(answer(0), now);
    outbox.send(now);
    outbox.put(answer(1), now + Duration::from_secs(1));
    assert_eq!(outbox.offline().len(), 1);
    outbox.online(now);
    assert_eq!(outbox.kept().map(|kept| kept.answer.question).collect::<Vec<_>>(), [1], "what has not left may leave");
}

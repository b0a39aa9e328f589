//! Goal: the way of an answer through a real edge, from the join to the outcome. Method: real
//! sockets, the embedded cluster and store; a script says what the rest of the pipeline would.

mod kit;

use kit::{Client, Rig};
use quiz_ingest::protocol::{ErrorCode, HostAction, ServerMessage};
use quiz_schemas::AnyEvent;
use quiz_schemas::events::{AnswersBody, BoardPublished, BoardRow, Outcome, OutcomesPublished, Verdict};
use quiz_schemas::quiz::{AnswerKey, Picks};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_joins_answers_and_is_acked() {
    let rig = Rig::start().await;
    let game = rig.create().await;
    let mut ada = rig.client().await;
    let joined = ada.join(game.pin, "  Ada ").await;
    assert_eq!((joined.game, joined.nickname.as_str(), joined.questions), (game.game, "Ada", 2));

    rig.script.open(game.game, 0).await;
    let question = ada.question().await;
    assert_eq!((question.question, question.of, question.options.len()), (0, 2, 4));
    assert!((19_000..=20_000).contains(&question.left_ms), "{}", question.left_ms);

    ada.pick(0, 7, 2).await;
    let ack = ada.ack().await;
    assert_eq!((ack.question, ack.submission.bits(), ack.receipt.len()), (0, 7, 26));
    let logged = rig
        .script
        .saw(|record| match &record.event {
            AnyEvent::Answers(answers) => match &answers.body {
                AnswersBody::AnswerSubmitted(submitted) => Some((record.position(), submitted.clone())),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(ack.position, (logged.0.partition, logged.0.offset), "acked means logged (I1)");
    assert_eq!(logged.1.player, joined.player);
    assert_eq!(logged.1.elapsed_us / 1000, ack.elapsed_ms);
    assert!((0..5_000_000).contains(&logged.1.elapsed_us), "{}", logged.1.elapsed_us);

    // A resend has the same receipt and position, and costs no second record (I2).
    ada.pick(0, 7, 2).await;
    assert_eq!(ada.ack().await, ack);
}

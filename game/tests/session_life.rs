//! Goal: the course of a game as the architecture page tells it. Method: tables of inputs, each with the
//! records that it must lead to.

mod session_kit;

use quiz_game::session::{IDLE_MS_MAX, JOINS_ROWS_MAX, LANE_PARTS_MAX, Phase, RETURN_MS};
use quiz_schemas::events::*;
use quiz_schemas::quiz::AnswerKey;
use session_kit::*;

fn open(question: Option<u16>) -> OpenQuestion {
    OpenQuestion { question }
}

fn close(question: Option<u16>) -> CloseQuestion {
    CloseQuestion { question }
}

fn end() -> EndGame {
    EndGame { reason: None }
}

fn kick(n: u64) -> KickPlayer {
    KickPlayer { player: player(n) }
}

#[test]
fn a_whole_game() {
    let mut table = Table::with(2, settings(2, 10));
    assert_eq!(table.joins(&[join(1, "Ada"), join(2, "Bob")]), "joins +1=Ada +2=Bob");
    assert_eq!(table.command(open(None)), "opened 0 for 10000; lanes open 0 [0 1]");
    assert_eq!(table.session.next_tick_us(), Some(table.now_us + 10_000_000));
    assert_eq!(table.wait_ms(9_999), "");
    assert_eq!(table.wait_ms(1), "stopping 0 Deadline in 300");
    assert_eq!(table.wait_ms(299), "");
    assert_eq!(table.wait_ms(1), "closed 0; lanes close 0 [0 1]");
    assert_eq!(table.scores(reported(0, 0, 5, 0, 1)), "");
    assert_eq!(table.scores(reported(1, 0, 7, 1, 2)), "");
    assert_eq!(table.scores(reported(1, 0, 7, 1, 2)), "");
    assert_eq!(table.scores(reported(1, 0, 7, 0, 2)), "settled 0");
    assert_eq!(table.wait_ms(60_000), "", "the host opens the next question");
    assert_eq!(table.command(open(Some(1))), "opened 1 for 10000; lanes open 1 [0 1]");
    assert_eq!(table.command(close(Some(1))), "stopping 1 Host in 300");
    assert_eq!(table.wait_ms(300), "closed 1; lanes close 1 [0 1]");
    assert_eq!(table.scores(reported(1, 1, 9, 0, 1)), "");
    assert_eq!(table.scores(reported(0, 1, 9, 0, 1)), "settled 1");
    assert_eq!(table.command(open(None)), "over Finished");
    assert_eq!(table.session.next_tick_us(), None);
    assert_eq!(table.joins(&[join(3, "Cy")]), "joins -3=GameOver");
    assert_eq!(table.command(open(None)), "rejected GameOver");
}

#[test]
fn an_open_marker_has_all_that_scoring_needs() {
    let mut table = Table::with(2, settings(3, 10));
    table.command(open(None));
    let opened: Vec<_> = table
        .log
        .iter()
        .filter_map(|event| match event {
            quiz_schemas::AnyEvent::Answers(AnswersRecord { body: AnswersBody::LaneOpened(opened), .. }) => {
                Some(opened.clone())
            }
            _ => None,
        })
        .collect();
    let question = &quiz(2).questions[0];
    let expected = LaneOpened {
        question: 0,
        key: question.key.clone(),
        points_max: 1000,
        limit_us: 10_000_000,
        rule: "speed-v1".into(),
        streaks: false,
        opened_at_us: table.now_us,
    };
    assert_eq!(opened, vec![expected; 3]);
}

#[test]
fn commands_that_do_not_fit_are_rejected_and_say_why() {
    let mut table = Table::with(3, settings(1, 10));
    assert_eq!(table.command(create(3, settings(1, 10))), "rejected GameExists");
    assert_eq!(table.command(close(None)), "rejected NoQuestionOpen");
    assert_eq!(table.command(open(Some(1))), "rejected StaleQuestion");
    assert_eq!(table.command(open(Some(3))), "rejected NoMoreQuestions");
    assert_eq!(table.command(kick(1)), "rejected NoPlayer");
    assert_eq!(table.command(open(Some(0))), "opened 0 for 10000; lanes open 0 [0]");
    assert_eq!(table.command(open(Some(0))), "rejected QuestionOpen");
    assert_eq!(table.command(open(None)), "rejected QuestionOpen");
    assert_eq!(table.command(close(Some(1))), "rejected StaleQuestion");
    assert_eq!(table.command(close(None)), "stopping 0 Host in 300");
    assert_eq!(table.command(close(None)), "rejected NoQuestionOpen");
    assert_eq!(table.command(open(Some(2))), "rejected StaleQuestion");
    assert_eq!(table.command(open(Some(0))), "rejected StaleQuestion");
    assert_eq!(table.command(CommandsBody::Unknown), "");
}

#[test]
fn a_game_that_cannot_be_played_is_rejected_and_its_id_used_up() {
    let bad_quiz = CreateGame { quiz: quiz(0), ..create(1, settings(1, 10)) };
    let mut bad_key = create(1, settings(1, 10));
    bad_key.quiz.questions[0].key = AnswerKey::Poll { options: 7 };
    let bad_settings = [
        settings(0, 10),
        settings(1001, 10),
        settings(1, 0),
        settings(1, 200_001),
        GameSettings { rule: "speed-v0".into(), ..settings(1, 10) },
        GameSettings { auto_advance_ms: Some(-1), ..settings(1, 10) },
        GameSettings { auto_advance_ms: Some(600_001), ..settings(1, 10) },
    ];
    let bad_settings = bad_settings.map(|settings| create(1, settings));
    for create_bad in [bad_quiz, bad_key].into_iter().chain(bad_settings) {
        let mut table = Table::new();
        assert_eq!(table.command(create_bad), "rejected BadQuiz");
        assert_eq!(table.command(create(1, settings(1, 10))), "rejected GameExists");
        assert_eq!(table.joins(&[join(1, "Ada")]), "joins -1=NoGame");
        assert_eq!(table.session.next_tick_us(), None);
    }
    let mut table = Table::new();
    assert_eq!(table.command(open(None)), "nonsense no_game");
    assert_eq!(table.command(create(1, settings(1000, 200_000))), "created");
}

#[test]
fn an_open_before_the_board_is_deferred_not_lost() {
    let mut table = Table::with(3, settings(1, 10));
    table.command(open(None));
    table.command(close(None));
    assert_eq!(table.command(open(Some(1))), "deferred 1");
    assert_eq!(table.command(open(Some(1))), "rejected QuestionOpen");
    assert_eq!(table.wait_ms(300), "closed 0; lanes close 0 [0]");
    let settled = table.scores(reported(0, 0, 1, 0, 1));
    assert_eq!(settled, "settled 0; opened 1 for 10000; lanes open 1 [0]");
    table.command(close(None));
    table.wait_ms(300);
    assert_eq!(table.command(open(None)), "deferred 2");
    assert_eq!(table.command(end()), "deferred 3", "the end overrides the open");
    assert_eq!(table.command(open(None)), "rejected GameOver");
    assert_eq!(table.command(end()), "rejected GameOver");
    assert_eq!(table.scores(reported(0, 1, 2, 0, 1)), "settled 1; over Host");
}

#[test]
fn a_game_ends_after_its_last_board() {
    let mut table = Table::with(2, settings(1, 10));
    table.command(open(None));
    assert_eq!(table.command(end()), "stopping 0 GameEnded in 300");
    assert_eq!(table.command(open(None)), "rejected GameOver");
    assert_eq!(table.wait_ms(300), "closed 0; lanes close 0 [0]");
    assert_eq!(table.scores(reported(0, 0, 1, 0, 1)), "settled 0; over Host");
    assert_eq!(table.session.over_reason(), Some(OverReason::Host));

    let mut table = Table::with(2, settings(1, 10));
    assert_eq!(table.command(end()), "over Host", "in the lobby nothing has to be closed");

    let mut table = Table::with(1, settings(1, 10));
    table.command(open(None));
    table.command(close(None));
    table.wait_ms(300);
    table.scores(reported(0, 0, 1, 0, 1));
    assert_eq!(table.command(end()), "over Finished", "all questions were asked");
}

#[test]
fn the_server_goes_on_by_itself_when_told_to() {
    let mut table = Table::with(2, GameSettings { auto_advance_ms: Some(5_000), ..settings(1, 10) });
    assert_eq!(table.wait_ms(60_000), "", "the host opens the first question");
    table.command(open(None));
    table.wait_ms(10_000);
    table.wait_ms(300);
    assert_eq!(table.scores(reported(0, 0, 1, 0, 1)), "settled 0");
    assert_eq!(table.wait_ms(4_999), "");
    assert_eq!(table.wait_ms(1), "opened 1 for 10000; lanes open 1 [0]");
    table.wait_ms(10_000);
    table.wait_ms(300);
    table.scores(reported(0, 1, 2, 0, 1));
    assert_eq!(table.wait_ms(5_000), "over Finished");
}

#[test]
fn nobody_touches_a_game_for_four_hours() {
    let mut table = Table::with(1, settings(1, 10));
    assert_eq!(table.wait_ms(IDLE_MS_MAX - 1), "");
    table.joins(&[join(1, "Ada")]);
    assert_eq!(table.wait_ms(IDLE_MS_MAX - 1), "", "a join touches it");
    assert_eq!(table.wait_ms(1), "over Expired");
    // A lane that never reports does not keep a game for ever.
    let mut table = Table::with(1, settings(1, 10));
    table.command(open(None));
    table.wait_ms(10_000);
    assert_eq!(table.wait_ms(300), "closed 0; lanes close 0 [0]");
    assert_eq!(table.wait_ms(IDLE_MS_MAX), "over Expired");
}

#[test]
fn joins_are_decided_in_order() {
    let mut table = Table::with(1, settings(1, 3));
    let batch = [
        join(1, "Ada"),
        join(2, " aDA "),
        join(1, "Other"),
        join(3, "Ａda"),
        join(2, "Bob"),
        join(4, "C\u{202e}y"),
        join(5, "Dee"),
        join(6, "Eve"),
    ];
    assert_eq!(
        table.joins(&batch),
        "joins +1=Ada +2=Bob +5=Dee -2=NicknameTaken -3=NicknameTaken -4=NicknameTaken -6=Full"
    );
    assert_eq!(table.joins(&[join(1, "Zed")]), "joins +1=Ada", "admitted again under the first name");
    assert_eq!(table.session.players(), 3);
    assert_eq!(table.command(kick(1)), "kicked 1");
    assert_eq!(table.joins(&[join(1, "Ada")]), "joins -1=Banned");
    assert_eq!(table.joins(&[join(6, "ada")]), "joins -6=NicknameTaken", "the name stays taken");
    assert_eq!(table.joins(&[join(6, "Eve")]), "joins +6=Eve", "the seat is free");
    // A host cannot make the game remember players without end.
    for n in [2, 5] {
        table.command(kick(n));
    }
    assert_eq!(table.joins(&[join(7, "Fay"), join(8, "Gus"), join(9, "Hal")]), "joins +7=Fay +8=Gus -9=Full");
    table.command(kick(7));
    assert_eq!(table.joins(&[join(9, "Hal")]), "joins -9=Full", "twice the capacity were admitted");
}

#[test]
fn presence_is_told_when_it_changes() {
    let mut table = Table::with(2, settings(1, 10));
    assert_eq!(table.joins(&[connected(1), disconnected(1, None)]), "", "nobody is there");
    assert_eq!(table.joins(&[join(1, "Ada"), connected(1)]), "joins +1=Ada");
    assert_eq!(table.joins(&[join(2, "Bob"), disconnected(2, None)]), "joins +2=Bob; presence -2");
    assert_eq!(table.joins(&[disconnected(2, None)]), "");
    assert_eq!(table.joins(&[connected(2), disconnected(1, None), connected(1)]), "presence +2 -1; presence +1");
    assert_eq!(table.joins(&[disconnected(1, None), join(1, "Ada")]), "presence -1; joins +1=Ada");
    assert_eq!(table.session.connected(), 2);
    assert_eq!(table.joins(&[disconnected(1, Some(0))]), "presence -1", "no question is open");
    table.command(open(None));
    assert_eq!(table.joins(&[connected(1), disconnected(2, Some(0))]), "presence +1 -2 !2");
    assert_eq!(table.joins(&[connected(2), disconnected(2, None)]), "presence +2; presence -2 !2");
    assert_eq!(table.joins(&[disconnected(1, Some(1))]), "presence -1", "another question");
}

#[test]
fn a_big_room_joins_in_records_that_are_bounded() {
    let mut table = Table::with(1, settings(10, 5_000));
    let bodies: Vec<_> = (1..=4_500).map(|n| join(n, &format!("p{n}"))).collect();
    table.joins(&bodies);
    let rows: Vec<_> = records(&table.log)
        .into_iter()
        .filter_map(|record| match &record.body {
            SessionsBody::JoinsDecided(joins) => Some(joins.admitted.len()),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [JOINS_ROWS_MAX, JOINS_ROWS_MAX, 500]);
    let bodies: Vec<_> = (1..=4_500).map(|n| disconnected(n, None)).collect();
    table.joins(&bodies);
    assert_eq!(records(&table.log).len(), 1 + 3 + 3);
    assert_eq!((table.session.players(), table.session.connected()), (4_500, 0));
}

#[test]
fn everybody_has_answered() {
    let mut table = Table::with(2, settings(2, 10));
    table.command(open(None));
    assert_eq!(table.scores(counted(0, 0, 1, 0, 0)), "", "nobody is not everybody");
    table.joins(&[join(1, "Ada"), join(2, "Bob"), join(3, "Cy")]);
    assert_eq!(table.scores(counted(0, 0, 2, 1, 0)), "");
    assert_eq!(table.scores(counted(1, 0, 3, 0, 1)), "", "a late answer is an answer; Cy has given none");
    assert_eq!(table.scores(counted(1, 0, 2, 2, 2)), "", "older counts say nothing");
    let closed = "stopping 0 AllAnswered in 0; closed 0; lanes close 0 [0 1]";
    assert_eq!(table.joins(&[disconnected(3, None)]), "presence -3", "Cy may come back");
    assert_eq!(table.wait_ms(RETURN_MS - 1), "");
    assert_eq!(table.session.next_tick_us(), Some(table.now_us + 1_000));
    assert_eq!(table.wait_ms(1), closed);
    table.scores(reported(0, 0, 5, 0, 1));
    table.scores(reported(1, 0, 5, 0, 1));

    table.command(open(None));
    assert_eq!(table.joins(&[disconnected(1, Some(1))]), "presence -1 !1");
    assert_eq!(table.session.eligible(), 2, "Ada has answered and left, Bob is here");
    assert_eq!(table.wait_ms(RETURN_MS), "");
    assert_eq!(table.session.eligible(), 2, "Ada comes back no more, and her answer counts");
    assert_eq!(table.scores(counted(0, 1, 9, 1, 0)), "", "Ada's");
    let closed = "stopping 1 AllAnswered in 0; closed 1; lanes close 1 [0 1]";
    assert_eq!(table.scores(counted(0, 1, 10, 2, 0)), closed);
}

#[test]
fn who_comes_back_soon_finds_the_question_open() {
    let mut table = Table::with(2, settings(1, 10));
    table.joins(&[join(1, "Ada"), join(2, "Bob"), join(3, "Cy"), join(4, "Dee")]);
    // Dee leaves before it opens, Bob and Cy while it is open; Bob has not come back when it is over.
    table.joins(&[disconnected(4, None)]);
    table.wait_ms(1_000);
    table.command(open(None));
    table.joins(&[disconnected(2, None), disconnected(3, None)]);
    assert_eq!(table.scores(counted(0, 0, 1, 1, 0)), "", "Ada's");
    assert_eq!(table.wait_ms(RETURN_MS - 1_000), "", "Dee is waited for no more");
    assert_eq!(table.session.eligible(), 3);
    assert_eq!(table.joins(&[connected(3)]), "presence +3");
    assert_eq!(table.wait_ms(1_000), "", "nor is Bob; Cy is here, and thinks");
    assert_eq!(table.session.eligible(), 2);
    assert_eq!(table.scores(counted(0, 0, 2, 2, 0)), "stopping 0 AllAnswered in 0; closed 0; lanes close 0 [0]");
    // Who is removed is not waited for.
    table.scores(reported(0, 0, 3, 0, 1));
    table.command(open(None));
    table.joins(&[disconnected(3, None)]);
    assert_eq!(table.scores(counted(0, 1, 9, 1, 0)), "");
    assert_eq!(table.command(kick(3)), "kicked 3; stopping 1 AllAnswered in 0; closed 1; lanes close 1 [0]");
    table.wait_ms(RETURN_MS);
    assert_eq!(rebuilt(&table.log).players(), table.session.players());
}

#[test]
fn a_removed_player_cuts_nobody_off() {
    let mut table = Table::with(1, settings(1, 10));
    table.joins(&[join(1, "Ada"), join(2, "Bob"), join(3, "Cy")]);
    table.command(open(None));
    assert_eq!(table.scores(counted(0, 0, 1, 2, 0)), "", "Ada and Bob have answered");
    assert_eq!(table.command(kick(1)), "kicked 1", "the count has Ada's answer still; Cy has not answered");
    assert_eq!(table.scores(counted(0, 0, 2, 3, 0)), "stopping 0 AllAnswered in 0; closed 0; lanes close 0 [0]");
}

#[test]
fn reports_that_make_no_sense() {
    let mut table = Table::with(2, settings(2, 10));
    assert_eq!(table.scores(reported(7, 0, 1, 0, 1)), "", "no question is in play");
    table.command(open(None));
    assert_eq!(table.scores(reported(2, 0, 1, 0, 1)), "nonsense no_lane");
    for (part, parts) in [(0, 0), (-1, 1), (1, 1), (0, LANE_PARTS_MAX + 1)] {
        assert_eq!(table.scores(reported(1, 0, 1, part, parts)), "nonsense bad_parts");
    }
    assert_eq!(table.session.scores_held_from(), None);
    assert_eq!(table.scores(reported(1, 1, 1, 0, 1)), "", "another question");
    table.command(close(None));
    assert_eq!(table.wait_ms(300), "closed 0; lanes close 0 [0 1]");
    assert_eq!(table.scores(reported(0, 0, 4, 0, 3)), "");
    assert_eq!(table.scores(reported(1, 0, 4, 0, 1)), "");
    assert_eq!(table.scores(reported(0, 0, 4, 0, 2)), "", "reported again, in other parts");
    assert_eq!(table.scores(reported(0, 0, 4, 1, 2)), "settled 0");
}

#[test]
fn a_successor_takes_over_between_any_two_records() {
    // Deferred: `settled` is in the log, `opened` is not.
    let mut table = Table::with(2, settings(1, 10));
    table.command(open(None));
    table.command(close(None));
    table.command(open(None));
    table.wait_ms(300);
    let before = table.log.len();
    table.scores(reported(0, 0, 1, 0, 1));
    let mut successor = rebuilt(&table.log[..=before]);
    assert!(matches!(successor.phase(), Phase::Settled { .. }));
    assert!(successor.next_tick_us().is_some_and(|tick_us| tick_us <= table.now_us));
    let mut out = Vec::new();
    successor.tick(table.now_us, &mut out);
    assert_eq!(describe(&out), "opened 1 for 10000; lanes open 1 [0]");

    // All answered: `stopping` is in the log, `closed` is not.
    table.joins(&[join(1, "Ada")]);
    let before = table.log.len();
    table.scores(counted(0, 1, 3, 1, 0));
    let mut successor = rebuilt(&table.log[..=before]);
    out.clear();
    successor.tick(table.now_us, &mut out);
    assert_eq!(describe(&out), "closed 1; lanes close 1 [0]");
}

#[test]
fn the_fold_is_total() {
    // Records of a game whose beginning is lost, of another game, of an unknown kind, and old ones.
    let mut table = Table::with(2, settings(1, 10));
    table.joins(&[join(1, "Ada")]);
    table.command(open(None));
    table.command(kick(1));
    let log: Vec<_> = records(&table.log).into_iter().cloned().collect();
    for from in 1..log.len() {
        let mut session = quiz_game::session::Session::new(game());
        for record in &log[from..] {
            session.fold(record);
        }
        session.tick(table.now_us + 1_000_000_000, &mut Vec::new());
        assert_eq!(session.phase(), Phase::New);
    }
    let mut session = rebuilt(&table.log);
    let whole = session.clone();
    for record in &log {
        session.fold(record);
        session.fold(&SessionsRecord { game: quiz_schemas::GameId::from_bits(1), seq: 99, ..record.clone() });
    }
    assert_eq!(session, whole);
    let unknown = SessionsRecord { seq: whole.next_seq(), cause: None, body: SessionsBody::Unknown, ..log[0].clone() };
    session.fold(&unknown);
    assert_eq!(session.next_seq(), whole.next_seq() + 1);
    assert_eq!(session.phase(), whole.phase());
}

#[test]
fn an_edge_ends_the_presence_of_its_own_sockets_only() {
    let mut table = Table::with(2, settings(1, 10));
    assert_eq!(table.joins_at(1, &[join(1, "Ada"), join(2, "Bob")]), "joins +1=Ada +2=Bob");
    // Ada comes back through another edge before the first one has noticed that she left.
    assert_eq!(table.joins_at(2, &[connected(1)]), "presence +1");
    assert_eq!(table.joins_at(1, &[disconnected(1, None)]), "", "a zombie edge counts nobody out");
    assert_eq!(table.session.connected(), 2);
    assert_eq!(table.joins_at(2, &[connected(1)]), "", "she is there already");
    // And back again, while the second edge is slow to tell.
    assert_eq!(table.joins_at(1, &[connected(1)]), "presence +1");
    assert_eq!(table.joins_at(2, &[disconnected(1, None)]), "");
    assert_eq!(table.joins_at(1, &[disconnected(1, None)]), "presence -1");
    assert_eq!(table.joins_at(1, &[disconnected(1, None)]), "");
    assert_eq!(table.session.connected(), 1);
    // A join through another edge is a move as well.
    assert_eq!(table.joins_at(2, &[join(2, "Bob")]), "joins +2=Bob");
    assert_eq!(table.joins_at(1, &[disconnected(2, None)]), "");
    assert_eq!(table.joins_at(2, &[disconnected(2, None)]), "presence -2");
    assert_eq!(rebuilt(&table.log), table.session);
}

#[test]
fn an_answer_told_by_an_edge_that_the_player_has_left_counts() {
    let mut table = Table::with(1, settings(1, 10));
    table.joins_at(1, &[join(1, "Ada"), join(2, "Bob")]);
    table.command(open(None));
    table.joins_at(2, &[connected(1)]);
    assert_eq!(table.joins_at(1, &[disconnected(1, Some(0))]), "presence !1");
    assert_eq!(table.joins_at(2, &[disconnected(1, None)]), "presence -1 !1");
    assert_eq!(table.session.eligible(), 2, "Bob has not answered, and is waited for");
    assert_eq!(table.scores(counted(0, 0, 5, 1, 0)), "");
    // The other way round: the word comes when she is gone already.
    let mut table = Table::with(1, settings(1, 10));
    table.joins_at(1, &[join(1, "Ada"), join(2, "Bob")]);
    table.command(open(None));
    table.joins_at(2, &[connected(1)]);
    assert_eq!(table.joins_at(2, &[disconnected(1, None)]), "presence -1");
    assert_eq!(table.joins_at(1, &[disconnected(1, Some(0))]), "presence !1");
    assert_eq!(table.session.eligible(), 2);
    assert_eq!(rebuilt(&table.log), table.session);
}

#[test]
fn records_without_an_edge_are_folded_as_they_were_meant() {
    let mut table = Table::with(1, settings(1, 10));
    table.joins_at(1, &[join(1, "Ada"), join(2, "Bob")]);
    table.joins_at(1, &[disconnected(2, None)]);
    table.joins_at(1, &[connected(2)]);
    for event in &mut table.log {
        if let quiz_schemas::AnyEvent::Sessions(record) = event {
            match &mut record.body {
                SessionsBody::JoinsDecided(joins) => joins.admitted.iter_mut().for_each(|row| row.edge = None),
                SessionsBody::PresenceChanged(presence) => presence.edges.clear(),
                _ => {}
            }
        }
    }
    table.session = rebuilt(&table.log);
    assert_eq!(table.session.connected(), 2);
    // Where they are is not known: the first edge that says that they left is believed.
    assert_eq!(table.joins_at(7, &[disconnected(1, None)]), "presence -1");
    assert_eq!(table.joins_at(7, &[connected(2)]), "presence +2");
    assert_eq!(table.joins_at(1, &[disconnected(2, None)]), "");
}

//! One sample of every kind of record. Their bytes are kept under `golden/`.

use quiz_schemas::events::*;
use quiz_schemas::quiz::{AnswerKey, Picks, Question, QuestionKind, Quiz, Response};
use quiz_schemas::{AnyEvent, GameId, Pin, PlayerId, Position, SubmissionId};

const AT_US: i64 = 1_790_000_000_123_456;

fn game() -> GameId {
    GameId::from_bits(0x0123_4567_89ab_cdef)
}

fn player(n: u64) -> PlayerId {
    PlayerId::from_bits(n)
}

fn picks(items: &[u8]) -> Picks {
    Picks::new(items).expect("a sample has few picks")
}

fn keys() -> Vec<(QuestionKind, AnswerKey)> {
    vec![
        (QuestionKind::Single, AnswerKey::Single { options: 4, correct: picks(&[2]) }),
        (QuestionKind::TrueFalse, AnswerKey::Single { options: 2, correct: picks(&[0]) }),
        (QuestionKind::Multiple, AnswerKey::Multiple { options: 4, correct: picks(&[0, 3]) }),
        (QuestionKind::Text, AnswerKey::Text { accepted: vec!["Zürich".into(), "zurich".into()] }),
        (QuestionKind::Number, AnswerKey::Number { value: 3.5, tolerance: 0.25 }),
        (QuestionKind::Order, AnswerKey::Order { correct: picks(&[2, 0, 1]) }),
        (QuestionKind::Poll, AnswerKey::Poll { options: 3 }),
    ]
}

fn quiz() -> Quiz {
    let questions = keys()
        .into_iter()
        .enumerate()
        .map(|(no, (kind, key))| Question {
            kind,
            prompt: format!("Question {no}?"),
            options: (0..if matches!(key, AnswerKey::Text { .. }) { 0 } else { 4 })
                .map(|n| format!("option {n}"))
                .collect(),
            key,
            points_max: 1000,
            limit_ms: 20_000,
            explanation: (no == 0).then(|| "because".to_string()),
        })
        .collect();
    Quiz { id: "sample".into(), version: 3, title: "A sample quiz".into(), questions }
}

fn settings() -> GameSettings {
    GameSettings { lanes: 4, capacity: 8000, rule: "speed-v1".into(), streaks: true, auto_advance_ms: Some(5000) }
}

fn command(body: impl Into<CommandsBody>) -> AnyEvent {
    CommandsRecord { game: game(), at_us: AT_US, edge: "edge-1".into(), body: body.into() }.into()
}

fn join(body: impl Into<JoinsBody>) -> AnyEvent {
    JoinsRecord { game: game(), at_us: AT_US, edge: "edge-1".into(), body: body.into() }.into()
}

fn session(seq: i64, body: impl Into<SessionsBody>) -> AnyEvent {
    let cause = (seq % 2 == 0).then(|| Cause { topic: "quiz.commands.v1".into(), offset: 40 + seq });
    SessionsRecord { game: game(), seq, at_us: AT_US, cause, body: body.into() }.into()
}

fn answer(body: impl Into<AnswersBody>) -> AnyEvent {
    AnswersRecord { game: game(), lane: 3, body: body.into() }.into()
}

fn submitted(n: u64, response: Response) -> AnyEvent {
    answer(AnswerSubmitted {
        question: 2,
        player: player(n),
        submission: SubmissionId::from_bits(900 + n),
        response,
        received_at_us: AT_US,
        elapsed_us: 2_000_000,
        edge: "edge-1".into(),
    })
}

fn score(body: impl Into<ScoresBody>) -> AnyEvent {
    ScoresRecord {
        game: game(),
        lane: 3,
        question: 2,
        position: Position { partition: 7, offset: 123_456 },
        counts: LaneCounts { received: 10, scored: 6, duplicate: 2, late: 1, refused: 1, digest: -77 },
        body: body.into(),
    }
    .into()
}

fn result(event_id: Option<&str>, body: impl Into<ResultsBody>) -> AnyEvent {
    ResultsRecord { game: game(), at_us: AT_US, event_id: event_id.map(Into::into), body: body.into() }.into()
}

fn row(rank: i32) -> BoardRow {
    BoardRow {
        rank,
        player: player(rank as u64),
        nickname: format!("player {rank}"),
        total: 2000 - i64::from(rank),
        points: 967,
    }
}

/// Name and sample; the name is the golden file's.
pub fn all() -> Vec<(&'static str, AnyEvent)> {
    let mut all = vec![
        ("commands.create", command(CreateGame { pin: Pin::from_index(42), quiz: quiz(), settings: settings() })),
        ("commands.open", command(OpenQuestion { question: Some(1) })),
        ("commands.close", command(CloseQuestion { question: None })),
        ("commands.kick", command(KickPlayer { player: player(5) })),
        ("commands.end", command(EndGame { reason: Some("lunch".into()) })),
        ("joins.join", join(JoinRequested { player: player(5), nickname: "Ada".into() })),
        ("joins.connected", join(PlayerConnected { player: player(5) })),
        ("joins.disconnected", join(PlayerDisconnected { player: player(5), answered: Some(2) })),
        ("answers.submitted.picks", submitted(1, Response::Picks(picks(&[0, 3])))),
        ("answers.submitted.text", submitted(2, Response::Text("Zürich".into()))),
        ("answers.submitted.number", submitted(3, Response::Number(3.25))),
        ("answers.closed", answer(LaneClosed { question: 2, closed_at_us: AT_US })),
        ("scores.counted", score(LaneCounted { closed: false })),
        (
            "scores.scored",
            score(LaneScored {
                part: 0,
                parts: 1,
                distribution: vec![1, 0, 5, 0],
                outcomes: vec![PlayerScore {
                    player: player(1),
                    verdict: Verdict::Correct,
                    points: 967,
                    total: 1934,
                    streak: 2,
                    elapsed_us: 2_000_000,
                    elapsed_total_us: 4_100_000,
                }],
            }),
        ),
        ("quizzes.version", QuizzesRecord { published_at_us: AT_US, quiz: quiz() }.into()),
    ];
    all.extend(opened());
    all.extend(books());
    all.extend(sessions());
    all.extend(results());
    all
}

fn books() -> Vec<(&'static str, AnyEvent)> {
    let tallied = EdgeTallied {
        question: 2,
        version: 3,
        received: 9,
        acked: 5,
        repeated: 1,
        refused: 2,
        unavailable: 1,
        last: false,
        part: 0,
        parts: 1,
        submissions: SubmissionList(vec![SubmissionId::from_bits(1), SubmissionId::from_bits(u64::MAX)]),
        digest: -77,
    };
    let delivered = EdgeDelivered {
        question: 2,
        version: 2,
        results: vec![
            ResultDelivered { at: 700, sockets: 3, first_us: AT_US, last_us: AT_US + 1_200 },
            ResultDelivered { at: 703, sockets: 1, first_us: AT_US + 900, last_us: AT_US + 900 },
        ],
    };
    let ledger = QuestionLedger {
        version: 2,
        state: LedgerState::Imbalanced,
        edges: EdgeTotals { received: 9, acked: 5, repeated: 1, refused: 2, unavailable: 1, silent: 0 },
        lanes: LaneTotals { logged: 5, scored: 3, late: 1, duplicate: 1, refused: 0, stored: 2 },
        lost: 0,
        unstored: 1,
        phantom: 0,
        unclaimed: 0,
        suspects: vec![Suspect { submission: SubmissionId::from_bits(1), kind: Imbalance::Unstored }],
    };
    vec![
        (
            "tallies.tallied",
            TalliesRecord { game: game(), edge: "edge-1.x".into(), at_us: AT_US, body: tallied.into() }.into(),
        ),
        (
            "tallies.delivered",
            TalliesRecord { game: game(), edge: "edge-1.x".into(), at_us: AT_US, body: delivered.into() }.into(),
        ),
        ("ledger.closed", LedgerRecord { game: game(), question: 2, at_us: AT_US, body: ledger.into() }.into()),
        ("scores.stored", score(LaneStored { stored: 3, opened_offset: 123_400 })),
    ]
}

fn opened() -> Vec<(&'static str, AnyEvent)> {
    let names = ["single", "true_false", "multiple", "text", "number", "order", "poll"];
    let names = names.map(|kind| -> &'static str { format!("answers.opened.{kind}").leak() });
    let marker = |key| {
        answer(LaneOpened {
            question: 2,
            key,
            points_max: 1000,
            limit_us: 20_000_000,
            rule: "speed-v1".into(),
            streaks: false,
            opened_at_us: AT_US,
        })
    };
    names.into_iter().zip(keys()).map(|(name, (_, key))| (name, marker(key))).collect()
}

fn sessions() -> Vec<(&'static str, AnyEvent)> {
    vec![
        ("sessions.created", session(0, GameCreated { pin: Pin::from_index(42), quiz: quiz(), settings: settings() })),
        (
            "sessions.joins",
            session(
                1,
                JoinsDecided {
                    admitted: vec![PlayerAdmitted {
                        player: player(5),
                        nickname: "Ada".into(),
                        lane: 3,
                        edge: Some("edge-1".into()),
                    }],
                    refused: vec![JoinRefusal { player: player(6), reason: RefusalReason::NicknameTaken }],
                },
            ),
        ),
        (
            "sessions.presence",
            session(
                2,
                PresenceChanged {
                    connected: vec![player(5)],
                    edges: vec!["edge-1".into()],
                    disconnected: vec![player(7)],
                    answered: vec![player(7)],
                },
            ),
        ),
        ("sessions.kicked", session(3, PlayerKicked { player: player(7) })),
        ("sessions.opened", session(4, QuestionOpened { question: 0, deadline_us: AT_US })),
        (
            "sessions.stopping",
            session(5, QuestionStopping { question: 0, reason: StopReason::Host, closes_at_us: AT_US }),
        ),
        ("sessions.closed", session(6, QuestionClosed { question: 0 })),
        ("sessions.settled", session(9, QuestionSettled { question: 0 })),
        ("sessions.deferred", session(10, OpenDeferred { question: 1 })),
        ("sessions.rejected", session(7, CommandRejected { reason: CommandRejection::StaleQuestion })),
        ("sessions.over", session(8, GameOver { reason: OverReason::Finished })),
    ]
}

fn results() -> Vec<(&'static str, AnyEvent)> {
    let view = QuestionView {
        kind: QuestionKind::Single,
        prompt: "Question 0?".into(),
        options: vec!["a".into(), "b".into()],
        points_max: 1000,
        limit_ms: 20_000,
    };
    vec![
        (
            "results.game",
            result(
                Some("game"),
                GameOpened { pin: Pin::from_index(42), title: "T".into(), questions: 7, lanes: 4, capacity: 8000 },
            ),
        ),
        (
            "results.lobby",
            result(
                Some("lobby.1"),
                LobbyChanged {
                    admitted: vec![LobbyPlayer { player: player(5), nickname: "Ada".into() }],
                    refused: vec![JoinRefusal { player: player(6), reason: RefusalReason::Full }],
                    kicked: vec![player(7)],
                    players: 1,
                    connected: 1,
                },
            ),
        ),
        (
            "results.question",
            result(
                Some("q0.open"),
                QuestionShown { question: 0, view, opened_at_us: AT_US, deadline_us: AT_US + 20_000_000 },
            ),
        ),
        ("results.counted", result(None, AnswersCounted { question: 0, answered: 17 })),
        ("results.stopped", result(Some("q0.stopped"), QuestionStopped { question: 0, reason: StopReason::Deadline })),
        (
            "results.board",
            result(
                Some("q0.board"),
                BoardPublished {
                    question: 0,
                    key: AnswerKey::Single { options: 2, correct: picks(&[1]) },
                    explanation: None,
                    distribution: vec![3, 4],
                    answered: 7,
                    correct: 4,
                    players: 9,
                    top: vec![row(1), row(2)],
                    last: false,
                },
            ),
        ),
        (
            "results.outcomes",
            result(
                Some("q0.outcomes.0"),
                OutcomesPublished {
                    question: 0,
                    part: 0,
                    parts: 1,
                    outcomes: vec![Outcome {
                        player: player(1),
                        verdict: Verdict::Wrong,
                        points: 0,
                        total: 967,
                        rank: 4,
                        gap: 33,
                        streak: 0,
                    }],
                },
            ),
        ),
        ("results.refused", result(Some("refused.3"), CommandRefused { reason: CommandRejection::QuestionOpen })),
        (
            "results.over",
            result(Some("over"), GameEnded { reason: OverReason::Finished, players: 9, top: vec![row(1)] }),
        ),
    ]
}

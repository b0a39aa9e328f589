//! The bot players. A bot keeps what is not acknowledged and sends it again, to any edge, under
//! the same submission id; it comes back with its token when its socket goes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quiz_game::session::CLOSE_GRACE_MS;
use quiz_ingest::protocol::{Ack, Answer, ClientMessage, ErrorCode, ErrorMessage, QuestionMessage, ServerMessage};
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{Pin, PlayerId, Position, QuestionNo, SubmissionId};
use tokio::sync::Semaphore;
use tokio::time::{Instant as TokioInstant, sleep, sleep_until, timeout};

use super::choices::{Dice, choose, nickname};
use super::socket::{Incoming, Socket};
use super::tally::{Acked, Standing, Tally};

/// Joins under way at once.
pub const JOINS_AT_ONCE: usize = 64;
/// How often a bot tries to come back before it gives up.
const RECONNECTS_MAX: u32 = 30;
const RECONNECT_MS_MAX: u64 = 2_000;
const JOIN_WAIT: Duration = Duration::from_secs(10);
/// An answer without any reply is sent again after this.
const REPLY_WAIT: Duration = Duration::from_secs(4);

/// What all bots of a game share.
pub struct Room {
    /// The edges, to be tried in turn.
    pub edges: Vec<SocketAddr>,
    /// The game's PIN.
    pub pin: Pin,
    /// The quiz, from which a bot knows what it may answer.
    pub quiz: Arc<Quiz>,
    /// Makes the choices.
    pub seed: u64,
    /// What the bots see.
    pub tally: Arc<Tally>,
    /// Bounds the joins under way.
    pub joins: Semaphore,
}

/// Why a bot stopped before the game was over.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// It could not join.
    #[error("bot {bot} was refused: {code:?}")]
    Refused {
        /// Which bot.
        bot: u32,
        /// Why.
        code: ErrorCode,
    },
    /// No edge took it back.
    #[error("bot {0} lost its edge and found no other")]
    Lost(u32),
}

struct Pending {
    answer: Answer,
    due: TokioInstant,
    sent_at: Option<Instant>,
    acked: bool,
}

/// One bot player.
pub struct Bot {
    no: u32,
    room: Arc<Room>,
    edge: usize,
    token: Option<String>,
    player: Option<PlayerId>,
    pending: Option<Pending>,
}

enum Turn {
    Go,
    Over,
    Reconnect,
}

impl Bot {
    /// Bot number `no` of a room.
    pub fn new(no: u32, room: Arc<Room>) -> Self {
        let edge = no as usize % room.edges.len();
        Self { no, room, edge, token: None, player: None, pending: None }
    }

    /// Joins, and says so through `joined`; plays until the game is over.
    ///
    /// # Errors
    /// When it cannot join, or cannot come back.
    pub async fn play(mut self, joined: tokio::sync::mpsc::Sender<u32>) -> Result<(), BotError> {
        let mut announced = false;
        let mut failures = 0;
        loop {
            if let Some(mut socket) = self.enter().await? {
                failures = 0;
                if !announced {
                    announced = true;
                    // The room may have gone on without waiting for everyone.
                    let _ = joined.send(self.no).await;
                }
                if self.follow(&mut socket).await {
                    return Ok(());
                }
                self.room.tally.reconnected();
            }
            failures += 1;
            if failures > RECONNECTS_MAX {
                return Err(BotError::Lost(self.no));
            }
            self.edge = (self.edge + 1) % self.room.edges.len();
            let jitter = Dice::new(self.room.seed, self.no, failures as u16).below(100);
            sleep(Duration::from_millis((50 << failures.min(6)).min(RECONNECT_MS_MAX) + jitter)).await;
        }
    }

    /// Opens a socket and joins or resumes. None when it should be tried again.
    async fn enter(&mut self) -> Result<Option<Socket>, BotError> {
        let room = self.room.clone();
        let _turn = room.joins.acquire().await.expect("nobody closes the semaphore");
        let Ok(mut socket) = Socket::open(self.room.edges[self.edge]).await else { return Ok(None) };
        let hello = match &self.token {
            Some(token) => ClientMessage::Resume { token: token.clone() },
            None => ClientMessage::Join { pin: self.room.pin, nickname: nickname(self.no) },
        };
        if socket.send(&hello).await.is_err() {
            return Ok(None);
        }
        let admitted = timeout(JOIN_WAIT, async {
            loop {
                match socket.next().await {
                    Incoming::Message(message) => match *message {
                        ServerMessage::Joined(joined) => return Ok(Some(joined)),
                        ServerMessage::Error(error) => match error.code {
                            ErrorCode::Unavailable | ErrorCode::RateLimited => return Ok(None),
                            code => return Err(BotError::Refused { bot: self.no, code }),
                        },
                        _ => {}
                    },
                    Incoming::Closed(_) => return Ok(None),
                }
            }
        });
        let Ok(admitted) = admitted.await else { return Ok(None) };
        let Some(joined) = admitted? else { return Ok(None) };
        self.token = Some(joined.token);
        self.player = Some(joined.player);
        Ok(Some(socket))
    }

    /// Plays on one socket. True when the game is over.
    async fn follow(&mut self, socket: &mut Socket) -> bool {
        if let Some(pending) = self.pending.as_mut().filter(|pending| !pending.acked && pending.sent_at.is_some()) {
            pending.due = TokioInstant::now();
        }
        loop {
            let due = self.pending.as_ref().filter(|pending| !pending.acked).map(|pending| pending.due);
            let turn = tokio::select! {
                incoming = socket.next() => self.take(incoming),
                () = async { sleep_until(due.expect("guarded")).await }, if due.is_some() => self.answer(socket).await,
            };
            match turn {
                Turn::Go => {}
                Turn::Over => return true,
                Turn::Reconnect => return false,
            }
        }
    }

    async fn answer(&mut self, socket: &mut Socket) -> Turn {
        let Some(pending) = &mut self.pending else { return Turn::Go };
        if pending.sent_at.is_none() {
            self.room.tally.sent(pending.answer.question);
        }
        pending.sent_at = Some(Instant::now());
        pending.due = TokioInstant::now() + REPLY_WAIT;
        match socket.send(&ClientMessage::Answer(pending.answer.clone())).await {
            Ok(()) => Turn::Go,
            Err(_) => Turn::Reconnect,
        }
    }

    fn take(&mut self, incoming: Incoming) -> Turn {
        let Incoming::Message(message) = incoming else { return Turn::Reconnect };
        let tally = self.room.tally.clone();
        match *message {
            ServerMessage::Question(question) => self.think(&question),
            ServerMessage::Ack(ack) => self.acked(&ack),
            ServerMessage::Error(error) => self.refused(&error),
            ServerMessage::Closed(stopped) => tally.closed(stopped.question, stopped.reason),
            ServerMessage::Board(board) => tally.board(board.question, Duration::from_millis(CLOSE_GRACE_MS as u64)),
            ServerMessage::Outcome(own) => {
                if let Some(player) = self.player {
                    tally.standing(player, Standing { question: own.question, total: own.total, rank: own.rank });
                }
            }
            ServerMessage::Over(_) | ServerMessage::Kicked => return Turn::Over,
            _ => {}
        }
        Turn::Go
    }

    fn think(&mut self, shown: &QuestionMessage) {
        if self.pending.as_ref().is_some_and(|pending| pending.answer.question == shown.question) {
            return;
        }
        let Some(question) = self.room.quiz.questions.get(usize::from(shown.question)) else { return };
        let choice = choose(self.room.seed, self.no, shown.question, question);
        self.pending = Some(Pending {
            answer: Answer {
                question: shown.question,
                submission: SubmissionId::from_bits(choice.submission_bits),
                response: choice.response,
            },
            due: TokioInstant::now() + choice.think,
            sent_at: None,
            acked: false,
        });
    }

    fn pending_for(&mut self, submission: SubmissionId) -> Option<&mut Pending> {
        self.pending.as_mut().filter(|pending| pending.answer.submission == submission && !pending.acked)
    }

    fn acked(&mut self, ack: &Ack) {
        let (tally, player) = (self.room.tally.clone(), self.player);
        let Some(pending) = self.pending_for(ack.submission) else { return };
        pending.acked = true;
        let elapsed = pending.sent_at.map_or(Duration::ZERO, |at| at.elapsed());
        let position = Position { partition: ack.position.0, offset: ack.position.1 };
        if let Some(player) = player {
            tally.acked(ack.question, player, Acked { submission: ack.submission, position }, elapsed);
        }
    }

    fn refused(&mut self, error: &ErrorMessage) {
        let tally = self.room.tally.clone();
        let Some(pending) = error.submission.and_then(|submission| self.pending_for(submission)) else { return };
        match error.code {
            ErrorCode::Unavailable | ErrorCode::RateLimited => {
                let wait = Duration::from_millis(u64::from(error.retry_after_ms.unwrap_or(200)));
                pending.due = TokioInstant::now() + wait;
            }
            _ => {
                // The edge will never take it: it counts as an answer that was not acknowledged.
                pending.acked = true;
                let question: QuestionNo = pending.answer.question;
                tally.question(question, |tally| tally.refused += 1);
            }
        }
    }
}

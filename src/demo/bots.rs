//! The bot players: what they answer, and what they tell the tally.

use std::sync::Arc;
use std::time::Duration;

use quiz_game::session::CLOSE_GRACE_MS;
use quiz_ingest::protocol::{Answer, QuestionMessage, ServerMessage};
use quiz_schemas::quiz::Quiz;
use quiz_schemas::{Pin, PlayerId, Position, SubmissionId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::tally::{Acked, Standing, Tally};
use crate::client::choices::{Dice, choose, nickname};
use crate::client::link::{Hello, Link, LinkError, Way};
use crate::client::player::{Event, Plan, Player, Script};

/// What all bots of a game share.
pub struct Room {
    /// The way to the edges.
    pub way: Way,
    /// The game's PIN.
    pub pin: Pin,
    /// The quiz, from which a bot knows what it may answer.
    pub quiz: Arc<Quiz>,
    /// Makes the choices.
    pub seed: u64,
    /// What the bots see.
    pub tally: Arc<Tally>,
}

/// One bot player.
pub struct Bot {
    no: u32,
    room: Arc<Room>,
    joined: mpsc::Sender<u32>,
    player: Option<PlayerId>,
}

impl Bot {
    /// Bot number `no` of a room, which says through `joined` when it has.
    #[must_use]
    pub fn new(no: u32, room: Arc<Room>, joined: mpsc::Sender<u32>) -> Self {
        Self { no, room, joined, player: None }
    }

    /// Joins and plays until the game is over.
    ///
    /// # Errors
    /// When it cannot join, or cannot come back.
    pub async fn play(self) -> Result<(), LinkError> {
        let (no, seed) = (self.no, self.room.seed);
        let hello = Hello::Join { pin: self.room.pin, nickname: nickname(no) };
        let link = Link::new(self.room.way.clone(), hello, no as usize, Dice::new(seed, no, u16::MAX - 1));
        Player::new(link, self, Dice::new(seed, no, u16::MAX - 2), true).play().await.1
    }
}

impl Script for Bot {
    fn answer_to(&mut self, shown: &QuestionMessage) -> Option<Plan> {
        let question = self.room.quiz.questions.get(usize::from(shown.question))?;
        let choice = choose(self.room.seed, self.no, shown.question, question);
        let submission = SubmissionId::from_bits(choice.submission_bits);
        Some(Plan {
            answer: Answer { question: shown.question, submission, response: choice.response, proof: None },
            intended: Instant::now() + choice.think,
        })
    }

    fn tell(&mut self, event: Event<'_>) {
        let tally = &self.room.tally;
        match event {
            Event::Joined { joined, .. } => {
                self.player = Some(joined.player);
                // The room may have gone on without waiting for everyone.
                let _ = self.joined.try_send(self.no);
            }
            Event::Closed { .. } => tally.reconnected(),
            Event::Sent { kept, .. } if kept.tries == 1 => tally.sent(kept.answer.question),
            Event::Acked { ack, kept, .. } => {
                let position = Position { partition: ack.position.0, offset: ack.position.1 };
                let elapsed = kept.sent.map_or(Duration::ZERO, |at| at.elapsed());
                if let Some(player) = self.player {
                    tally.acked(ack.question, player, Acked { submission: ack.submission, position }, elapsed);
                }
            }
            Event::Refused { kept, .. } => tally.question(kept.answer.question, |seen| seen.refused += 1),
            Event::Applied { message, .. } => self.applied(message),
            _ => {}
        }
    }
}

impl Bot {
    fn applied(&self, message: &ServerMessage) {
        let tally = &self.room.tally;
        match message {
            ServerMessage::Board(board) => tally.board(board.question, Duration::from_millis(CLOSE_GRACE_MS as u64)),
            ServerMessage::Outcome(own) => {
                if let Some(player) = self.player {
                    tally.standing(player, Standing { question: own.question, total: own.total, rank: own.rank });
                }
            }
            _ => {}
        }
    }
}

//! One player of a game, from the first socket to the podium.

use std::net::SocketAddr;
use std::time::Duration;

use quiz_ingest::protocol::{Ack, Answer, ClientMessage, ErrorCode, Joined, QuestionMessage, ServerMessage, Taken};
use quiz_schemas::{QuestionNo, SubmissionId};
use tokio::time::Instant;

use super::alarm::due;
use super::choices::Dice;
use super::feed::Feed;
use super::link::{Greeting, Happening, Link, LinkError};
use super::outbox::{Failed, Kept, Outbox};
use super::socket::Closing;

/// How long a player stays after the podium for the last word on an answer.
const LINGER: Duration = Duration::from_secs(20);

/// An answer that is planned.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// What.
    pub answer: Answer,
    /// When it is to leave.
    pub intended: Instant,
}

/// What happens to a player.
#[derive(Debug)]
pub enum Event<'a> {
    /// It has a seat.
    Joined {
        /// What the edge says.
        joined: &'a Joined,
        /// Which edge.
        edge: SocketAddr,
        /// Since it was first tried.
        took: Duration,
    },
    /// It is back on a fresh socket.
    Reconnected {
        /// What the edge says.
        joined: &'a Joined,
        /// Which edge.
        edge: SocketAddr,
        /// Since the socket went.
        took: Duration,
    },
    /// Its socket went.
    Closed {
        /// How.
        closing: &'a Closing,
        /// Whether it was given up because it was silent.
        silent: bool,
        /// Which edge.
        edge: SocketAddr,
    },
    /// An answer left.
    Sent {
        /// The answer as it left; `tries` counts from 1.
        kept: &'a Kept,
        /// To which edge.
        edge: SocketAddr,
    },
    /// An edge took an answer and is not done yet.
    Taken(&'a Taken),
    /// An answer is in the log.
    Acked {
        /// What the edge says.
        ack: &'a Ack,
        /// The answer.
        kept: &'a Kept,
        /// Which edge.
        edge: SocketAddr,
    },
    /// No edge will take an answer.
    Refused {
        /// The answer.
        kept: &'a Kept,
        /// Why.
        code: ErrorCode,
    },
    /// An edge asks for the answer again later.
    Deferred {
        /// Which.
        submission: SubmissionId,
        /// Why.
        code: ErrorCode,
    },
    /// It is not known what became of an answer: its socket went first, or the game is over.
    Unknown {
        /// The answer.
        kept: &'a Kept,
    },
    /// A message was applied.
    Applied {
        /// The message.
        message: &'a ServerMessage,
        /// Its record's offset; None for a part of a snapshot and for what is volatile.
        at: Option<i64>,
        /// Where the player stands.
        feed: &'a Feed,
    },
    /// A message was dropped, for it was applied before.
    Stale {
        /// The message.
        message: &'a ServerMessage,
        /// Its record's offset.
        at: i64,
        /// Where the player stands.
        feed: &'a Feed,
    },
}

/// Who plays, and who watches.
pub trait Script: Send {
    /// What the player answers to a question that it sees, and when.
    fn answer_to(&mut self, question: &QuestionMessage) -> Option<Plan>;
    /// Something happened.
    fn tell(&mut self, event: Event<'_>);
}

/// A player.
pub struct Player<S> {
    link: Link,
    outbox: Outbox,
    script: S,
    dice: Dice,
    /// The newest question that the script was asked about.
    asked: Option<QuestionNo>,
    leaves_at: Option<Instant>,
}

impl<S: Script> Player<S> {
    /// A player at the end of `link`. One that does not resend is for controls only.
    pub fn new(link: Link, script: S, dice: Dice, resends: bool) -> Self {
        Self { link, outbox: Outbox::new(resends), script, dice, asked: None, leaves_at: None }
    }

    /// Plays until the game is over. Gives the script back, and why it ended early if it did: it
    /// could not join, or its seat is lost for good.
    pub async fn play(mut self) -> (S, Result<(), LinkError>) {
        let result = self.until_over().await;
        for kept in self.outbox.kept().filter(|kept| kept.tries > 0) {
            self.script.tell(Event::Unknown { kept });
        }
        (self.script, result)
    }

    async fn until_over(&mut self) -> Result<(), LinkError> {
        loop {
            if self.leaves_at.is_some_and(|at| self.outbox.is_empty() || Instant::now() >= at) {
                return Ok(());
            }
            // While there is no socket nothing can leave, and looking for one may not be interrupted.
            let next = [self.outbox.due(), self.leaves_at].into_iter().flatten().min();
            let wake = next.filter(|_| self.link.is_open());
            tokio::select! {
                happening = self.link.next() => match happening {
                    Ok(happening) => self.on_happening(happening),
                    Err(_) if self.leaves_at.is_some() => return Ok(()),
                    Err(err) => return Err(err),
                },
                () = async { due(wake.expect("guarded")).await }, if wake.is_some() => self.send().await,
            }
        }
    }

    async fn send(&mut self) {
        let edge = self.link.edge();
        while let Some(kept) = self.outbox.send(Instant::now()) {
            // Told before it leaves: a reply cannot be faster than what is written about the answer.
            self.script.tell(Event::Sent { kept, edge });
            let message = ClientMessage::Answer(kept.answer.clone());
            if !self.link.send(&message).await {
                return;
            }
        }
    }

    fn on_happening(&mut self, happening: Happening) {
        match happening {
            Happening::Entered { greeting, edge, took, again } => {
                let Greeting::Joined(joined) = *greeting else { return };
                self.outbox.online(Instant::now());
                self.script.tell(if again {
                    Event::Reconnected { joined: &joined, edge, took }
                } else {
                    Event::Joined { joined: &joined, edge, took }
                });
            }
            Happening::Lost { closing, silent, edge } => {
                self.script.tell(Event::Closed { closing: &closing, silent, edge });
                for kept in self.outbox.offline() {
                    self.script.tell(Event::Unknown { kept: &kept });
                }
            }
            Happening::Stale { message, at } => {
                self.script.tell(Event::Stale { message: &message, at, feed: self.link.feed() });
            }
            Happening::Heard { message, at } => self.on_message(&message, at),
        }
    }

    fn on_message(&mut self, message: &ServerMessage, at: Option<i64>) {
        match message {
            ServerMessage::Ack(ack) => {
                if let Some(kept) = self.outbox.acked(ack) {
                    self.script.tell(Event::Acked { ack, kept: &kept, edge: self.link.edge() });
                }
            }
            ServerMessage::Taken(taken) => {
                self.outbox.taken(taken.submission, &taken.proof);
                self.script.tell(Event::Taken(taken));
            }
            ServerMessage::Error(error) => match self.outbox.failed(error, Instant::now(), self.dice.share()) {
                Failed::Refused(kept) => self.script.tell(Event::Refused { kept: &kept, code: error.code }),
                Failed::Again => {
                    let submission = error.submission.expect("it is about an answer that is kept");
                    self.script.tell(Event::Deferred { submission, code: error.code });
                }
                Failed::Unknown => {}
            },
            _ => {
                self.script.tell(Event::Applied { message, at, feed: self.link.feed() });
                self.on_event(message);
            }
        }
    }

    fn on_event(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Question(question) if self.asked < Some(question.question) && question.left_ms > 0 => {
                self.asked = Some(question.question);
                if let Some(plan) = self.script.answer_to(question)
                    && let Some(kept) = self.outbox.put(plan.answer, plan.intended)
                    && kept.tries > 0
                {
                    self.script.tell(Event::Unknown { kept: &kept });
                }
            }
            ServerMessage::Closed(stopped) => self.outbox.closed(stopped.question),
            ServerMessage::Board(board) => self.outbox.closed(board.question),
            ServerMessage::Over(_) => {
                self.outbox.closed(QuestionNo::MAX);
                self.leaves_at = Some(Instant::now() + LINGER);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

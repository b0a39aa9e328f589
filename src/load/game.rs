//! One game of a load run, as its host has it.

use std::pin::pin;
use std::time::Duration;

use quiz_game::session::CLOSE_GRACE_MS;
use quiz_ingest::http::Created;
use quiz_ingest::limits::LANE_PLAYERS_MAX;
use quiz_ingest::protocol::ServerMessage;
use quiz_schemas::QuestionNo;
use quiz_schemas::events::StopReason;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, sleep_until};

use super::books::Account;
use super::crowd::{Heralds, Seats};
use super::log;
use super::player::applied;
use super::squad::Around;
use crate::client::create::create;
use crate::client::feed::Feed;
use crate::client::host::{Host, Watch};
use crate::client::link::{Greeting, Happening};
use crate::exit::{Exit, Failure};

/// A game.
pub struct Game {
    around: Around,
    no: u32,
    players: u32,
    seats: Seats,
    created: Created,
    host: Host,
    asked: u64,
    heard: u32,
    over: bool,
    failure: Option<Failure>,
}

/// A step of all games at once.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Everybody comes in, each at its time after this moment.
    Join(Instant),
    /// Everybody sits and waits.
    Idle(Duration),
    /// All questions are asked from this moment on, and the game is ended.
    Play(Instant),
}

impl Game {
    /// Creates game number `no` of the run for the players that have these seats.
    ///
    /// # Errors
    /// When no edge takes it.
    pub async fn create(around: Around, no: u32, seats: Seats) -> Result<Self, Failure> {
        // Hosts are spread over the edges as players are.
        let mut way = around.way.clone();
        let mut edges = way.edges.to_vec();
        let count = edges.len();
        edges.rotate_left(no as usize % count);
        way.edges = edges.into();
        let players = around.run.players[no as usize];
        let created = create(&way, &around.run.quiz, around.run.capacity).await?;
        if let Some(log) = &around.log {
            log.write(
                "game",
                json!({ "game": created.game, "pin": created.pin, "capacity": around.run.capacity,
                    "lanes": around.run.capacity.div_ceil(LANE_PLAYERS_MAX as u32).max(1),
                    "players": players, "questions": around.run.quiz.questions.len() }),
            );
        }
        let host = Host::new(way, created.host_token.clone()).watched(watch(&around, &created, no, seats.heralds()));
        Ok(Self { around, no, players, seats, created, host, asked: 0, heard: 0, over: false, failure: None })
    }

    /// How the edge named it.
    #[must_use]
    pub fn created(&self) -> &Created {
        &self.created
    }

    /// Whose books are to be looked at.
    #[must_use]
    pub fn account(&self) -> Account {
        Account { game: self.created.game, token: self.created.host_token.clone(), questions: self.asked }
    }

    /// Its players, those that heard of its end, and whether its host did.
    #[must_use]
    pub fn ending(&self) -> (u32, u32, bool) {
        (self.players, self.heard, self.over)
    }

    /// Why it could not be played to its end.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Takes a step, unless an earlier one failed.
    pub async fn step(&mut self, step: Step) {
        if self.failure.is_some() {
            return;
        }
        let result = match step {
            Step::Join(began) => self.join(began).await,
            Step::Idle(span) => self.host.rest(sleep(span)).await,
            Step::Play(began) => self.play(began).await,
        };
        if let Err(failure) = result {
            self.fail(failure);
        }
    }

    /// Waits until the others have taken their step. Its host keeps its seat meanwhile: an edge lets nobody be
    /// silent for long.
    pub async fn wait_for(&mut self, others: &Barrier) {
        let mut others = pin!(others.wait());
        if self.failure.is_none() && !self.over {
            match self.host.rest(&mut others).await {
                Ok(_) => return,
                Err(failure) => self.fail(failure),
            }
        }
        others.await;
    }

    fn fail(&mut self, failure: Failure) {
        self.around.meter.count(0, |counts| counts.errors += 1);
        self.failure = Some(failure);
    }

    async fn join(&mut self, began: Instant) -> Result<(), Failure> {
        self.host.enter().await?;
        let began_us = self.around.meter.clock().us(began);
        let seated = self.seats.seat(&self.created, began, began_us);
        self.host.rest(seated).await?.map_err(|why| Failure::new(Exit::Failed, why))
    }

    async fn play(&mut self, play: Instant) -> Result<(), Failure> {
        let failed = |why: String| Failure::new(Exit::Failed, why);
        let run = self.around.run.clone();
        let game = self.created.game;
        let began = run.asking.begin(play, self.no, run.players.len() as u32);
        self.host.rest(sleep_until(began)).await?;
        for (no, question) in run.quiz.questions.iter().enumerate() {
            let no = no as QuestionNo;
            let limit = Duration::from_millis(u64::try_from(question.limit_ms).unwrap_or(0));
            let at_us = self.around.meter.clock().us(Instant::now());
            self.around.meter.asked(game, no, at_us);
            self.seats.asked(game, no, at_us).await.map_err(failed)?;
            self.asked += 1;
            self.host.ask(no, limit).await?;
            let next = run.asking.next(began, u32::from(no) + 1, Instant::now());
            self.host.rest(sleep_until(next)).await?;
        }
        self.host.end().await?;
        self.over = true;
        let (heard, why) = self.seats.over().await.map_err(failed)?;
        self.heard = heard;
        if heard < self.players {
            let missing = self.players - heard;
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            return Err(failed(format!(
                "{missing} of {} players did not hear that the game is over{why}",
                self.players
            )));
        }
        Ok(())
    }
}

/// The close markers of a question that not everybody has answered follow so long after its stop: no one's delay.
const CLOSE_GRACE: Duration = Duration::from_millis(CLOSE_GRACE_MS as u64);

/// Writes down what the host sees.
fn watch(around: &Around, created: &Created, no: u32, heralds: Heralds) -> Watch {
    let (log, meter, game) = (around.log.clone(), around.meter.clone(), created.game);
    Box::new(move |happening, feed| {
        let line = match happening {
            Happening::Entered { again: false, .. } => None,
            Happening::Entered { greeting, edge, took, .. } => {
                meter.reconnected(no, *took);
                let Greeting::Hosting(hosting) = &**greeting else { return };
                let fields = json!({ "edge": edge, "took_ms": took.as_millis() as u64, "recovered": hosting.recovered,
                    "cursor": log::cursor(hosting.cursor.as_ref()) });
                Some(("reconnected", fields))
            }
            Happening::Lost { closing, silent, edge } => {
                meter.lost(no, closing, *silent);
                Some(("closed_socket", json!({ "code": closing.code, "silent": silent, "edge": edge })))
            }
            Happening::Heard { message, at } => {
                if let ServerMessage::Closed(stopped) = &**message {
                    let grace = if stopped.reason == StopReason::AllAnswered { Duration::ZERO } else { CLOSE_GRACE };
                    let at_us = meter.clock().us(Instant::now() + grace);
                    heralds.closed(game, stopped.question, at_us);
                }
                applied(message, *at, feed.cursor(), true).map(|fields| ("applied", fields))
            }
            Happening::Stale { message, at } => {
                meter.count(no, |counts| counts.stale += 1);
                stale(message, *at, feed).map(|fields| ("stale", fields))
            }
        };
        if let (Some(log), Some((event, mut fields))) = (&log, line) {
            fields["game"] = json!(game);
            fields["player"] = Value::Null;
            log.write(event, fields);
        }
    })
}

fn stale(message: &ServerMessage, at: i64, feed: &Feed) -> Option<Value> {
    let mut fields = applied(message, Some(at), feed.cursor(), false)?;
    fields["cursor"] = json!(feed.cursor().map(|cursor| cursor.offset));
    Some(fields)
}

//! One game of a load run: its host and its players.

use std::sync::Arc;
use std::time::Duration;

use quiz_ingest::http::Created;
use quiz_ingest::limits::LANE_PLAYERS_MAX;
use quiz_ingest::protocol::ServerMessage;
use quiz_schemas::QuestionNo;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::log::{self, Log};
use super::measure::Meter;
use super::options::{PATIENCE, Run};
use super::player::{Gamer, Room, applied};
use crate::client::choices::{Dice, nickname};
use crate::client::create::create;
use crate::client::feed::Feed;
use crate::client::host::{Host, Watch};
use crate::client::link::{Greeting, Happening, Hello, Link, LinkError, Way};
use crate::client::player::Player;
use crate::exit::{Exit, Failure};

/// How long players may take to hear that the game is over.
const OVER_WAIT: Duration = Duration::from_secs(60);

/// What all games of a run share.
#[derive(Clone)]
pub struct Around {
    /// What is asked for.
    pub run: Arc<Run>,
    /// The way to the edges.
    pub way: Way,
    /// Makes the choices.
    pub seed: u64,
    /// Whether clients send again what is not acknowledged.
    pub resends: bool,
    /// What is measured.
    pub meter: Arc<Meter>,
    /// What is written down.
    pub log: Option<Arc<Log>>,
}

type Ending = (Gamer, Result<(), LinkError>);

/// A game.
pub struct Game {
    around: Around,
    players: u32,
    /// The number of its first player over the whole run.
    first: u32,
    created: Created,
    host: Host,
    gamers: JoinSet<Ending>,
    ended: u32,
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
    /// All questions are asked, and the game is ended.
    Play,
}

impl Game {
    /// Creates a game of `players` players, whose first is number `first` of the run.
    ///
    /// # Errors
    /// When no edge takes it.
    pub async fn create(around: Around, no: u32, players: u32, first: u32) -> Result<Self, Failure> {
        // Hosts are spread over the edges as players are.
        let mut way = around.way.clone();
        let mut edges = way.edges.to_vec();
        let count = edges.len();
        edges.rotate_left(no as usize % count);
        way.edges = edges.into();
        let created = create(&way, &around.run.quiz, around.run.capacity).await?;
        if let Some(log) = &around.log {
            log.write(
                "game",
                json!({ "game": created.game, "pin": created.pin, "capacity": around.run.capacity,
                    "lanes": around.run.capacity.div_ceil(LANE_PLAYERS_MAX as u32).max(1),
                    "players": players, "questions": around.run.quiz.questions.len() }),
            );
        }
        let host = Host::new(way, created.host_token.clone()).watched(watch(&around, &created));
        Ok(Self { around, players, first, created, host, gamers: JoinSet::new(), ended: 0, over: false, failure: None })
    }

    /// How the edge named it.
    #[must_use]
    pub fn created(&self) -> &Created {
        &self.created
    }

    /// Its players, those that heard of its end, and whether its host did.
    #[must_use]
    pub fn ending(&self) -> (u32, u32, bool) {
        (self.players, self.ended, self.over)
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
            Step::Play => self.play().await,
        };
        if let Err(failure) = result {
            self.around.meter.count(|counts| counts.errors += 1);
            self.failure = Some(failure);
        }
    }

    async fn join(&mut self, began: Instant) -> Result<(), Failure> {
        self.host.enter().await?;
        let room = Arc::new(Room {
            game: self.created.game,
            quiz: self.around.run.quiz.clone(),
            seed: self.around.seed,
            pace: self.around.run.pace,
            meter: self.around.meter.clone(),
            log: self.around.log.clone(),
        });
        let (joined, mut arrivals) = mpsc::channel(self.players as usize);
        for no in self.first..self.first + self.players {
            self.spawn(no, began, room.clone(), joined.clone());
        }
        drop(joined);
        let (players, gamers) = (self.players, &mut self.gamers);
        let last = began + self.around.run.connect_every * (self.first + players) + PATIENCE;
        let all = async move {
            for arrived in 0..players {
                let why = tokio::select! {
                    Some(_) = arrivals.recv() => continue,
                    Some(ended) = gamers.join_next() => match ended {
                        Ok((_, Err(err))) => err.to_string(),
                        _ => "it ended before the game began".into(),
                    },
                    () = sleep_until(last) => "no edge let the others in".into(),
                };
                return Err(format!("only {arrived} of {players} players could join: {why}"));
            }
            Ok(())
        };
        self.host.rest(all).await?.map_err(|why| Failure::new(Exit::Failed, why))
    }

    fn spawn(&mut self, no: u32, began: Instant, room: Arc<Room>, joined: mpsc::Sender<u32>) {
        let Around { run, mut way, seed, resends, .. } = self.around.clone();
        let intended = began + run.connect_every * no;
        let gamer = Gamer::new(no, room, intended, joined);
        let hello = Hello::Join { pin: self.created.pin, nickname: nickname(no) };
        way.source = run.source.map(|sources| sources.of(no));
        self.gamers.spawn(async move {
            sleep_until(intended).await;
            let link = Link::new(way, hello, no as usize, Dice::new(seed, no, u16::MAX - 1));
            Player::new(link, gamer, Dice::new(seed, no, u16::MAX - 2), resends).play().await
        });
    }

    async fn play(&mut self) -> Result<(), Failure> {
        let run = self.around.run.clone();
        for (no, question) in run.quiz.questions.iter().enumerate() {
            let no = no as QuestionNo;
            let limit = Duration::from_millis(u64::try_from(question.limit_ms).unwrap_or(0));
            self.around.meter.asked(self.created.game, no, Instant::now());
            self.host.ask(no, limit).await?;
            self.host.rest(sleep(run.pause)).await?;
        }
        self.host.end().await?;
        self.over = true;
        self.everybody_ends().await
    }

    async fn everybody_ends(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + OVER_WAIT;
        while let Ok(Some(ended)) = timeout_at(deadline, self.gamers.join_next()).await {
            let (gamer, result) =
                ended.map_err(|err| Failure::new(Exit::Failed, format!("a player panicked: {err}")))?;
            let (player, heard) = gamer.ending();
            let ok = heard && result.is_ok();
            self.ended += u32::from(ok);
            if !ok {
                self.around.meter.count(|counts| counts.errors += 1);
            }
            if let Some(log) = &self.around.log {
                let error = result.err().map(|err| err.to_string());
                log.write("ended", json!({ "game": self.created.game, "player": player, "ok": ok, "error": error }));
            }
        }
        if self.ended < self.players {
            let message =
                format!("{} of {} players did not hear that the game is over", self.players - self.ended, self.players);
            return Err(Failure::new(Exit::Failed, message));
        }
        Ok(())
    }
}

/// Writes down what the host sees.
fn watch(around: &Around, created: &Created) -> Watch {
    let (log, meter, game) = (around.log.clone(), around.meter.clone(), created.game);
    Box::new(move |happening, feed| {
        let line = match happening {
            Happening::Entered { again: false, .. } => None,
            Happening::Entered { greeting, edge, took, .. } => {
                meter.reconnected(*took);
                let Greeting::Hosting(hosting) = &**greeting else { return };
                let fields = json!({ "edge": edge, "took_ms": took.as_millis() as u64, "recovered": hosting.recovered,
                    "cursor": log::cursor(hosting.cursor.as_ref()) });
                Some(("reconnected", fields))
            }
            Happening::Lost { closing, silent, edge } => {
                Some(("closed_socket", json!({ "code": closing.code, "silent": silent, "edge": edge })))
            }
            Happening::Heard { message, at } => {
                applied(message, *at, feed.cursor(), true).map(|fields| ("applied", fields))
            }
            Happening::Stale { message, at } => {
                meter.count(|counts| counts.stale += 1);
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

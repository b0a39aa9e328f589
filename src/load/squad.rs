//! The players of one process: they join when they are told to, play by themselves, and report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use super::measure::Meter;
use super::options::{PATIENCE, Run};
use super::orders::{Order, Part, Report};
use super::player::{Gamer, Room};
use crate::client::choices::{Dice, nickname};
use crate::client::link::{Hello, Link, LinkError, Way};
use crate::client::player::Player;

/// How long players may take to hear that the game is over.
pub const OVER_WAIT: Duration = Duration::from_secs(60);

/// What all clients of a process share.
#[derive(Clone)]
pub struct Around {
    /// What is asked for.
    pub run: Arc<Run>,
    /// The way to the edges.
    pub way: Way,
    /// What is measured.
    pub meter: Arc<Meter>,
    /// What is written down.
    pub log: Option<Arc<Log>>,
}

impl Around {
    /// With a meter of their own; `gate` bounds how many connect at once.
    #[must_use]
    pub fn new(run: Arc<Run>, gate: Arc<Semaphore>, log: Option<Arc<Log>>) -> Self {
        let way = Way { gate, ..Way::new(&run.edges, 1, PATIENCE) };
        let meter = Arc::new(Meter::new(way.traffic.clone()));
        Self { run, way, meter, log }
    }
}

type Ending = (Gamer, Result<(), LinkError>);

/// Follows orders until there are no more.
pub async fn play(around: Around, mut orders: mpsc::Receiver<Order>, reports: mpsc::Sender<Report>) {
    let mut parts = JoinSet::new();
    let mut over: BTreeMap<u32, CancellationToken> = BTreeMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Seat { part, began_us } => {
                let began = around.meter.clock().instant(began_us);
                let heard = over.entry(part.no).or_default().clone();
                parts.spawn(one_part(part, around.clone(), began, heard, reports.clone()));
            }
            Order::Asked { game, question, at_us } => around.meter.asked(game, question, at_us),
            Order::Closed { game, question, at_us } => around.meter.closed(game, question, at_us),
            Order::Over(no) => over.entry(no).or_default().cancel(),
            Order::Tell => {
                if reports.send(Report::Told(Box::new(around.meter.figures()))).await.is_err() {
                    return;
                }
            }
            Order::Leave => return,
        }
    }
}

/// The players of one game in this process, from the first to join to the last to leave.
async fn one_part(part: Part, around: Around, began: Instant, over: CancellationToken, reports: mpsc::Sender<Report>) {
    let no = part.no;
    let mut table = Table { part, around, gamers: JoinSet::new(), heard: 0, why: None };
    let report = match table.seat(began).await {
        Ok(()) => Report::Seated { no },
        Err(why) => Report::Unseated { no, why },
    };
    if reports.send(report).await.is_err() {
        return;
    }
    table.until_ended(over).await;
    let Table { heard, why, .. } = table;
    // Whoever waits for it may have given up.
    let _ = reports.send(Report::Ended { no, heard, why }).await;
}

struct Table {
    part: Part,
    around: Around,
    gamers: JoinSet<Ending>,
    heard: u32,
    why: Option<String>,
}

impl Table {
    /// Lets all join, and waits for them.
    async fn seat(&mut self, began: Instant) -> Result<(), String> {
        let Around { run, meter, log, .. } = &self.around;
        let room = Arc::new(Room {
            game: self.part.game,
            quiz: run.quiz.clone(),
            seed: run.seed,
            pace: run.pace,
            meter: meter.clone(),
            log: log.clone(),
        });
        let Part { first, players, .. } = self.part;
        let last = began + run.connect_every * (first + players) + PATIENCE;
        let (joined, mut arrivals) = mpsc::channel(players as usize);
        for no in first..first + players {
            self.spawn(no, began, room.clone(), joined.clone());
        }
        drop(joined);
        for arrived in 0..players {
            let why = tokio::select! {
                Some(_) = arrivals.recv() => continue,
                Some(ended) = self.gamers.join_next() => match ended {
                    Ok((_, Err(err))) => err.to_string(),
                    _ => "it ended before the game began".into(),
                },
                () = sleep_until(last) => "no edge let the others in".into(),
            };
            return Err(format!("only {arrived} of {players} players could join: {why}"));
        }
        Ok(())
    }

    fn spawn(&mut self, no: u32, began: Instant, room: Arc<Room>, joined: mpsc::Sender<u32>) {
        let Around { run, mut way, .. } = self.around.clone();
        let intended = began + run.connect_every * no;
        let gamer = Gamer::new(no, room, intended, joined);
        let hello = Hello::Join { pin: self.part.pin, nickname: nickname(no) };
        way.source = run.source.map(|sources| sources.of(no));
        self.gamers.spawn(async move {
            sleep_until(intended).await;
            let link = Link::new(way, hello, no as usize, Dice::new(run.seed, no, u16::MAX - 1));
            Player::new(link, gamer, Dice::new(run.seed, no, u16::MAX - 2), run.resends).play().await
        });
    }

    /// Waits until all have left, or have not though the game has been over for long.
    async fn until_ended(&mut self, over: CancellationToken) {
        let too_late = async {
            over.cancelled().await;
            sleep(OVER_WAIT).await;
        };
        let mut too_late = std::pin::pin!(too_late);
        loop {
            let ended = tokio::select! {
                ended = self.gamers.join_next() => ended,
                () = &mut too_late => return,
            };
            match ended {
                Some(ended) => self.ended(ended),
                None => return,
            }
        }
    }

    fn ended(&mut self, ended: Result<Ending, JoinError>) {
        let (player, ok, error) = match ended {
            Ok((gamer, result)) => {
                let (player, heard) = gamer.ending();
                (player, heard && result.is_ok(), result.err().map(|err| err.to_string()))
            }
            Err(err) => (None, false, Some(format!("a player panicked: {err}"))),
        };
        self.heard += u32::from(ok);
        if !ok {
            self.around.meter.count(self.part.first, |counts| counts.errors += 1);
            self.why = self.why.take().or(error.clone());
        }
        if let Some(log) = &self.around.log {
            let game = self.part.game;
            log.write("ended", json!({ "game": game, "player": player, "ok": ok, "error": error }));
        }
    }
}

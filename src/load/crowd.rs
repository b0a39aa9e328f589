//! All players of a run, in this process or split over children of it.
//!
//! This process creates the games and hosts them; a child has the players of its share of the
//! numbers, whichever games they are in. So a game that is too big for one process is spread, and
//! where games are small a child has whole ones: one way for both.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quiz_ingest::http::Created;
use quiz_schemas::{GameId, QuestionNo};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::figures::Figures;
use super::files::share;
use super::options::PATIENCE;
use super::orders::{Order, Part, Report};
use super::processes::{self, Gone};
use super::squad::{self, Around, OVER_WAIT};
use crate::exit::{Exit, Failure};

/// Orders that wait for a squad that is busy.
const ORDERS_MAX: usize = 1_024;
/// How long a process may take to begin.
const READY_WAIT: Duration = Duration::from_secs(30);
/// How long a squad may take to tell its figures.
const TELL_WAIT: Duration = Duration::from_secs(20);
/// How much longer than a squad itself waits we wait for its word.
const WORD_WAIT: Duration = Duration::from_secs(10);

/// Where reports go.
#[derive(Clone)]
pub struct Desk {
    games: Arc<[mpsc::Sender<Report>]>,
    told: mpsc::Sender<Box<Figures>>,
    ready: mpsc::Sender<Option<PathBuf>>,
}

impl Desk {
    /// Hands a report to who waits for it. Who does not wait any more has given up.
    pub async fn take(&self, report: Report) {
        match report {
            Report::Ready { log } => _ = self.ready.send(log).await,
            Report::Told(figures) => _ = self.told.send(figures).await,
            Report::Seated { no } | Report::Unseated { no, .. } | Report::Ended { no, .. } => {
                if let Some(game) = self.games.get(no as usize) {
                    _ = game.send(report).await;
                }
            }
        }
    }
}

/// All players.
pub struct Crowd {
    orders: Arc<[mpsc::Sender<Order>]>,
    told: mpsc::Receiver<Box<Figures>>,
    /// What each process of players writes.
    pub logs: Vec<PathBuf>,
}

/// A crowd, the seats of each game in it, and word of processes that end.
pub type Mustered = (Crowd, Vec<Seats>, mpsc::Receiver<Gone>);

impl Crowd {
    /// Calls all players of the run together, in as many processes as it has.
    ///
    /// # Errors
    /// When a process does not start.
    pub async fn muster(around: &Around) -> Result<Mustered, Failure> {
        let count = around.run.processes;
        let (told_to, told) = mpsc::channel(count as usize);
        let (ready_to, mut ready) = mpsc::channel(count as usize);
        // Each part of a game makes two reports.
        let (games, reports): (Vec<_>, Vec<_>) =
            around.run.players.iter().map(|_| mpsc::channel(2 * count as usize)).unzip();
        let desk = Desk { games: games.into(), told: told_to, ready: ready_to };
        let (gone_to, mut gone) = mpsc::channel(count as usize);
        let mut orders = Vec::new();
        for no in 0..count {
            let (to, from) = mpsc::channel(ORDERS_MAX);
            orders.push(to);
            if count == 1 {
                here(around, from, desk.clone());
            } else {
                processes::start((no, count), from, desk.clone(), gone_to.clone())?;
            }
        }
        let orders: Arc<[_]> = orders.into();
        let seats =
            reports.into_iter().enumerate().map(|(no, reports)| Seats::new(no as u32, around, &orders, reports));
        let seats = seats.collect();
        let mut crowd = Self { orders, told, logs: Vec::new() };
        if count > 1 {
            let deadline = Instant::now() + READY_WAIT;
            for _ in 0..count {
                let late = "a process of players does not begin".to_string();
                let ready = tokio::select! {
                    Some(log) = ready.recv() => Ok(log),
                    Some(gone) = gone.recv() => Err(gone.words()),
                    () = sleep_until(deadline) => Err(late),
                };
                crowd.logs.extend(ready.map_err(|why| Failure::new(Exit::Failed, why))?);
            }
        }
        Ok((crowd, seats, gone))
    }

    /// The figures of all players so far, and how many squads did not tell theirs.
    pub async fn figures(&mut self) -> (Figures, usize) {
        let deadline = Instant::now() + TELL_WAIT;
        // What came too late for the last question is no answer to this one.
        while self.told.try_recv().is_ok() {}
        let mut asked = 0;
        for orders in self.orders.iter() {
            asked += usize::from(matches!(timeout_at(deadline, orders.send(Order::Tell)).await, Ok(Ok(()))));
        }
        let mut sum = Figures::default();
        let mut heard = 0;
        while heard < asked {
            let Ok(Some(figures)) = timeout_at(deadline, self.told.recv()).await else { break };
            sum += &*figures;
            heard += 1;
        }
        (sum, self.orders.len() - heard)
    }

    /// Lets all go.
    pub async fn leave(&self) {
        let deadline = Instant::now() + WORD_WAIT;
        for orders in self.orders.iter() {
            // One that is gone has left already.
            _ = timeout_at(deadline, orders.send(Order::Leave)).await;
        }
    }
}

/// Players in this process.
fn here(around: &Around, orders: mpsc::Receiver<Order>, desk: Desk) {
    // Their meter is another one than the hosts', as it is where they are in another process.
    let gate = around.way.gate.clone();
    let around = Around::new(around.run.clone(), gate, around.log.clone());
    let (to, mut reports) = mpsc::channel(1);
    tokio::spawn(squad::play(around, orders, to));
    tokio::spawn(async move {
        while let Some(report) = reports.recv().await {
            desk.take(report).await;
        }
    });
}

/// Tells those who play a game what its host hears, without waiting.
#[derive(Clone)]
pub struct Heralds(Vec<mpsc::Sender<Order>>);

impl Heralds {
    /// A question takes no more answers.
    pub fn closed(&self, game: GameId, question: QuestionNo, at_us: u64) {
        for orders in &self.0 {
            // A squad that is too busy to hear it measures no board of this question: its count tells.
            _ = orders.try_send(Order::Closed { game, question, at_us });
        }
    }
}

/// The players of one game, wherever they are.
pub struct Seats {
    no: u32,
    /// Of each squad that has some: its number, the first of them, and how many.
    parts: Vec<(usize, u32, u32)>,
    /// When the last of them should have asked for its seat, and patience is over.
    last: Duration,
    orders: Arc<[mpsc::Sender<Order>]>,
    reports: mpsc::Receiver<Report>,
}

impl Seats {
    fn new(no: u32, around: &Around, orders: &Arc<[mpsc::Sender<Order>]>, reports: mpsc::Receiver<Report>) -> Self {
        let run = &around.run;
        let first: u32 = run.players[..no as usize].iter().sum();
        let behind = first + run.players[no as usize];
        let squads = orders.len() as u32;
        let all: u32 = run.players.iter().sum();
        let parts = (0..squads).filter_map(|squad| {
            let share = share(all, squad, squads);
            let (from, to) = (share.start.max(first), share.end.min(behind));
            (from < to).then(|| (squad as usize, from, to - from))
        });
        let last = run.connect_every * behind + PATIENCE + WORD_WAIT;
        Self { no, parts: parts.collect(), last, orders: orders.clone(), reports }
    }

    /// Who tells its players.
    #[must_use]
    pub fn heralds(&self) -> Heralds {
        Heralds(self.parts.iter().map(|(squad, _, _)| self.orders[*squad].clone()).collect())
    }

    async fn order(&self, order: impl Fn(u32, u32) -> Order) -> Result<(), String> {
        for (squad, first, players) in &self.parts {
            let sent = self.orders[*squad].send(order(*first, *players)).await;
            sent.map_err(|_| "a process of players is gone".to_string())?;
        }
        Ok(())
    }

    /// Lets them join, each at its time after `began`, and waits until all have their seats.
    ///
    /// # Errors
    /// Why they have not.
    pub async fn seat(&mut self, created: &Created, began: Instant, began_us: u64) -> Result<(), String> {
        let (no, game, pin) = (self.no, created.game, created.pin);
        self.order(|first, players| Order::Seat { part: Part { no, game, pin, first, players }, began_us }).await?;
        for _ in 0..self.parts.len() {
            match timeout_at(began + self.last, self.reports.recv()).await {
                Ok(Some(Report::Seated { .. })) => {}
                Ok(Some(Report::Unseated { why, .. } | Report::Ended { why: Some(why), .. })) => return Err(why),
                Ok(_) => return Err("they ended before the game began".into()),
                Err(_) => return Err("the players do not tell whether they have joined".into()),
            }
        }
        Ok(())
    }

    /// The host asks for a question at this time.
    ///
    /// # Errors
    /// When some of them are gone.
    pub async fn asked(&self, game: GameId, question: QuestionNo, at_us: u64) -> Result<(), String> {
        self.order(|_, _| Order::Asked { game, question, at_us }).await
    }

    /// The host has ended the game. Waits until all have heard of it, or have not for long; how many
    /// have, and what went wrong for one of the others.
    ///
    /// # Errors
    /// When some of them are gone.
    pub async fn over(&mut self) -> Result<(u32, Option<String>), String> {
        self.order(|_, _| Order::Over(self.no)).await?;
        let deadline = Instant::now() + OVER_WAIT + WORD_WAIT;
        let (mut all, mut first_why) = (0, None);
        for _ in 0..self.parts.len() {
            let Ok(Some(Report::Ended { heard, why, .. })) = timeout_at(deadline, self.reports.recv()).await else {
                return Err("the players do not tell whether they heard the end".into());
            };
            all += heard;
            first_why = first_why.or(why);
        }
        Ok((all, first_why))
    }
}

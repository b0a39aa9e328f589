//! The profiles: what is done to the pipeline, and which figures count.

use clap::ValueEnum;

use crate::bench::Bench;
use crate::error::BenchError;
use crate::load::Played;
use crate::result::{Curve, Figure, RunResult, Target};

mod burst;
mod catch_up;
mod crowd;
mod groups;
mod knee;
mod many;
mod messages;
mod steady;
mod traces;

/// A profile.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Profile {
    /// A steady load at the full rate.
    Steady,
    /// The same at a tenth of it.
    Calm,
    /// The rate is raised until something gives.
    Knee,
    /// One big game whose players answer at once.
    Burst,
    /// Very many sockets.
    Crowd,
    /// Very many small games.
    Many,
    /// A long load.
    Messages,
    /// Scoring is away and comes back.
    CatchUp,
    /// Scoring workers come.
    Groups,
}

impl Profile {
    /// Its name, as on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// What is done, in a sentence.
    pub fn what(self, bench: &Bench) -> String {
        let sizes = &bench.sizes;
        let steady = |rate: f64| {
            let (players, games) = sizes.steady;
            format!(
                "{games} games of {} players, {rate:.0} answers/s on average over {:.0} s, 2 edges, 2 scoring workers.",
                players / games,
                sizes.steady_s
            )
        };
        match self {
            Profile::Steady => steady(sizes.steady_rates.0),
            Profile::Calm => steady(sizes.steady_rates.1),
            Profile::Knee => format!(
                "{} players in {} games; the rate rises by 12 % every {:.0} s from {:.0} answers/s until ack p99 is above 100 ms or scoring more than 1 s behind, twice at the same rate. The knee is the last rate that held, as it was really offered.",
                sizes.steady.0, sizes.steady.1, sizes.knee_step_s, sizes.knee_from
            ),
            Profile::Burst => format!(
                "One game of {} players on 2 edges, all of whom answer as soon as they see the question.",
                sizes.burst_players
            ),
            Profile::Crowd => {
                let parts: Vec<String> =
                    sizes.crowd.iter().map(|(sockets, edges)| format!("{sockets} on {edges}")).collect();
                format!(
                    "Sockets that join, sit, and get {} questions, one when there are more than {} of them. Sockets on edges: {}.",
                    crowd::QUESTIONS,
                    crowd::ASKED_OFTEN_MAX,
                    parts.join(", ")
                )
            }
            Profile::Many => format!(
                "Games of 5 players, {} at once: what one game costs.",
                sizes.many.map(|games| games.to_string()).join(", ")
            ),
            Profile::Messages => format!(
                "{:.0} s of {:.0} answers/s from {} players: messages through the edges, and their memory.",
                sizes.messages.1, sizes.messages_rate, sizes.messages.0
            ),
            Profile::CatchUp => format!(
                "{} players answer one long question; after {:.0} s both scoring workers are stopped, for {:.0} s.",
                sizes.catch_up.0, sizes.catch_up_s.0, sizes.catch_up_s.1
            ),
            Profile::Groups => format!(
                "{} games at {:.0} answers/s; one scoring worker, after {:.0} s two, after {:.0} s four.",
                sizes.groups.1,
                sizes.groups_rate,
                sizes.groups_s,
                sizes.groups_s * 2.0
            ),
        }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When it cannot be measured. What is measured and bad is no error.
    pub async fn run(self, bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
        let run = self.run_unaudited(bench, seed).await;
        // Those of a run that failed are not the next one's.
        let alerts = bench.alerts.take();
        Ok(RunResult { alerts, ..run? })
    }

    async fn run_unaudited(self, bench: &Bench, seed: u64) -> Result<RunResult, BenchError> {
        match self {
            Profile::Steady => steady::run(bench, bench.sizes.steady_rates.0, true, seed).await,
            Profile::Calm => steady::run(bench, bench.sizes.steady_rates.1, false, seed).await,
            Profile::Knee => knee::run(bench, seed).await,
            Profile::Burst => burst::run(bench, seed).await,
            Profile::Crowd => crowd::run(bench, seed).await,
            Profile::Many => many::run(bench, seed).await,
            Profile::Messages => messages::run(bench, seed).await,
            Profile::CatchUp => catch_up::run(bench, seed).await,
            Profile::Groups => groups::run(bench, seed).await,
        }
    }
}

/// Answers that left and got no last word: neither a receipt nor a refusal.
fn unanswered(played: &Played) -> Figure {
    let (_, sent, acked, refused) = played.counts();
    Figure::new("answers without a last word", sent.saturating_sub(acked + refused) as f64, "")
        .target(Target::AtMost(0.0))
}

/// The memory of roles over a load.
fn memory(played: &Played, roles: &[&str]) -> Vec<Curve> {
    let begin = played.begun.at;
    let points = |role: &str| {
        let point = |sample: &crate::load::Sample| {
            let at_s = sample.snapshot.at.saturating_duration_since(begin).as_secs_f64();
            (at_s, sample.snapshot.rss_kib(role) as f64 / 1024.0)
        };
        played.samples.iter().map(point).collect()
    };
    roles.iter().map(|role| Curve { name: (*role).to_string(), points: points(role) }).collect()
}

//! What a run is asked to do, checked before anything is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quiz_game::quiz::{LIMIT_MS_MAX, LIMIT_MS_MIN};
use quiz_game::session::CAPACITY_MAX;
use quiz_schemas::quiz::Quiz;
use tokio::time::Instant;

use super::files::processes;
use super::pace::Pace;
use super::quiz::made;
use crate::cli::LoadArgs;
use crate::exit::{Exit, Failure};
use crate::quiz;

/// The think time when no pace is asked for.
const THINK_DEFAULT: (u64, u64) = (200, 2_000);
/// What a question's limit has beyond the longest wait when `--limit-ms` does not say, ms.
const LIMIT_SLACK_MS: u64 = 3_000;
/// What a fault may cost a question beyond its limit before the run gives up.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How much longer than its questions and joins a run may take when `--timeout-s` does not say: one
/// fault, not one at each question.
const TIMEOUT_SLACK: Duration = Duration::from_secs(120);
/// What a question takes beside its limit and the host's pause: its grace, board and settling.
const QUESTION_SLACK: Duration = Duration::from_secs(2);

/// A run, checked.
pub struct Run {
    /// The edges.
    pub edges: Vec<SocketAddr>,
    /// What is played, the same in every game.
    pub quiz: Arc<Quiz>,
    /// Players of each game.
    pub players: Vec<u32>,
    /// How many processes they are split over; 1 when they are in this one.
    pub processes: u32,
    /// Makes the choices.
    pub seed: u64,
    /// Whether clients send again what is not acknowledged.
    pub resends: bool,
    /// How many players each game is made for: decides its lanes.
    pub capacity: u32,
    /// When players answer.
    pub pace: Pace,
    /// Between two joins.
    pub connect_every: Duration,
    /// How long everybody sits in the lobby.
    pub idle: Duration,
    /// When a host asks.
    pub asking: Asking,
    /// Where clients come from.
    pub source: Option<Sources>,
    /// After which the run is given up.
    pub timeout: Duration,
}

/// When a host asks its questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// So long after each board.
    Pause(Duration),
    /// So long after each question, or as soon as its board is out.
    Every(Duration),
}

impl Asking {
    /// When game number `no` of `games` asks its first question, if play begins at this time.
    #[must_use]
    pub fn begin(self, play: Instant, no: u32, games: u32) -> Instant {
        match self {
            Self::Pause(_) => play,
            Self::Every(every) => play + every * no / games,
        }
    }

    /// When a game that began at this time, and has seen `asked` boards, goes on.
    #[must_use]
    pub fn next(self, began: Instant, asked: u32, now: Instant) -> Instant {
        match self {
            Self::Pause(pause) => now + pause,
            Self::Every(every) => began + every * asked,
        }
    }

    /// The longest that `questions` of a game may have to wait for their time, all together.
    fn waits(self, questions: u32) -> Duration {
        match self {
            Self::Pause(pause) => pause * questions,
            Self::Every(every) => every * (questions + 1),
        }
    }
}

/// Addresses to come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sources {
    first: u32,
    count: u32,
}

impl Sources {
    /// Reads `127.0.0.0/8`: all but the first and the last address.
    fn parse(text: &str) -> Option<Self> {
        let (net, bits) = text.split_once('/')?;
        let (net, bits): (Ipv4Addr, u32) = (net.parse().ok()?, bits.parse().ok()?);
        let host_bits = 32_u32.checked_sub(bits).filter(|host| (2..=24).contains(host))?;
        let mask = !((1_u32 << host_bits) - 1);
        Some(Self { first: (u32::from(net) & mask) + 1, count: (1 << host_bits) - 2 })
    }

    /// The address of client number `no`.
    #[must_use]
    pub fn of(self, no: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(self.first + no % self.count))
    }
}

fn usage(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, message)
}

impl Run {
    /// Checks what was asked for. `files` is how many a process may open, None when there is no limit.
    ///
    /// # Errors
    /// When it contradicts itself, does not fit, or the quiz cannot be read.
    pub fn new(args: &LoadArgs, files: Option<u64>) -> Result<Self, Failure> {
        if args.players < args.games {
            return Err(usage(format!("{} players are too few for {} games", args.players, args.games)));
        }
        let pace = pace(args)?;
        let quiz = match &args.quiz {
            Some(file) => {
                let mut quiz = quiz::load(file)?;
                quiz.questions.truncate(usize::from(args.questions));
                if let Some(limit_ms) = args.limit_ms {
                    quiz.questions.iter_mut().for_each(|question| question.limit_ms = limit_ms as i32);
                }
                quiz
            }
            None => made(args.seed, args.questions, limit_ms(args, pace)?),
        };
        let least_ms = quiz.questions.iter().map(|question| question.limit_ms).min().unwrap_or(0);
        if pace.longest() >= Duration::from_millis(u64::try_from(least_ms).unwrap_or(0)) {
            return Err(usage(format!(
                "the pace spreads answers over {:?}, and a question has {least_ms} ms",
                pace.longest()
            ))
            .hint("a higher --rate, fewer --players, or a longer --limit-ms"));
        }
        let players: Vec<u32> = (0..args.games)
            .map(|game| args.players / args.games + u32::from(game < args.players % args.games))
            .collect();
        let capacity = args.capacity.unwrap_or(players[0]).max(players[0]);
        if capacity > CAPACITY_MAX as u32 {
            return Err(usage(format!("a game takes at most {CAPACITY_MAX} players")).hint("more --games"));
        }
        let source = args.source.as_deref().map(|text| {
            Sources::parse(text).ok_or_else(|| usage(format!("--source is a net such as 127.0.0.0/8, not {text:?}")))
        });
        let mut run = Self {
            edges: args.edges.clone(),
            quiz: Arc::new(quiz),
            players,
            processes: processes(args.processes, args.players, args.games, files)?,
            seed: args.seed,
            resends: args.resend,
            capacity,
            pace,
            connect_every: Duration::from_secs_f64(1.0 / args.connect_rate),
            idle: Duration::from_millis(args.idle_ms),
            asking: args.every_ms.map_or_else(
                || Asking::Pause(Duration::from_millis(args.pause_ms)),
                |every_ms| Asking::Every(Duration::from_millis(every_ms)),
            ),
            source: source.transpose()?,
            timeout: Duration::ZERO,
        };
        run.timeout = args.timeout_s.map_or_else(|| run.expected(args.players) + TIMEOUT_SLACK, Duration::from_secs);
        Ok(run)
    }

    /// The longest that it takes when nothing goes wrong.
    fn expected(&self, players: u32) -> Duration {
        let limits: u64 =
            self.quiz.questions.iter().map(|question| u64::try_from(question.limit_ms).unwrap_or(0)).sum();
        let questions = self.quiz.questions.len() as u32;
        self.connect_every * players
            + self.idle
            + Duration::from_millis(limits)
            + self.asking.waits(questions)
            + QUESTION_SLACK * questions
    }
}

fn pace(args: &LoadArgs) -> Result<Pace, Failure> {
    if args.burst {
        return Ok(Pace::Burst);
    }
    if let Some(rate) = args.rate {
        return Ok(Pace::at_rate(args.players, rate));
    }
    let (least, most) = match &args.think_ms {
        None => THINK_DEFAULT,
        Some(text) => text
            .split_once("..")
            .and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)))
            .filter(|(least, most): &(u64, u64)| least <= most)
            .ok_or_else(|| usage(format!("--think-ms is a range such as 200..2000, not {text:?}")))?,
    };
    Ok(Pace::Think(Duration::from_millis(least), Duration::from_millis(most)))
}

fn limit_ms(args: &LoadArgs, pace: Pace) -> Result<i32, Failure> {
    let longest_ms = u64::try_from(pace.longest().as_millis()).unwrap_or(u64::MAX);
    let limit_ms = args.limit_ms.map_or(longest_ms.saturating_add(LIMIT_SLACK_MS), u64::from);
    i32::try_from(limit_ms).ok().filter(|limit| (LIMIT_MS_MIN..=LIMIT_MS_MAX).contains(limit)).ok_or_else(|| {
        usage(format!("a question of {limit_ms} ms cannot be: {LIMIT_MS_MIN} to {LIMIT_MS_MAX} ms can"))
            .hint("a higher --rate, fewer --players, or another --limit-ms")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn run(line: &str) -> Result<Run, Failure> {
        let words = ["quizstream", "load", "--edges", "127.0.0.1:1"].into_iter().chain(line.split_whitespace());
        let Command::Load(args) = Cli::parse_from(words).command else { panic!("load was asked for") };
        Run::new(&args, Some(1_024))
    }

    #[test]
    fn players_are_split_over_the_games() {
        let run = run("--players 11 --games 3").unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!((run.players, run.capacity), (vec![4, 4, 3], 4));
    }

    #[test]
    fn a_rate_makes_its_limit() {
        let run = run("--players 1000 --rate 100").unwrap_or_else(|failure| panic!("{}", failure.message));
        assert_eq!(run.pace, Pace::Spread(Duration::from_secs(10)));
        assert!(run.quiz.questions.iter().all(|question| question.limit_ms == 13_000));
    }

    #[test]
    fn games_begin_evenly_apart_and_keep_their_time() {
        let ms = Duration::from_millis;
        let play = Instant::now();
        let asking = Asking::Every(ms(1_000));
        let begins: Vec<Duration> = (0..4).map(|no| asking.begin(play, no, 4) - play).collect();
        assert_eq!(begins, [ms(0), ms(250), ms(500), ms(750)]);
        let began = asking.begin(play, 1, 4);
        assert_eq!(asking.next(began, 3, play + ms(2_999)), play + ms(3_250), "whatever the last question took");
        let pausing = Asking::Pause(ms(20));
        assert_eq!(pausing.begin(play, 3, 4), play);
        assert_eq!(pausing.next(play, 3, play + ms(999)), play + ms(1_019));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "--players 2 --games 3",
            "--players 1000 --rate 100 --limit-ms 5000",
            "--think-ms 9..1",
            "--think-ms fast",
            "--players 100000 --rate 1",
            "--source 127.0.0.0",
            "--source 127.0.0.0/31",
            "--players 1000 --processes 1",
            "--players 1000 --games 500",
        ] {
            assert!(run(line).is_err_and(|failure| failure.exit == Exit::Usage), "{line}");
        }
    }

    #[test]
    fn clients_come_from_all_of_a_net() {
        let net = Sources::parse("127.0.0.0/8").expect("a net");
        assert_eq!(net.of(0).to_string(), "127.0.0.1");
        assert_eq!(net.of(300).to_string(), "127.0.1.45");
        let small = Sources::parse("127.0.3.7/30").expect("a net");
        let all: Vec<String> = (0..3).map(|no| small.of(no).to_string()).collect();
        assert_eq!(all, ["127.0.3.5", "127.0.3.6", "127.0.3.5"]);
    }
}

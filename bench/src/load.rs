//! The load client, `quizstream load`: what it is asked to do, and what it tells.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::latency::Quantiles;

mod play;
pub use play::{Played, Sample, play, total};

/// When players answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// Spread evenly over each question, so many a second of this process's games together.
    Rate(f64),
    /// Each after a time of its own between these, ms.
    Think(u64, u64),
    /// As soon as the question is seen.
    Burst,
}

/// When a host asks its questions.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Asking {
    /// So long after each board, ms: all games begin at once.
    PauseMs(u64),
    /// So long after each question, ms: games begin evenly apart.
    EveryMs(u64),
}

/// What one process of the load client is asked to do.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadSpec {
    /// Players of all its games.
    pub players: u32,
    /// Games side by side.
    pub games: u32,
    /// Questions of each.
    pub questions: u32,
    /// When players answer.
    pub pace: Pace,
    /// Joins/s.
    pub connect_rate: f64,
    /// How long everybody sits in the lobby, ms.
    pub idle_ms: u64,
    /// When hosts ask.
    pub asking: Asking,
    /// Makes the choices.
    pub seed: u64,
    /// Whether each client comes from an address of its own, which more sockets than one address has
    /// ports need.
    pub sources: bool,
    /// Where to write down what the clients see, if at all.
    pub log: Option<PathBuf>,
}

impl LoadSpec {
    /// How long the last game begins after the first, s.
    pub fn stagger_s(&self) -> f64 {
        match self.asking {
            Asking::PauseMs(_) => 0.0,
            Asking::EveryMs(every_ms) => {
                every_ms as f64 / 1_000.0 * f64::from(self.games.saturating_sub(1)) / f64::from(self.games.max(1))
            }
        }
    }

    /// Its arguments.
    pub fn args(&self, edges: &[SocketAddr]) -> Vec<String> {
        let edges = edges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut args: Vec<String> = ["load", "--json", "--edges", &edges].map(String::from).to_vec();
        let mut add = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        add("players", self.players.to_string());
        add("games", self.games.to_string());
        add("questions", self.questions.to_string());
        add("connect-rate", format!("{:.3}", self.connect_rate));
        add("idle-ms", self.idle_ms.to_string());
        match self.asking {
            Asking::PauseMs(pause_ms) => add("pause-ms", pause_ms.to_string()),
            Asking::EveryMs(every_ms) => add("every-ms", every_ms.to_string()),
        }
        add("seed", self.seed.to_string());
        if self.sources {
            add("source", "127.0.0.0/8".into());
        }
        if let Some(dir) = &self.log {
            add("log", dir.display().to_string());
        }
        match self.pace {
            Pace::Rate(rate) => add("rate", format!("{rate:.3}")),
            Pace::Think(least, most) => add("think-ms", format!("{least}..{most}")),
            Pace::Burst => args.push("--burst".into()),
        }
        args
    }
}

/// A line of the load client.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Line {
    /// Everybody is in.
    Join(Join),
    /// Everybody sat in the lobby.
    Idle(Idle),
    /// All questions were asked.
    Answer(Answers),
    /// How questions and boards went out.
    FanOut(FanOut),
    /// The last line.
    Total(Total),
}

/// How players came in.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize)]
pub struct Join {
    /// From the first to the last, s.
    pub seconds: f64,
    /// How many have their seat.
    pub joined: u64,
    /// From when each should have begun to its seat.
    pub join_ms: Quantiles,
}

/// How they sat.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Idle {
    /// Sockets that went and came back.
    pub reconnects: u64,
    /// Sockets that went, by why.
    #[serde(default)]
    pub lost_by_reason: BTreeMap<String, u64>,
}

/// How they answered.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Answers {
    /// From the first question to the end of all games, s.
    pub seconds: f64,
    /// Answers that were due.
    pub offered: u64,
    /// Answers that left.
    pub sent: u64,
    /// Answers acknowledged.
    pub acked: u64,
    /// Answers refused for good.
    pub refused: u64,
    /// The same by the code that each was refused with.
    #[serde(default)]
    pub refused_by_code: BTreeMap<String, u64>,
    /// Sockets that went and came back.
    pub reconnects: u64,
    /// Sockets that went, by why.
    #[serde(default)]
    pub lost_by_reason: BTreeMap<String, u64>,
    /// From when each should have left to its receipt.
    pub ack_ms: Quantiles,
}

/// How questions and boards went out.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize)]
pub struct FanOut {
    /// Deliveries of questions.
    pub deliveries: u64,
    /// From the host's command to the first player.
    pub first_ms: Quantiles,
    /// From the host's command to the last player.
    pub last_ms: Quantiles,
    /// From the close to each player's board.
    pub close_to_board_ms: Quantiles,
}

/// How it ended.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct Total {
    /// Whether every game came to its end and every player heard of it.
    pub ok: bool,
    /// All of it, s.
    pub seconds: f64,
    /// The games.
    pub games: Vec<GameLine>,
    /// Messages of the protocol in one direction.
    #[serde(default)]
    pub messages_in: u64,
    /// Messages of the protocol in the other.
    #[serde(default)]
    pub messages_out: u64,
}

/// A game.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub struct GameLine {
    /// Its id.
    pub game: String,
    /// Why it did not come to its end.
    pub failure: Option<String>,
}

/// Everything that one process told.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Told {
    /// How players came in.
    pub join: Option<Join>,
    /// How they sat.
    pub idle: Option<Idle>,
    /// How they answered.
    pub answers: Option<Answers>,
    /// How questions and boards went out.
    pub fan_out: Option<FanOut>,
    /// How it ended.
    pub total: Option<Total>,
}

impl Told {
    /// Takes a line in; lines that are none of ours are none of our business.
    pub fn take(&mut self, line: &str) -> Option<Line> {
        let line: Line = serde_json::from_str(line).ok()?;
        match line.clone() {
            Line::Join(join) => self.join = Some(join),
            Line::Idle(idle) => self.idle = Some(idle),
            Line::Answer(answers) => self.answers = Some(answers),
            Line::FanOut(fan_out) => self.fan_out = Some(fan_out),
            Line::Total(total) => self.total = Some(total),
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: &str = r#"{"count":100,"p50":1.5,"p99":9.0,"p999":20.0,"max":30.0}"#;

    #[test]
    fn the_lines_of_a_run_are_read() {
        let mut told = Told::default();
        let join = format!(
            r#"{{"phase":"join","seconds":1.25,"offered":100,"joined":100,"errors":0,"reconnects":0,"join_ms":{LATENCY}}}"#
        );
        assert!(matches!(told.take(&join), Some(Line::Join(join)) if join.joined == 100));
        let idle =
            r#"{"phase":"idle","seconds":0.5,"errors":0,"reconnects":2,"silent":0,"lost_by_reason":{"no_pong":2}}"#;
        assert_eq!(
            told.take(idle),
            Some(Line::Idle(Idle { reconnects: 2, lost_by_reason: BTreeMap::from([("no_pong".into(), 2)]) }))
        );
        let answer = format!(
            r#"{{"phase":"answer","seconds":10.0,"offered":100,"sent":100,"resent":1,"acked":99,"refused":1,
                "refused_by_code":{{"question_closed":1}},"unavailable":0,"deferred":0,"taken":0,"unknown":0,"stale":0,
                "errors":0,"reconnects":0,"silent":0,"ack_ms":{LATENCY},"reconnect_ms":{LATENCY}}}"#
        );
        told.take(&answer).expect("a line");
        let fan_out = format!(
            r#"{{"phase":"fan_out","questions":5,"deliveries":500,"first_ms":{LATENCY},"last_ms":{LATENCY},
                "all_ms":{LATENCY},"close_to_board_ms":{LATENCY}}}"#
        );
        told.take(&fan_out).expect("a line");
        let total = r#"{"phase":"total","ok":true,"seconds":12.0,"seed":1,"files":{},"totals":{},
            "games":[{"game":"3V9K2R8MZ1Q4C","pin":"123456","players":100,"ended":100,"over":true,"failure":null}]}"#;
        told.take(total).expect("a line");
        let answers = told.answers.as_ref().expect("it was told");
        assert_eq!((answers.acked, answers.refused), (99, 1));
        assert_eq!(answers.refused_by_code, BTreeMap::from([("question_closed".into(), 1)]));
        assert!((answers.ack_ms.p99 - 9.0).abs() < 1e-9);
        assert_eq!(told.total.as_ref().expect("it was told").games[0].game, "3V9K2R8MZ1Q4C");
        assert!(told.take("not of ours").is_none() && told.take(r#"{"phase":"other"}"#).is_none());
    }

    #[test]
    fn arguments_say_what_is_asked_for() {
        let spec = LoadSpec {
            players: 100,
            games: 2,
            questions: 3,
            pace: Pace::Burst,
            connect_rate: 50.0,
            idle_ms: 0,
            asking: Asking::PauseMs(10),
            seed: 7,
            sources: true,
            log: None,
        };
        let edges: Vec<SocketAddr> = vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
        let line = spec.args(&edges).join(" ");
        assert!(line.starts_with("load --json --edges 127.0.0.1:1,127.0.0.1:2 --players 100 "), "{line}");
        assert!(line.ends_with("--source 127.0.0.0/8 --burst"), "{line}");
        let paced_spec = LoadSpec { pace: Pace::Rate(1234.5), sources: false, ..spec };
        let paced = paced_spec.args(&edges).join(" ");
        assert!(paced.ends_with("--rate 1234.500"), "{paced}");
        let thinking = LoadSpec { pace: Pace::Think(10, 20), ..paced_spec }.args(&edges).join(" ");
        assert!(thinking.ends_with("--think-ms 10..20"), "{thinking}");
    }
}

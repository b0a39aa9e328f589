//! Traces for people.

use comfy_table::Table;

use super::timeline::{Clock, Hop, HopSpread, Part, Spread, Step, Trace};

/// One answer: a table of its hops, the sum, and how to read it.
pub(super) fn one(trace: &Trace) -> String {
    let mut table = Table::new();
    table.set_header(["hop", "what", "clock", "at", "since previous ms"]);
    for step in &trace.steps {
        table.add_row([name(step.hop).to_string(), what(step), clock(step.clock).to_string(), at(step), since(step)]);
    }
    let mut lines = vec![table.to_string(), sum(trace)];
    if let Some(told) = &trace.delivered {
        lines.push(format!(
            "edge-out: {} sockets of the edge with players of lane {}, the first at {}, the last as above",
            told.sockets,
            trace.lane,
            rfc3339(told.first_us)
        ));
    }
    if !trace.is_complete() {
        lines.push("–: no record says so (yet)".into());
    }
    lines.push(CLOCKS.into());
    lines.join("\n")
}

const CLOCKS: &str = "edge: the edge's wall clock, µs; broker: LogAppendTime, whole ms cut off. A hop from one clock to the other has their difference in it and may be below 0.";

fn sum(trace: &Trace) -> String {
    format!(
        "whole {} ms = {} ms latency + {} ms while the question was open",
        ms(trace.whole_us),
        ms(trace.latency_us),
        ms(trace.open_us)
    )
}

/// All answers: a table of percentiles.
pub(super) fn all(spread: &Spread) -> String {
    let mut table = Table::new();
    table.set_header(["hop", "answers", "p50 ms", "p99 ms", "max ms"]);
    for HopSpread { hop, answers, p50_us, p99_us, max_us } in &spread.hops {
        let label = hop.map_or("sum without open question".to_string(), |hop| format!("{}{}", name(hop), aside(hop)));
        let times = [p50_us, p99_us, max_us].map(|us| if *answers == 0 { "–".into() } else { ms(*us) });
        table.add_row([label, answers.to_string()].into_iter().chain(times));
    }
    let verdict = format!("{} answers, of {} of them every hop is known", spread.answers, spread.complete);
    [table.to_string(), verdict, CLOCKS.into()].join("\n")
}

fn aside(hop: Hop) -> &'static str {
    match hop.part() {
        Part::Way => "",
        Part::Open => " (question open)",
        Part::Branch => " (since scored, not in the sum)",
    }
}

const fn name(hop: Hop) -> &'static str {
    match hop {
        Hop::EdgeIn => "edge-in",
        Hop::Appended => "appended",
        Hop::Closed => "closed",
        Hop::Scored => "scored",
        Hop::Stored => "stored",
        Hop::Board => "board",
        Hop::Result => "result",
        Hop::EdgeOut => "edge-out",
    }
}

fn what(step: &Step) -> String {
    let what = match step.hop {
        Hop::EdgeIn => "an edge received the answer",
        Hop::Appended => "the log has it",
        Hop::Closed => "its lane has the close marker",
        Hop::Scored => "its lane has reported",
        Hop::Stored => "its lane has announced that it is stored",
        Hop::Board => "the question's board is published",
        Hop::Result => "the player's outcome is published",
        Hop::EdgeOut => "the edge has written the outcomes of the lane",
    };
    format!("{what}{}", aside(step.hop))
}

const fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Edge => "edge",
        Clock::Broker => "broker",
    }
}

fn at(step: &Step) -> String {
    step.at_us.map_or("–".into(), rfc3339)
}

fn since(step: &Step) -> String {
    step.since_us.map_or("–".into(), ms)
}

/// With three digits behind the point.
fn ms(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", us.unsigned_abs() / 1_000, us.unsigned_abs() % 1_000)
}

/// RFC 3339 with ms, UTC. The calendar is counted in eras of 400 years that begin on 1 March, so that a leap
/// day is the last of its year.
pub(super) fn rfc3339(at_us: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    const ERA_DAYS: i64 = 146_097;
    /// From 1 March of the year 0 to 1970.
    const EPOCH_DAYS: i64 = 719_468;
    let at_ms = at_us.div_euclid(1_000);
    let (days, ms) = (at_ms.div_euclid(DAY_MS) + EPOCH_DAYS, at_ms.rem_euclid(DAY_MS));
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

//! Findings as tables.

use std::fmt::Write;

use crate::floor::Floors;
use crate::result::{Figure, Findings, ProfileResult, RunResult, Target};

/// The generated part of the page. `pictures` is the folder of the pictures as the page sees it.
pub fn page(found: &Findings, pictures: &str) -> String {
    let machine = &found.machine;
    let mut out = format!(
        "Machine: {} × {}, {:.0} GiB, Linux {}; servers, roles and load client all on it. Each figure is that of the middle run\nby the first figure of its table; the others stand beside it. A ratio is to the floor: the least that the same machine did in the same run.\n\n",
        machine.cores,
        machine.cpu,
        machine.memory_mib as f64 / 1024.0,
        machine.kernel
    );
    summary(&mut out, found);
    floors(&mut out, &found.floors);
    for profile in &found.profiles {
        section(&mut out, profile, pictures);
    }
    out
}

fn summary(out: &mut String, found: &Findings) {
    out.push_str(
        "### What was asked for\n\n| profile | figure | value | target | |\n| --- | --- | --- | --- | --- |\n",
    );
    for profile in &found.profiles {
        let Some(run) = profile.middle() else { continue };
        for figure in run.figures.iter().filter(|figure| figure.target.is_some()) {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                profile.name,
                figure.name,
                amount(figure.value, &figure.unit),
                target(figure),
                verdict(figure)
            );
        }
        let _ = writeln!(
            out,
            "| {} | books | {} | all balanced | {} |",
            profile.name,
            books(run),
            if run.is_balanced() { "meets" } else { "misses" }
        );
    }
    out.push('\n');
}

fn floors(out: &mut String, floors: &Floors) {
    out.push_str("### The floor\n\n");
    if !floors.kafka.is_empty() {
        out.push_str("Appending with the client library's own producer, the options of the product's (acks=all, idempotent) and a linger of 1 ms, an open loop:\n\n");
        out.push_str("| records/s | producers | keys | p50 | p99 | p99.9 | records a batch |\n| --- | --- | --- | --- | --- | --- | --- |\n");
        for floor in &floors.kafka {
            let ack = floor.ack_ms;
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {:.1} |",
                plain(floor.rate),
                floor.producers,
                floor.keys,
                amount(ack.p50, "ms"),
                amount(ack.p99, "ms"),
                amount(ack.p999, "ms"),
                floor.batch_records
            );
        }
        out.push('\n');
    }
    if !floors.echo.is_empty() {
        out.push_str("A bare WebSocket server that sends back what it gets, from when a text left:\n\n| texts/s | sockets | p50 | p99 | p99.9 | p99 from when it should have left |\n| --- | --- | --- | --- | --- | --- |\n");
        for floor in &floors.echo {
            let (sent, intended) = (floor.sent_ms, floor.intended_ms);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                plain(floor.rate),
                floor.sockets,
                amount(sent.p50, "ms"),
                amount(sent.p99, "ms"),
                amount(sent.p999, "ms"),
                amount(intended.p99, "ms")
            );
        }
        out.push('\n');
    }
    if !floors.crowd.is_empty() {
        out.push_str("The same server, one text to everybody:\n\n| sockets | servers | memory a socket | first delivery | last delivery |\n| --- | --- | --- | --- | --- |\n");
        for floor in &floors.crowd {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                floor.sockets,
                floor.servers,
                amount(floor.socket_bytes / 1024.0, "KiB"),
                amount(floor.first_ms, "ms"),
                amount(floor.last_ms, "ms")
            );
        }
        out.push('\n');
    }
}

fn section(out: &mut String, profile: &ProfileResult, pictures: &str) {
    let _ = writeln!(out, "### {}\n\n{}\n", profile.name, profile.what);
    let _ = writeln!(out, "Commit `{}`, {}, `{}`.\n", profile.commit, profile.date, profile.command);
    let Some(run) = profile.middle() else {
        out.push_str("No run.\n\n");
        return;
    };
    figures(out, profile, run);
    if let Some(failure) = &run.failure {
        let _ = writeln!(out, "It failed: {failure}.\n");
    }
    let _ = writeln!(out, "Books: {}.", books(run));
    for note in &run.notes {
        let _ = writeln!(out, "- {note}");
    }
    out.push('\n');
    costs(out, run);
    for plot in &run.plots {
        let _ = writeln!(out, "![{}]({pictures}/{}.svg)\n", plot.title, plot.file);
    }
}

fn figures(out: &mut String, profile: &ProfileResult, middle: &RunResult) {
    out.push_str(
        "| figure | value | floor | ratio | target | | all runs |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for figure in &middle.figures {
        let runs = profile.runs.iter().filter_map(|run| run.figures.iter().find(|other| other.name == figure.name));
        let runs: Vec<String> = runs.map(|other| plain(other.value)).collect();
        let floor = figure.floor.map_or("–".into(), |floor| amount(floor, &figure.unit));
        let ratio = figure.ratio().map_or("–".into(), |ratio| format!("{ratio:.2}×"));
        let _ = writeln!(
            out,
            "| {} | {} | {floor} | {ratio} | {} | {} | {} |",
            figure.name,
            amount(figure.value, &figure.unit),
            target(figure),
            verdict(figure),
            runs.join(", ")
        );
    }
    out.push('\n');
}

/// What an answer costs, by role.
fn costs(out: &mut String, run: &RunResult) {
    if run.roles.is_empty() {
        return;
    }
    out.push_str("| role | processes | CPU, s | CPU per answer, µs | memory, MiB | at most, MiB |\n| --- | --- | --- | --- | --- | --- |\n");
    let each =
        |cpu_s: f64| if run.answers > 0 { format!("{:.1}", cpu_s * 1e6 / run.answers as f64) } else { "–".into() };
    for role in &run.roles {
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} | {} | {:.0} | {:.0} |",
            role.role,
            role.processes,
            role.cpu_s,
            each(role.cpu_s),
            role.rss_mib,
            role.peak_mib
        );
    }
    let all: f64 = run.roles.iter().map(|role| role.cpu_s).sum();
    let ours: f64 = run.roles.iter().filter(|role| !role.is_load_client()).map(|role| role.cpu_s).sum();
    let _ = writeln!(out, "| all | | {all:.1} | {} | | |", each(all));
    let _ = writeln!(out, "| all but the load client | | {ours:.1} | {} | | |\n", each(ours));
}

fn books(run: &RunResult) -> String {
    let books = run.books;
    let mut words = format!("{} of {} games balanced, {} answers scored", books.balanced, books.games, books.scored);
    if books.open > 0 {
        let _ = write!(words, ", {} games not closed", books.open);
    }
    if books.are_wrong() {
        let _ = write!(words, ", {} answers wrong", books.wrong);
    }
    if let Some(alerts) = run.alerts {
        let _ = write!(words, ", {alerts} alerts of any game");
    }
    words
}

fn target(figure: &Figure) -> String {
    match figure.target {
        None => "–".into(),
        Some(Target::AtMost(most)) => format!("≤ {}", amount(most, &figure.unit)),
        Some(Target::AtLeast(least)) => format!("≥ {}", amount(least, &figure.unit)),
        Some(Target::FloorTimes(times)) => format!("≤ {times}× the floor"),
    }
}

fn verdict(figure: &Figure) -> &'static str {
    match figure.meets() {
        None => "",
        Some(true) => "meets",
        Some(false) => "**misses**",
    }
}

fn amount(value: f64, unit: &str) -> String {
    match unit {
        "" => plain(value),
        "×" => format!("{}×", plain(value)),
        _ => format!("{} {unit}", plain(value)),
    }
}

/// Three digits that count, thousands set apart.
fn plain(value: f64) -> String {
    if value.abs() >= 1e15 {
        return "∞".into();
    }
    if value.abs() < 100.0 {
        let digits = if value.abs() < 1.0 {
            3
        } else if value.abs() < 10.0 {
            2
        } else {
            1
        };
        let text = format!("{value:.digits$}");
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text };
    }
    let text = format!("{:.0}", value.abs());
    let groups: Vec<&str> =
        text.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::KafkaFloor;
    use crate::process::RoleUse;
    use crate::result::Plot;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let told: Vec<String> = [0.0, 0.1234, 1.5, 12.345, 999.6, 12_345.0, 1_234_567.0, -1_234.0].map(plain).to_vec();
        assert_eq!(told, ["0", "0.123", "1.5", "12.3", "1,000", "12,345", "1,234,567", "-1,234"]);
        assert_eq!((plain(f64::MAX), plain(10.0), plain(0.5)), ("∞".into(), "10".into(), "0.5".into()));
    }

    #[test]
    fn a_page_tells_figures_floors_and_costs_and_hides_no_miss() {
        let ack = |ms| Figure::new("ack p99", ms, "ms").over(Some(10.0)).target(Target::AtMost(50.0));
        let run = |ms| RunResult {
            figures: vec![ack(ms)],
            answers: 1_000,
            roles: vec![RoleUse { role: "edge".into(), processes: 2, cpu_s: 0.5, rss_mib: 10.0, peak_mib: 12.0 }],
            plots: vec![Plot { file: "knee".into(), title: "the knee".into(), ..Plot::default() }],
            ..RunResult::default()
        };
        let profile =
            ProfileResult { name: "steady".into(), runs: vec![run(70.0), run(20.0), run(60.0)], ..Default::default() };
        let mut found = Findings { profiles: vec![profile], ..Findings::default() };
        found.floors.kafka.push(KafkaFloor { rate: 10_000.0, ..KafkaFloor::default() });
        let page = page(&found, "bench");
        assert!(page.contains("| ack p99 | 60 ms | 10 ms | 6.00× | ≤ 50 ms | **misses** | 70, 20, 60 |"), "{page}");
        assert!(page.contains("| steady | ack p99 | 60 ms | ≤ 50 ms | **misses** |"), "{page}");
        assert!(page.contains("| edge | 2 | 0.5 | 500.0 | 10 | 12 |"), "{page}");
        assert!(page.contains("| 10,000 | 0 | 0 |") && page.contains("![the knee](bench/knee.svg)"), "{page}");
    }

    #[test]
    fn a_failure_and_wrong_books_are_told() {
        let mut run = RunResult { failure: Some("no edge let them in".into()), ..RunResult::default() };
        run.books = crate::ledger::Books { games: 2, balanced: 1, open: 0, scored: 9, wrong: 3 };
        run.alerts = Some(4);
        let profile = ProfileResult { name: "burst".into(), runs: vec![run], ..ProfileResult::default() };
        let page = page(&Findings { profiles: vec![profile], ..Findings::default() }, "bench");
        assert!(
            page.contains("It failed: no edge let them in.") && page.contains("3 answers wrong, 4 alerts"),
            "{page}"
        );
    }
}

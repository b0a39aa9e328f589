//! F30, by import. Goal: a file that is made to blow up is told to be bad within a second and in 16 MiB,
//! in every format. Method: bombs as large as a file may be, read by the importers with this process's
//! memory watched by the kernel, and by `quiz check` as users run it. Controls: a good bank in the same
//! format is read whole; memory above the bound is seen.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use quiz_game::import::{Format, TEXT_BYTES_MAX, import};

use super::stage::{Watch, seed};

const READ_WAIT: Duration = Duration::from_secs(1);
const RSS_KIB_MAX: u64 = 16 * 1024;
/// Questions of the control's bank.
const BANK: usize = 5_000;

fn filled(before: &str, item: &str, after: &str) -> String {
    let room = TEXT_BYTES_MAX - before.len() - after.len();
    format!("{before}{}{after}", item.repeat(room / item.len()))
}

/// A billion laughs: nine levels of ten references each.
fn laughs() -> String {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_string();
    for level in 1..=9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    text + "questions: *a9\n"
}

fn yaml() -> Vec<(&'static str, String)> {
    let question = "questions:\n- type: single\n  prompt: p\n  answer: 1\n  options: [";
    vec![
        ("a billion laughs", laughs()),
        (
            "aliases of the questions",
            "questions: &q [{type: single, prompt: p, options: *q, answer: *q}]\n".to_string(),
        ),
        ("an alias of itself", "questions: &q\n- *q\n".into()),
        ("a merge key", "base: &b {type: single}\nquestions:\n- <<: *b\n  prompt: p\n".into()),
        ("lists 100k deep", format!("questions: {}", "[".repeat(100_000))),
        ("blocks 100k deep", "- ".repeat(100_000)),
        ("maps 100k deep", "{a: ".repeat(100_000)),
        ("a million options", filled(question, "0,", "]\n")),
        ("options line by line", filled(question, "0,\n", "]\n")),
        ("half a million questions", filled("questions:\n", "- a\n", "")),
        ("keys line by line", filled("{", "a: 0,\n", "}")),
        ("keys of long lines", filled("{", &format!("{}\n", "a: 0,".repeat(10_000)), "}")),
        ("documents", filled("", "---\n", "")),
        ("anchors", filled("questions: [", "&a 0,", "]")),
        ("tags", filled("questions: [", "!!x 0,", "]")),
        ("keys", filled("{", "a: 0,", "}")),
        ("one long key", filled("", "k", ": 1")),
        ("one long text", filled("questions: \"", "\\u0041", "\"")),
        (
            "comments",
            filled(
                "questions:\n- {type: text, prompt: p, answer: a}\n",
                "#\n",
                "- {type: text, prompt: q, answer: a}\n",
            ),
        ),
        (
            "not a number",
            "questions:\n- {type: number, prompt: p, answer: .nan}\n- {type: number, prompt: p, answer: .inf}\n".into(),
        ),
        ("a key twice", "questions:\n- {type: text, prompt: p, answer: a, answer: b}\n".into()),
        ("control characters", filled("questions:\n- \"", "\u{7}", "\"")),
    ]
}

fn json() -> Vec<(&'static str, String)> {
    let question = r#"{"questions":[{"type":"single","prompt":"p","answer":1,"options":["#;
    vec![
        ("lists 100k deep", "[".repeat(100_000)),
        ("objects 100k deep", r#"{"a":"#.repeat(100_000)),
        ("a million options", filled(question, "0,", "0]}]}")),
        ("half a million texts", filled(question, "\"\",", "0]}]}")),
        ("700 thousand questions", filled("[", "{},", "0]")),
        ("keys", filled("{", "\"a\":0,", "\"b\":0}")),
        ("one long text", filled("{\"title\":\"", "\\u0041", "\"}")),
        ("half of a surrogate pair", r#"{"title":"\ud83d"}"#.into()),
        ("a number of two million digits", filled("{\"questions\":", "9", "}")),
        ("not a number", r#"{"questions":[{"type":"number","prompt":"p","answer":NaN}]}"#.into()),
        ("infinite", r#"{"questions":[{"type":"number","prompt":"p","answer":1e999}]}"#.into()),
        ("a key twice", r#"{"questions":[{"type":"text","prompt":"p","answer":"a","answer":"b"}]}"#.into()),
    ]
}

fn gift() -> Vec<(&'static str, String)> {
    vec![
        ("a million answers", filled("p {=a ", "~b", "}")),
        ("braces 100k deep", "{".repeat(100_000)),
        ("braces without answers", filled("", "{}", "")),
        ("names without end", filled("::", "a:", "")),
        ("half a million questions", filled("", "a\n\n", "")),
        ("100 thousand questions", filled("", "a {~b ~c}\n\n", "")),
        ("escapes", filled("p {=", "\\=", "}")),
        ("feedback", filled("p {=a ", "#f", "}")),
        ("weights", filled("p {", "~%50%a", "}")),
        ("not a number", "p {#NaN:1}\n\nq {#inf..2}\n\nr {#1e999}\n".into()),
        ("ranges", filled("p {#", "=1:2 ", "}")),
        ("one long line", filled("", "x", "")),
        ("tags", filled("[html]", "<b>", "{=a}")),
    ]
}

fn all() -> Vec<(Format, &'static str, &'static str, String)> {
    let of = |format, word, bombs: Vec<(&'static str, String)>| {
        bombs.into_iter().map(move |(name, text)| (format, word, name, text))
    };
    let yaml = of(Format::Yaml, "yaml", yaml());
    yaml.chain(of(Format::Json, "json", json())).chain(of(Format::Gift, "gift", gift())).collect()
}

#[test]
fn f30_bombs_in_files_are_told_cheaply() {
    let seed = seed();
    control();
    let (mut refused, mut wrong, mut rss_kib, mut slowest) = (0, Vec::new(), (0, ""), (Duration::ZERO, ""));
    let bombs = all();
    for (format, word, name, text) in &bombs {
        let (watch, started) = (Watch::of(std::process::id()), on_cpu());
        let imported = import(*format, text);
        let (after, grown_kib) = (on_cpu() - started, watch.grown_kib());
        if imported.problems.is_empty() && !imported.questions.is_empty()
            || after > READ_WAIT
            || grown_kib > RSS_KIB_MAX
        {
            let problems = imported.problems.len();
            wrong.push(format!("{word}, {name}: {problems} problems after {after:?}, {grown_kib} KiB"));
        } else {
            refused += 1;
        }
        rss_kib = rss_kib.max((grown_kib, *name));
        slowest = slowest.max((after, *name));
    }
    println!("seed={seed} fault=F30 import refused={refused}/{} rss_kib={rss_kib:?} slowest={slowest:?}", bombs.len());
    assert_eq!(wrong, Vec::<String>::new());
}

/// How long this thread has been on a core: other work on the machine is no fault of an importer.
fn on_cpu() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    Duration::from_nanos(times.split_whitespace().next().and_then(|time| time.parse().ok()).expect("a number"))
}

/// Good banks are read whole; memory above the bound is seen.
fn control() {
    let yaml = "- {type: single, prompt: p#, options: [a, b, c, d], answer: 2, explanation: because}\n";
    let json = r#"{"type":"single","prompt":"p#","options":["a","b","c","d"],"answer":2},"#;
    let gift = "p# {=a ~b ~c ~d}\n\n";
    let many = |item: &str| (0..BANK).map(|no| item.replace('#', &no.to_string())).collect::<String>();
    let banks = [
        (Format::Yaml, format!("questions:\n{}", many(yaml))),
        (Format::Json, format!("[{}]", many(json).trim_end_matches(','))),
        (Format::Gift, many(gift)),
    ];
    for (format, text) in banks {
        let imported = import(format, &text);
        assert_eq!((imported.questions.len(), imported.problems), (BANK, Vec::new()), "{format:?}");
    }
    let watch = Watch::of(std::process::id());
    let held = vec![1u8; 4 * RSS_KIB_MAX as usize * 1024];
    assert!(watch.grown_kib() > RSS_KIB_MAX, "{} bytes are not seen", held.len());
}

/// `quiz check` on a text at its standard input: its exit code.
fn check(format: &str, text: &[u8]) -> Option<i32> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quizstream"))
        .args(["quiz", "check", "-", "--format", format])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    // A reader that has had enough closes the pipe.
    let _ = child.stdin.take().expect("it is piped").write_all(text);
    child.wait().expect("it ends").code()
}

#[test]
fn f30_quiz_check_survives_every_bomb() {
    for (_, word, name, text) in all() {
        let code = check(word, text.as_bytes());
        assert!(matches!(code, Some(1 | 4)), "{word}, {name}: exit code {code:?}");
    }
    for (name, bytes) in
        [("too much", vec![b' '; 64 << 20]), ("gzip", b"\x1f\x8b\x08\x00".repeat(1_000)), ("nothing", Vec::new())]
    {
        assert_eq!(check("yaml", &bytes), Some(1), "{name}");
    }
    let good = b"questions:\n- {type: text, prompt: p, answer: a}\n";
    assert_eq!(check("yaml", good), Some(0), "the control");
}

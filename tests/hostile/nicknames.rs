//! F38. Goal: a nickname is shown as text, cannot hide, turn the text around it, climb out of its line, or pass
//! for another's. Method: a corpus of names at a real game; those that are admitted are shown on the host's and
//! on a player's page in a real Chromium under the pages' own policy. Controls: plain names in many scripts
//! are let in; and the browser's own test sees a script when one does run.

use serde_json::json;

use super::node;
use super::stage::{Setup, World, seed};
use super::talk::{Room, Talker};

/// Characters that a name shows at most.
const SHOWN_MAX: usize = 32;

/// Names that must not be let in.
fn refused() -> Vec<String> {
    let zalgo: String = "z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}a\u{315}\u{316}\u{317}\u{318}\u{319}".into();
    let mut names: Vec<String> = [
        "\u{202e}nimda",
        "A\u{2066}da\u{2069}",
        "\u{200f}Ada",
        "A\u{200b}da",
        "A\u{200d}da",
        "\u{feff}Ada",
        "\u{3164}",
        "\u{2800}",
        "A\u{0}da",
        "A\u{1b}[31mda",
        "A\u{ad}da",
        "\u{e0041}da",
        "\u{f8ff}",
        "\u{301}Ada",
        "",
        " \u{3000} ",
    ]
    .map(String::from)
    .into();
    names.extend([zalgo, "x".repeat(25), "é".repeat(25), "\u{fdfa}".repeat(5)]);
    names
}

/// Names that look like Ada, who is in the game.
const TWINS: [&str; 8] = ["ada", "ADA", " Ada ", "Ａｄａ", "\u{410}da", "Ad\u{430}", "А\u{501}а", "𝐀𝐝𝐚"];

/// Names that are somebody's, or would like to be markup: let in, and shown as they are.
const SHOWN: [&str; 12] = [
    "<script>x()</script>",
    "<svg onload=x()>",
    "<img src=x onerror=x()>",
    "\"><b onclick=x()>",
    "javascript:x()",
    "{{7*7}} ${7*7}",
    "&lt;b&gt; &amp;",
    "Zoë",
    "李雷",
    "عمر",
    "Борис",
    "❤\u{fe0f} Ann",
];

#[tokio::test(flavor = "multi_thread")]
async fn f38_nicknames_are_text_and_somebodys() {
    let seed = seed();
    let world = World::up(Setup { edge: &[("QUIZ_EDGE__BOTS_WELCOME", "true")], ..Setup::default() }).await;
    let room = Room::open(world.at(), 1).await;
    let join = async |name: &str| {
        let mut talker = Talker::open(world.at()).await;
        talker.send(&json!({ "type": "join", "pin": room.pin(), "nickname": name })).await;
        let answer = talker.next(&["joined", "error"]).await;
        (talker, answer)
    };
    let names = refused();
    let mut hidden = 0;
    for name in &names {
        let (_, answer) = join(name).await;
        assert_eq!(answer["code"], "nickname_invalid", "{name:?}");
        hidden += 1;
    }
    let (_, answer) = join(&"x".repeat(10_000)).await;
    assert_eq!(answer["code"], "too_large");
    let mut twins = 0;
    for name in TWINS {
        let (_, answer) = join(name).await;
        assert_eq!(answer["code"], "nickname_taken", "{name:?}");
        twins += 1;
    }
    // Who is shown stays, so that the pages show them.
    let (mut inside, mut longest) = (Vec::new(), 0);
    for name in SHOWN {
        let (talker, answer) = join(name).await;
        assert_eq!(answer["type"], "joined", "{name:?}: {answer}");
        longest = longest.max(answer["nickname"].as_str().expect("a name").chars().count());
        inside.push(talker);
    }
    assert!(longest <= SHOWN_MAX);
    browser(&world, &room).await;
    println!(
        "seed={seed} fault=F38 refused={hidden}/{} twins={twins}/{} shown={}/{} longest={longest} scripts=0",
        names.len(),
        TWINS.len(),
        inside.len(),
        SHOWN.len()
    );
    drop((inside, room));
    world.down().await;
}

/// Opens the pages in Chromium; the script says what it saw.
async fn browser(world: &World, room: &Room) {
    let text = |key: &str| room.created[key].as_str().expect("a text").to_owned();
    let variables = [
        ("QUIZSTREAM_URL", format!("http://{}", world.at())),
        ("PIN", room.pin().to_owned()),
        ("HOST_TOKEN", text("host_token")),
        ("GAME", text("game")),
        ("NAMES", json!(SHOWN).to_string()),
    ];
    node::script("hostile/nicknames.mjs", &variables).await;
}

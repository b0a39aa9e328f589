//! `demo`: a whole game with bots over real sockets, and the proof that nothing was lost.

use std::process::ExitCode;
use std::sync::Arc;

use quiz_game::import::{self, Format};
use quiz_schemas::QuestionNo;
use quiz_schemas::quiz::Quiz;

use crate::cli::DemoArgs;
use crate::exit::{Exit, Failure};
use crate::quiz;
use crate::serve::runtime;
use crate::telemetry;

pub mod bots;
pub mod game;
pub mod ledger;
pub mod processes;
pub mod replay;
pub mod report;
pub mod stage;
pub mod tally;

use game::{Cast, Game, Proof};
use report::Console;
use stage::Pipeline;

/// The sample quiz.
const SAMPLE: &str = include_str!("../samples/demo.yaml");
/// Questions asked when `--questions` does not say.
const QUESTIONS_DEFAULT: usize = 10;

/// Runs the command.
///
/// # Errors
/// When the pipeline does not come up, or a role fails on the way.
pub fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    telemetry::logs("error,rdkafka=off,librdkafka=off");
    runtime()?.block_on(async {
        tokio::select! {
            result = play(&args) => result,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        }
    })
}

/// The sample quiz that the binary carries.
#[must_use]
pub fn sample_quiz() -> Quiz {
    let imported = import::import(Format::Yaml, SAMPLE);
    let title = imported.title.unwrap_or_else(|| "A sample quiz".into());
    Quiz { id: "demo".into(), version: 1, title, questions: imported.questions }
}

fn chosen_quiz(args: &DemoArgs) -> Result<Quiz, Failure> {
    let mut quiz = match &args.quiz {
        Some(file) => quiz::load(file)?,
        None => sample_quiz(),
    };
    quiz.questions.truncate(args.questions.map_or(QUESTIONS_DEFAULT, usize::from));
    Ok(quiz)
}

async fn play(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let quiz = Arc::new(chosen_quiz(args)?);
    let console = Console::new(quiz.questions.len());
    console.status("starting the pipeline");
    let program = std::env::current_exe()
        .map_err(|err| Failure::new(Exit::Failed, format!("the path of this program is not known: {err}")))?;
    let (pipeline, mut guard) = stage::up(args, &program).await?;
    console.line(format!("quizstream demo: {}", pipeline.description));
    let edge = pipeline.edges[0];
    console.line(format!("open http://{edge}/ to play, http://{edge}/host to host"));
    let cast = Cast { quiz, players: args.players, capacity: args.players, seed: args.seed };
    let proof = tokio::select! {
        proof = whole_game(&pipeline, cast, &console) => proof?,
        failure = guard.failed() => return Err(failure),
    };
    show(&proof, args, &console)?;
    if args.keep {
        console.line(format!("staying up at http://{edge}/ until Ctrl-C"));
        return Err(guard.failed().await);
    }
    drop(pipeline);
    guard.down().await?;
    Ok(if proof.holds() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Found as u8) })
}

async fn whole_game(pipeline: &Pipeline, cast: Cast, console: &Console) -> Result<Proof, Failure> {
    let quiz = cast.quiz.clone();
    let mut game = Game::create(pipeline, cast.clone()).await?;
    let created = game.created().clone();
    console.line(format!("game {} with PIN {}: {} bots join", created.game, created.pin, cast.players));
    console.status("bots join");
    game.join().await?;
    for (no, question) in quiz.questions.iter().enumerate() {
        let no = no as QuestionNo;
        console.status(question.prompt.chars().take(50).collect::<String>());
        let (board, stored) = game.ask(pipeline, no).await?;
        game.tally().question(no, |seen| {
            console.line(report::question_line(no, &question.prompt, seen, board.answered, stored));
        });
        console.step();
    }
    let over = game.end().await?;
    console.finish();
    game.prove(pipeline, &over).await
}

/// Shows the board and the ledger.
fn show(proof: &Proof, args: &DemoArgs, console: &Console) -> Result<(), Failure> {
    let Proof { summary, ledger } = proof;
    console.line(report::board_table(&summary.board, 10));
    console.line(report::ledger_table(ledger));
    console.line(if summary.replay_matches {
        "the records, played again through the rules, give this board"
    } else {
        "the records, played again through the rules, do NOT give this board"
    });
    if args.json {
        let text = serde_json::to_string(summary).map_err(|err| Failure::new(Exit::Failed, err))?;
        println!("{text}");
    } else {
        println!(
            "{}: {} players, {} questions, {} acked, {} scored, {} stored, {} lost, {} duplicates",
            if proof.holds() { "the ledger balances" } else { "THE LEDGER DOES NOT BALANCE" },
            summary.players,
            summary.questions,
            summary.acked,
            summary.scored,
            summary.stored,
            summary.lost,
            summary.duplicates
        );
    }
    Ok(())
}

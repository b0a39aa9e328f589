//! `quiz check` and `quiz import`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use quiz_game::import::{self, Format, Imported, TEXT_BYTES_MAX};
use quiz_schemas::quiz::Quiz;

use crate::cli::{QuizCommand, QuizFormat};
use crate::exit::{Exit, Failure};

mod publish;

/// Runs the command. Exit code 4 when something in the file is bad, 1 when nothing in it is good.
///
/// # Errors
/// When the file cannot be read, or the quiz cannot be published.
pub fn run(config: Option<&PathBuf>, command: QuizCommand) -> Result<ExitCode, Failure> {
    match command {
        QuizCommand::Check { file, format, json } => {
            let imported = read(&file, format)?;
            if json {
                println!("{}", report(&file, &imported));
            } else {
                problems(&file, &imported);
                println!(
                    "{}: {} questions, {} problems",
                    name(&file),
                    imported.questions.len(),
                    imported.problems.len()
                );
            }
            Ok(verdict(&imported))
        }
        QuizCommand::Import { file, format, output, publish, id, quiz_version } => {
            let imported = read(&file, format)?;
            problems(&file, &imported);
            let quiz = quiz(&file, &imported, id, quiz_version);
            if !quiz.questions.is_empty() {
                let text = import::export_yaml(Some(&quiz.title), &quiz.questions);
                match &output {
                    Some(path) => std::fs::write(path, text).map_err(|err| {
                        Failure::new(Exit::Failed, format!("{} cannot be written: {err}", path.display()))
                    })?,
                    None if publish => {}
                    None => print!("{text}"),
                }
                if publish {
                    publish::publish(config, &quiz)?;
                }
            }
            eprintln!(
                "{}: {} questions imported, {} problems",
                name(&file),
                quiz.questions.len(),
                imported.problems.len()
            );
            Ok(verdict(&imported))
        }
    }
}

/// A whole quiz of a file's good questions; what is bad is told on stderr.
///
/// # Errors
/// When the file cannot be read or has no good question.
pub fn load(file: &Path) -> Result<Quiz, Failure> {
    let imported = read(file, None)?;
    problems(file, &imported);
    if imported.questions.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("{} has no question that can be played", name(file)))
            .hint(format!("`quizstream quiz check {}` says why", name(file))));
    }
    Ok(quiz(file, &imported, None, 1))
}

fn read(file: &Path, format: Option<QuizFormat>) -> Result<Imported, Failure> {
    let text = text(file)?;
    let format = match format {
        Some(QuizFormat::Yaml) => Format::Yaml,
        Some(QuizFormat::Json) => Format::Json,
        Some(QuizFormat::Gift) => Format::Gift,
        None => Format::from_path_and_text(&name(file), &text).ok_or_else(|| {
            Failure::new(Exit::Failed, format!("the format of {} is not clear", name(file)))
                .hint("say it with --format yaml, json or gift")
        })?,
    };
    Ok(import::import(format, &text))
}

fn text(file: &Path) -> Result<String, Failure> {
    let unreadable = |err: std::io::Error| {
        let exit = if err.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("{} cannot be read: {err}", name(file)))
    };
    let mut bytes = Vec::new();
    let limit = TEXT_BYTES_MAX as u64 + 1;
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        std::fs::File::open(file).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(Failure::new(Exit::Failed, format!("{} has more than {TEXT_BYTES_MAX} bytes", name(file)))
            .hint("split it into several files"));
    }
    String::from_utf8(bytes).map_err(|err| {
        Failure::new(Exit::Failed, format!("{} is not UTF-8: {err}", name(file))).hint("save it as UTF-8")
    })
}

fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".into() } else { file.display().to_string() }
}

fn problems(file: &Path, imported: &Imported) {
    for problem in &imported.problems {
        let column = problem.column.map(|column| format!(":{column}")).unwrap_or_default();
        eprintln!("{}:{}{column}: {}", name(file), problem.line, problem.reason);
    }
}

fn report(file: &Path, imported: &Imported) -> serde_json::Value {
    let problems = imported.problems.iter().map(|problem| {
        serde_json::json!({ "line": problem.line, "column": problem.column, "question": problem.question, "reason": problem.reason })
    });
    serde_json::json!({
        "file": name(file),
        "title": imported.title,
        "questions": imported.questions.len(),
        "problems": problems.collect::<Vec<_>>(),
    })
}

fn verdict(imported: &Imported) -> ExitCode {
    match (imported.questions.is_empty(), imported.problems.is_empty()) {
        (true, _) => ExitCode::from(Exit::Failed as u8),
        (false, false) => ExitCode::from(Exit::Found as u8),
        (false, true) => ExitCode::SUCCESS,
    }
}

fn quiz(file: &Path, imported: &Imported, id: Option<String>, version: i32) -> Quiz {
    let stem = file.file_name().and_then(|name| name.to_str()).unwrap_or("quiz").split('.').next().unwrap_or("quiz");
    let title = imported
        .title
        .clone()
        .unwrap_or_else(|| if stem == "-" { "A quiz".into() } else { stem.replace(['-', '_'], " ") });
    let id = id.unwrap_or_else(|| slug(&title));
    Quiz { id, version, title, questions: imported.questions.clone() }
}

/// Lower-case letters, digits and single hyphens.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for part in title.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.extend(part.chars().flat_map(char::to_lowercase));
    }
    if slug.is_empty() { "quiz".into() } else { slug }
}

//! `topics apply` and `topics describe`.

use std::path::PathBuf;
use std::process::ExitCode;

use quiz_stream::KafkaConfig;
use quiz_stream::topics::{self, Action, ApplyOptions, Difference, TopicChange};

use crate::cli::TopicsCommand;
use crate::config::Config;
use crate::exit::{Exit, Failure, unavailable};
use crate::serve::runtime;

/// Runs the command.
///
/// # Errors
/// When Kafka does not answer.
pub fn run(file: Option<&PathBuf>, command: TopicsCommand) -> Result<ExitCode, Failure> {
    let config = Config::load(file, &[])?;
    let kafka = KafkaConfig::new(&config.kafka.bootstrap_servers, "quizstream-topics");
    let replication_factor = config.kafka.replication_factor;
    let (options, json) = match command {
        TopicsCommand::Apply { dry_run, alter, json } => (ApplyOptions { dry_run, replication_factor, alter }, json),
        TopicsCommand::Describe { json } => (ApplyOptions { dry_run: true, replication_factor, alter: true }, json),
    };
    let hint = format!("is Kafka up at {}? kafka.bootstrap_servers says where it is", kafka.bootstrap_servers);
    let changes = runtime()?
        .block_on(topics::apply(&kafka, &options))
        .map_err(|err| unavailable("the topics cannot be read", &hint)(err.to_string()))?;
    if json {
        let text = serde_json::to_string(&changes).map_err(|err| Failure::new(Exit::Failed, err))?;
        println!("{text}");
    } else {
        for change in &changes {
            println!("{}", line(change));
        }
        if changes.is_empty() {
            println!("every topic is as it should be");
        }
    }
    let left = changes.iter().any(|change| change.action != Action::Done);
    Ok(if left { ExitCode::from(Exit::Found as u8) } else { ExitCode::SUCCESS })
}

fn line(change: &TopicChange) -> String {
    let what = match &change.difference {
        Difference::Missing { wanted } => format!("missing ({} partitions)", wanted.partitions),
        Difference::Option { option, found, wanted } => {
            format!("{option} is {}, not {wanted}", found.as_deref().unwrap_or("not set"))
        }
        Difference::Partitions { found, wanted } => format!("has {found} partitions, not {wanted}"),
    };
    let action = match change.action {
        Action::Done => "done",
        Action::Planned => "would be done",
        Action::NotAsked => "left; --alter changes it",
        Action::NeedsHuman => "left: keys would move, so a person decides",
    };
    format!("{}: {what}: {action}", change.topic)
}

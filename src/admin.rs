//! `admin store apply`, `admin store describe`, `admin ledger` and `admin trace`.

mod ledger;
pub mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::Table;
use quiz_store::mongo::{MongoOptions, MongoStore};

use crate::cli::{AdminCommand, StoreCommand};
use crate::config::Config;
use crate::exit::{Failure, unavailable};
use crate::serve::runtime;

/// Runs the command.
///
/// # Errors
/// When MongoDB does not answer, or refuses.
pub fn run(file: Option<&PathBuf>, command: AdminCommand) -> Result<ExitCode, Failure> {
    let config = Config::load(file, &[])?;
    match command {
        AdminCommand::Store(command) => {
            runtime()?.block_on(store(&config, command))?;
            Ok(ExitCode::SUCCESS)
        }
        AdminCommand::Ledger { game, json } => runtime()?.block_on(ledger::show(&config, game, json)),
        AdminCommand::Trace { game, player, question, json } => {
            runtime()?.block_on(trace::show(&config, game, player.zip(question), json))
        }
    }
}

fn failed(err: quiz_store::StoreError) -> Failure {
    unavailable("MongoDB", "is it up? mongo.uri says where it is, and `scripts/stack status` what runs")(
        err.to_string(),
    )
}

async fn connect(config: &Config) -> Result<MongoStore, Failure> {
    MongoStore::connect(&config.mongo.uri, &config.mongo.database, MongoOptions::default()).await.map_err(failed)
}

async fn store(config: &Config, command: StoreCommand) -> Result<(), Failure> {
    let store = connect(config).await?;
    match command {
        StoreCommand::Apply { dry_run, json } => {
            let changes = store.apply_layout(dry_run).await.map_err(failed)?;
            let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
            if json {
                println!("{}", serde_json::json!(lines));
            } else if lines.is_empty() {
                println!("the store is as it should be");
            } else {
                lines.iter().for_each(|line| println!("{}{line}", if dry_run { "would: " } else { "" }));
            }
        }
        StoreCommand::Describe { json } => describe(&store.describe_layout().await.map_err(failed)?, json),
    }
    Ok(())
}

fn describe(reports: &[quiz_store::mongo::CollectionReport], json: bool) {
    if json {
        let rows = reports.iter().map(|report| {
            let shards = report.shards.iter().map(|share| {
                serde_json::json!({ "shard": share.shard, "chunks": share.chunks, "documents": share.documents, "bytes": share.bytes })
            });
            serde_json::json!({
                "collection": report.collection.name(),
                "shard_key": report.shard_key,
                "shards": shards.collect::<Vec<_>>(),
            })
        });
        println!("{}", serde_json::Value::Array(rows.collect()));
        return;
    }
    let mut table = Table::new();
    table.set_header(["collection", "shard key", "shard", "chunks", "documents", "bytes"]);
    for report in reports {
        for share in &report.shards {
            table.add_row([
                report.collection.name().to_string(),
                report.shard_key.clone().unwrap_or_else(|| "not sharded".into()),
                share.shard.clone(),
                share.chunks.to_string(),
                share.documents.to_string(),
                share.bytes.to_string(),
            ]);
        }
    }
    println!("{table}");
}

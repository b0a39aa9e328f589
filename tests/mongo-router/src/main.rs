//! A stand-in for `mongos`, for tests and benches on machines where that binary cannot be had.
//!
//! A mongod in the shard role carries the code of a router under internal command names (`clusterFind`,
//! `clusterInsert`, …), and the config server and shards take administrative commands under theirs
//! (`_configsvrAddShard`, `_shardsvrCreateCollection`, …). This program speaks the wire protocol, says
//! that it is a mongos, renames each command and passes it on. Targeting, shard-key checks, chunk
//! placement and errors are therefore MongoDB's own.
//!
//! It differs from a mongos in this: transactions are refused; retryable writes are not retried by the
//! servers (the session is taken out), so a lost connection leaves a write's outcome unknown; commands
//! without an internal form, such as `findAndModify` and `distinct`, are refused.

mod admin;
mod cursors;
mod error;
mod initiate;
mod raw;
mod route;
mod serve;
mod session;
mod topology;
mod upstream;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::topology::{Cluster, ReplicaSet};

/// Routes MongoDB clients to a sharded cluster where no mongos binary can be had (tests only).
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Listen for clients and route their commands.
    Serve {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// The config servers, as NAME/HOST:PORT,HOST:PORT.
        #[arg(long)]
        config: ReplicaSet,
        /// One shard, as NAME/HOST:PORT,HOST:PORT; give it once for each shard.
        #[arg(long = "shard", required = true)]
        shards: Vec<ReplicaSet>,
    },
    /// Initiate a replica set when it is new, and wait for its primary.
    Initiate {
        /// The set, as NAME/HOST:PORT,HOST:PORT.
        set: ReplicaSet,
        /// The set holds the config servers.
        #[arg(long)]
        configsvr: bool,
        /// Seconds to wait at most.
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
    /// Run one command and print the reply.
    Command {
        /// Host of the server or router.
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
        /// Port of the server or router.
        #[arg(long)]
        port: u16,
        /// Database.
        #[arg(long, default_value = "admin")]
        db: String,
        /// The command, as extended JSON.
        json: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().action).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            eprintln!("mongo-router: {error}{}", source.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

async fn run(action: Action) -> Result<()> {
    match action {
        Action::Serve { listen, config, shards } => serve::serve(listen, Cluster { config, shards }).await,
        Action::Initiate { set, configsvr, timeout_s } => {
            println!("{}", initiate::initiate(&set, configsvr, Duration::from_secs(timeout_s)).await?);
            Ok(())
        }
        Action::Command { host, port, db, json } => {
            println!("{}", initiate::command(&format!("{host}:{port}"), &db, &json).await?);
            Ok(())
        }
    }
}

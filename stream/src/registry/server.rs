//! A small schema registry: the part of the Confluent REST API that our client, `kcat` and the
//! Java serialisers use. Avro only, no references, nothing is ever deleted.
//!
//! Its state is a compacted topic, read to its end at the start; a write is acknowledged by the
//! broker before it is answered. One process serves a topic: two would hand out the same id twice.

mod api;
mod log;
mod schemas;

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Mutex, RwLock};

use crate::config::KafkaConfig;
use log::Log;
use schemas::{Change, Schemas};

/// Why the registry does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its topic could not be created, read or written.
    #[error("the topic of the registry: {0}")]
    Log(String),
    /// The listener failed.
    #[error("the registry's listener: {0}")]
    Listener(#[from] std::io::Error),
}

/// Serves on `listener` until `shutdown` resolves; requests under way are finished.
///
/// # Errors
/// When the topic cannot be read, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    config: KafkaConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let registry = Registry::open(&config).await?;
    let router = api::router(Arc::new(registry));
    Ok(axum::serve(listener, router).with_graceful_shutdown(shutdown).await?)
}

/// The schemas and the log behind them.
struct Registry {
    schemas: RwLock<Schemas>,
    /// Held over a whole write: decide, append, apply.
    writer: Mutex<Writer>,
}

struct Writer {
    log: Log,
    /// Whether an append failed, so that the log may hold more than `schemas`.
    stale: bool,
}

impl Registry {
    async fn open(config: &KafkaConfig) -> Result<Self, ServerError> {
        let log = Log::open(config).await?;
        let schemas = log.read().await?;
        Ok(Self { schemas: RwLock::new(schemas), writer: Mutex::new(Writer { log, stale: false }) })
    }

    /// Decides on the present state and makes the change that comes of it, if any.
    async fn change<T, E: From<ServerError>>(
        &self,
        decide: impl FnOnce(&Schemas) -> Result<(T, Option<Change>), E>,
    ) -> Result<T, E> {
        let mut writer = self.writer.lock().await;
        if writer.stale {
            *self.schemas.write().await = writer.log.read().await?;
            writer.stale = false;
        }
        let (answer, change) = decide(&*self.schemas.read().await)?;
        if let Some(change) = change {
            // Stale until proven otherwise: this future may be dropped while it waits.
            writer.stale = true;
            writer.log.append(&change).await?;
            self.schemas.write().await.apply(change);
            writer.stale = false;
        }
        Ok(answer)
    }
}

//! The listening side.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::cursors::Cursors;
use crate::error::{Result, RouterError};
use crate::session::{Session, Shared};
use crate::topology::Cluster;

/// How many clients may be connected at once; more wait to be accepted.
const CLIENTS_MAX: usize = 4_000;

/// Takes clients until the process ends.
pub async fn serve(listen: SocketAddr, cluster: Cluster) -> Result<()> {
    if cluster.shards.is_empty() {
        return Err(RouterError::Argument("at least one shard is needed".into()));
    }
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let shared = Arc::new(Shared { cluster, cursors: Cursors::default() });
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    for number in 0_usize.. {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: clients that leave make room.
                eprintln!("accept failed: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let session = Session::new(Arc::clone(&shared), number);
        tokio::spawn(async move {
            if let Err(error) = session.serve(stream).await {
                report(number, &error);
            }
            drop(place);
        });
    }
    Ok(())
}

/// A client that hangs up is no news; a broken message is.
fn report(client: usize, error: &RouterError) {
    if !matches!(error, RouterError::Io(_)) {
        eprintln!("client {client}: {error}");
    }
}

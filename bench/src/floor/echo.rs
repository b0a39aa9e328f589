//! Brings the floor's servers and clients up as processes, and measures with them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures::SinkExt;
use tokio::process::Command;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use super::clients::{Delivered, Returned, connect};
use super::server::TO_ALL;
use super::{CrowdFloor, EchoFloor};
use crate::child::Running;
use crate::error::BenchError;
use crate::latency::{Quantiles, wall_us};
use crate::process;

/// How long a server may take to listen.
const START_WAIT: Duration = Duration::from_secs(30);
/// How long all clients may take to connect.
const CONNECT_WAIT: Duration = Duration::from_secs(180);
/// How long a phase may take beyond its own time.
const PHASE_SLACK: Duration = Duration::from_secs(60);
/// How long sockets do nothing before their memory is looked at.
const REST: Duration = Duration::from_secs(2);
/// Texts to everybody; the median counts.
const BROADCASTS: usize = 5;
/// The size of a question on the wire, bytes.
const QUESTION_BYTES: usize = 300;

/// Servers and clients that are up and connected.
pub struct Stage {
    servers: Vec<(Running, SocketAddr, u64)>,
    clients: Vec<(Running, u32)>,
    sockets: u32,
    connect_s: f64,
}

impl Stage {
    /// So many servers, with so many sockets in all, from one process of clients for each server.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn up(program: &Path, logs: &Path, servers: u32, sockets: u32) -> Result<Self, BenchError> {
        let mut stage = Self { servers: Vec::new(), clients: Vec::new(), sockets, connect_s: 0.0 };
        let log = logs.join("floor.log");
        for no in 0..servers {
            let mut command = Command::new(program);
            command.arg("echo-server");
            let mut server = Running::start("the floor's server", command, &log)?;
            let addr = server.says("echo listens on ", START_WAIT).await?;
            let addr = addr.parse().map_err(|_| BenchError::process("the floor's server", "no address"))?;
            let before_kib = process::read(server.pid).unwrap_or_default().rss_kib;
            stage.servers.push((server, addr, before_kib));
            let share = sockets / servers + u32::from(no < sockets % servers);
            let mut command = Command::new(program);
            command.args(["echo-clients", "--server", &addr.to_string(), "--sockets", &share.to_string()]);
            stage.clients.push((Running::start("the floor's clients", command, &log)?, share));
        }
        for (client, _) in &mut stage.clients {
            let told = client.says("connected ", CONNECT_WAIT).await?;
            stage.connect_s = stage.connect_s.max(told.trim().parse().unwrap_or(0.0));
        }
        Ok(stage)
    }

    /// Texts that come back, over all sockets.
    ///
    /// # Errors
    /// When a process does not do as told.
    pub async fn echo(&mut self, rate: f64, seconds: f64) -> Result<EchoFloor, BenchError> {
        let (mut intended, mut sent): (Vec<Quantiles>, Vec<Quantiles>) = (Vec::new(), Vec::new());
        let count = self.clients.len() as f64;
        for (client, _) in &mut self.clients {
            client.tell(&format!("echo {} {seconds}", rate / count)).await?;
        }
        for (client, _) in &mut self.clients {
            let returned: Returned = told(client, Duration::from_secs_f64(seconds) + PHASE_SLACK).await?;
            intended.push(returned.intended_ms);
            sent.push(returned.sent_ms);
        }
        Ok(EchoFloor {
            rate,
            sockets: self.sockets,
            intended_ms: Quantiles::worst(intended),
            sent_ms: Quantiles::worst(sent),
        })
    }

    /// Memory of sockets that do nothing, and texts to everybody.
    ///
    /// # Errors
    /// When a process does not do as told.
    pub async fn crowd(&mut self) -> Result<CrowdFloor, BenchError> {
        sleep(REST).await;
        let held = |(server, _, before): &(Running, SocketAddr, u64)| {
            process::read(server.pid).unwrap_or_default().rss_kib.saturating_sub(*before)
        };
        let held_kib: u64 = self.servers.iter().map(held).sum();
        let mut controls = Vec::new();
        for (_, addr, _) in &self.servers {
            controls.push(connect(*addr).await?);
        }
        let mut all = Vec::new();
        for _ in 0..BROADCASTS {
            for (client, sockets) in &mut self.clients {
                client.tell(&format!("delivered {sockets}")).await?;
            }
            let text = format!("b {} ", wall_us());
            let text = format!("{TO_ALL}{text:<QUESTION_BYTES$}");
            for control in &mut controls {
                let sent = control.send(Message::text(text.clone())).await;
                sent.map_err(|err| BenchError::server("the floor's server", err))?;
            }
            all.push(self.delivered().await?);
        }
        all.sort_by(|a, b| a.last_ms.total_cmp(&b.last_ms));
        let median = all[all.len() / 2];
        Ok(CrowdFloor {
            sockets: self.sockets,
            servers: self.servers.len() as u32,
            connect_per_s: f64::from(self.sockets) / self.connect_s.max(0.001),
            socket_bytes: held_kib as f64 * 1024.0 / f64::from(self.sockets.max(1)),
            first_ms: median.first_ms,
            last_ms: median.last_ms,
        })
    }

    async fn delivered(&mut self) -> Result<Delivered, BenchError> {
        let mut sum = Delivered { count: 0, first_ms: f64::MAX, last_ms: 0.0 };
        for (client, sockets) in &mut self.clients {
            let one: Delivered = told(client, PHASE_SLACK).await?;
            if one.count < u64::from(*sockets) {
                let reason = format!("{} of {sockets} sockets got a text to all", one.count);
                return Err(BenchError::server("the floor's server", reason));
            }
            sum.count += one.count;
            sum.first_ms = sum.first_ms.min(one.first_ms);
            sum.last_ms = sum.last_ms.max(one.last_ms);
        }
        Ok(sum)
    }

    /// Takes it down.
    pub async fn down(self) {
        for (client, _) in self.clients {
            client.stop().await;
        }
        for (server, _, _) in self.servers {
            server.stop().await;
        }
    }
}

async fn told<T: serde::de::DeserializeOwned>(client: &mut Running, wait: Duration) -> Result<T, BenchError> {
    let line = client.says("told ", wait).await?;
    serde_json::from_str(&line).map_err(|err| BenchError::process("the floor's clients", err))
}

//! The least that the same machine can do, with the same libraries and no product: what a figure of
//! the pipeline is compared with.

use serde::{Deserialize, Serialize};

use crate::latency::Quantiles;

pub mod clients;
pub mod echo;
pub mod kafka;
pub mod server;

/// Appending records to Kafka and nothing else.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct KafkaFloor {
    /// Records/s offered.
    pub rate: f64,
    /// Producers, each with its share of the rate: as many as there are edges.
    pub producers: u32,
    /// Different keys: as many as there are lanes.
    pub keys: u32,
    /// From when a record should have been appended to the broker's acknowledgement, ms.
    pub ack_ms: Quantiles,
    /// Records in a batch, on average.
    pub batch_records: f64,
    /// Records that were not acknowledged.
    pub failed: u64,
}

/// Answering a text with the same text and nothing else.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct EchoFloor {
    /// Texts/s offered.
    pub rate: f64,
    /// Sockets of all servers.
    pub sockets: u32,
    /// From when a text should have left to its return, ms.
    pub intended_ms: Quantiles,
    /// From when it left, ms: without the pacing of the client, which the other floor has already.
    pub sent_ms: Quantiles,
}

/// Sending one text to everybody, and holding sockets that do nothing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CrowdFloor {
    /// Sockets of all servers.
    pub sockets: u32,
    /// Servers.
    pub servers: u32,
    /// Sockets/s that connected.
    pub connect_per_s: f64,
    /// Memory of the servers for each socket that does nothing, bytes.
    pub socket_bytes: f64,
    /// From the command to the first delivery, ms.
    pub first_ms: f64,
    /// From the command to the last delivery, ms.
    pub last_ms: f64,
}

/// All floors that were measured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Floors {
    /// Appending.
    pub kafka: Vec<KafkaFloor>,
    /// Answering.
    pub echo: Vec<EchoFloor>,
    /// Sending to everybody.
    pub crowd: Vec<CrowdFloor>,
}

impl Floors {
    /// With those of another time, except for what was measured again.
    pub fn after(mut self, earlier: Floors) -> Floors {
        let near = |a: f64, b: f64| (a - b).abs() < 0.5;
        for old in earlier.kafka {
            let again =
                |new: &KafkaFloor| near(new.rate, old.rate) && (new.producers, new.keys) == (old.producers, old.keys);
            if !self.kafka.iter().any(again) {
                self.kafka.push(old);
            }
        }
        for old in earlier.echo {
            if !self.echo.iter().any(|new| near(new.rate, old.rate) && new.sockets == old.sockets) {
                self.echo.push(old);
            }
        }
        for old in earlier.crowd {
            if !self.crowd.iter().any(|new| (new.sockets, new.servers) == (old.sockets, old.servers)) {
                self.crowd.push(old);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_again_replaces_what_was() {
        let crowd = |sockets, last_ms| CrowdFloor { sockets, servers: 1, last_ms, ..CrowdFloor::default() };
        let old = Floors { crowd: vec![crowd(10, 1.0), crowd(20, 2.0)], ..Floors::default() };
        let new = Floors { crowd: vec![crowd(10, 3.0)], ..Floors::default() };
        assert_eq!(new.after(old).crowd, [crowd(10, 3.0), crowd(20, 2.0)]);
    }
}

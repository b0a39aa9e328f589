//! What sockets look up in the store, through small caches: PINs and personal standings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use quiz_schemas::{LaneKey, Pin, PlayerId, QuestionNo};
use quiz_store::{StandingsDoc, Store, StoreError};

use crate::clock::wall_us;
use crate::connection::PinTarget;
use crate::limits::{
    PIN_HIT_MS, PIN_MISS_MS, PINS_CACHED_MAX, STANDINGS_CACHED_MAX, STANDINGS_POLL_MS, STANDINGS_TRIES_MAX,
};
use crate::protocol::OwnOutcome;
use crate::token::Seat;

/// Where PINs lead.
pub(crate) struct Pins {
    store: Arc<dyn Store>,
    cache: Cache<Pin, Option<PinTarget>>,
}

/// A PIN that leads nowhere may lead somewhere in a moment, so that is remembered for a shorter time.
struct PinLife;

impl Expiry<Pin, Option<PinTarget>> for PinLife {
    fn expire_after_create(&self, _: &Pin, target: &Option<PinTarget>, _: Instant) -> Option<Duration> {
        Some(Duration::from_millis(if target.is_some() { PIN_HIT_MS } else { PIN_MISS_MS }))
    }
}

impl Pins {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let cache = Cache::builder().max_capacity(PINS_CACHED_MAX).expire_after(PinLife).build();
        Self { store, cache }
    }

    /// The game that has the PIN. A storm of joins for one PIN costs one read.
    pub(crate) async fn find(&self, pin: Pin) -> Result<Option<PinTarget>, Arc<StoreError>> {
        let load = async {
            let doc = self.store.pin(pin, wall_us()).await?;
            Ok(doc.map(|doc| PinTarget { game: doc.game, lanes: doc.lanes }))
        };
        self.cache.try_get_with(pin, load).await
    }

    /// Remembers a PIN that was reserved here.
    pub(crate) async fn remember(&self, pin: Pin, target: PinTarget) {
        self.cache.insert(pin, Some(target)).await;
    }
}

/// Players' own outcomes, by lane.
pub(crate) struct Standings {
    store: Arc<dyn Store>,
    cache: Cache<(LaneKey, QuestionNo), Arc<StandingsDoc>>,
}

/// There are no standings of this question yet.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error("the standings are of another question")]
    OtherQuestion,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Standings {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, cache: Cache::builder().max_capacity(STANDINGS_CACHED_MAX).build() }
    }

    /// The player's outcome of the question. The board is told before the standings are stored, so
    /// a reader that comes in between waits a little.
    pub(crate) async fn outcome(&self, seat: &Seat, question: QuestionNo, players: i32) -> Option<OwnOutcome> {
        let lane = LaneKey::of(seat.game, seat.player, seat.lanes);
        for attempt in 0..STANDINGS_TRIES_MAX {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(STANDINGS_POLL_MS)).await;
            }
            let load = async {
                let doc = self.store.standings(lane).await?.filter(|doc| doc.question == question);
                doc.map(Arc::new).ok_or(NotYet::OtherQuestion)
            };
            match self.cache.try_get_with((lane, question), load).await {
                Ok(doc) => return own(&doc, seat.player, players),
                Err(error) => tracing::debug!(%lane, question, %error, "no standings"),
            }
        }
        None
    }
}

fn own(doc: &StandingsDoc, player: PlayerId, players: i32) -> Option<OwnOutcome> {
    let outcome = doc.outcomes.iter().find(|outcome| outcome.player == player)?;
    Some(OwnOutcome::new(doc.question, outcome, players))
}

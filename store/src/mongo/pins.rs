//! Reserving a PIN without findAndModify: an insert whose `_id` is the PIN is the reservation, and
//! the server lets one of two win.

use std::time::{SystemTime, UNIX_EPOCH};

use mongodb::error::Error;
use quiz_schemas::Pin;

use super::{MongoStore, failure, filter, shape};
use crate::documents::PinDoc;
use crate::telemetry::{Tally, count_failures, count_writes};
use crate::{Collection, StoreError};

/// How often a reservation tries to insert. Each further try follows a holder that vanished; with
/// so many in a row the PIN is fought over, and another one is the better choice.
const INSERTS_MAX: usize = 3;

impl MongoStore {
    pub(super) async fn reserve(&self, pin: &PinDoc) -> Result<bool, StoreError> {
        let outcome = self.try_reserve(pin).await;
        match &outcome {
            Ok(true) => count_writes(Collection::Pins, Tally { written: 1, ..Tally::default() }),
            Ok(false) => {}
            Err(_) => count_failures(Collection::Pins, 1),
        }
        outcome
    }

    async fn try_reserve(&self, pin: &PinDoc) -> Result<bool, StoreError> {
        let pins: mongodb::Collection<shape::Reservation> = self.collection(Collection::Pins);
        for _ in 0..INSERTS_MAX {
            let inserted = async {
                match pins.insert_one(shape::Reservation::from(pin)).await {
                    Ok(_) => Ok::<bool, Error>(true),
                    Err(error) if failure::is_duplicate(&error) => Ok(false),
                    Err(error) => Err(error),
                }
            };
            if self.within(inserted).await? {
                return Ok(true);
            }
            let now_us = now_us();
            match self.holder(pin.pin).await? {
                Some(holder) if holder.expires_at_us > now_us => return Ok(holder.game == pin.game),
                // The guard keeps a reservation that another edge has made since.
                Some(_) => {
                    self.within(pins.delete_one(filter::pin_expired(pin.pin, now_us))).await?;
                }
                None => {}
            }
        }
        Ok(false)
    }

    pub(super) async fn holder(&self, pin: Pin) -> Result<Option<PinDoc>, StoreError> {
        let pins: mongodb::Collection<shape::Reservation> = self.collection(Collection::Pins);
        Ok(self.find_one(&pins, filter::pin(pin)).await?.map(PinDoc::from))
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

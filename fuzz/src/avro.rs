//! Records as they come from Kafka. Promise: any bytes are an event or an error, and what was read is
//! written back to bytes that mean the same.

use std::sync::LazyLock;

use quiz_schemas::{Codec, Topic};

static CODEC: LazyLock<Codec> = LazyLock::new(Codec::with_fixed_ids);

/// The first byte chooses the topic, the rest is the value.
pub fn run(data: &[u8]) {
    let Some((first, value)) = data.split_first() else { return };
    let topic = Topic::ALL[usize::from(*first) % Topic::ALL.len()];
    let Ok(event) = CODEC.decode_any(topic, value) else { return };
    assert_eq!(event.topic(), topic);
    // A kind of body that this build does not know is read but cannot be written.
    let Ok(bytes) = CODEC.encode_any(&event) else { return };
    let again = CODEC.decode_any(topic, &bytes).expect("what was written is read");
    // Compared as bytes: a number that is none differs from itself.
    assert_eq!(CODEC.encode_any(&again).expect("what was read is written"), bytes);
}

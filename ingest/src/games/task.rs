use std::sync::Arc;
use std::time::Duration;

use quiz_game::view::GameView;
use quiz_schemas::GameId;
use quiz_store::ViewDoc;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::channel::Channel;
use super::encode::EdgeTime;
use super::mailbox::Delivery;
use super::teller::Teller;
use super::{GameCommand, Shared};
use crate::connection::{Mark, NotAttached};
use crate::limits::{FAN_OUT_TURN, RECOVERY_LOOK_BACK, TAIL_RETRY_MS, VIEW_POLL_MS, VIEW_WAIT_MS};

/// Holds one game until nobody needs it.
pub(super) async fn run(shared: Arc<Shared>, game: GameId, partition: i32, mut inbox: mpsc::Receiver<GameCommand>) {
    let Some(doc) = load(&shared, game).await else {
        shared.routes.remove_if(game, || true);
        refuse_all(inbox).await;
        return;
    };
    let cursor = doc.cursor.map(|cursor| cursor.offset);
    let next = cursor.map_or(0, |cursor| cursor + 1);
    // What was told shortly before the view is read too: for those who come from another edge.
    let from = (next - RECOVERY_LOOK_BACK).max(0);
    shared.routes.pass_from(game, from, next);
    // The tail may be waiting for this task's queue, so this task must not wait for the tail.
    let reader = tokio::spawn(read(Arc::clone(&shared), partition, from));
    let mut channel = Channel::new(doc.view, cursor, now(&shared));
    let mut teller = Teller::new(Arc::clone(&shared), game);
    serve(&shared, game, &mut channel, &mut inbox, &mut teller).await;
    let over = channel.is_over();
    drop(channel);
    // A reader that is still trying has not been counted.
    reader.abort();
    let counted = reader.await.unwrap_or(false);
    shared.partitions.release(partition, counted).await;
    inbox.close();
    refuse_all(inbox).await;
    // Last, for this waits for the broker.
    teller.finish(over).await;
}

async fn serve(
    shared: &Shared,
    game: GameId,
    channel: &mut Channel,
    inbox: &mut mpsc::Receiver<GameCommand>,
    teller: &mut Teller,
) {
    let mut idle_at = Instant::now() + shared.idle;
    loop {
        // Many sockets are told in turns: their writes would hold up what others wait for, receipts above all.
        while channel.pump(FAN_OUT_TURN) {
            yield_now().await;
        }
        let tick_at = channel.next_tick().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            command = inbox.recv() => {
                let Some(command) = command else { return };
                on_command(shared, game, channel, command).await;
                teller.closed(channel.closed());
                teller.watch(channel.take_result());
                if !channel.is_empty() {
                    idle_at = Instant::now() + shared.idle;
                }
            }
            () = teller.turn() => {}
            () = sleep_until(tick_at) => channel.tick(now(shared)),
            () = sleep_until(idle_at) => {
                if channel.is_empty() && shared.routes.remove_if(game, || inbox.is_empty()) {
                    return;
                }
                idle_at = Instant::now() + shared.idle;
            }
        }
    }
}

async fn on_command(shared: &Shared, game: GameId, channel: &mut Channel, command: GameCommand) {
    match command {
        GameCommand::Attach(attach) => channel.attach(attach, now(shared)),
        GameCommand::Detach { socket, player, last } => {
            let _ = last.send(channel.detach(socket, player));
        }
        GameCommand::Record(told) => channel.record(told, now(shared)),
        GameCommand::Reload { next } => {
            if let Some(doc) = load(shared, game).await {
                channel.reload(doc.view, next, now(shared));
            }
        }
    }
}

fn now(shared: &Shared) -> EdgeTime {
    let mono = Instant::now();
    EdgeTime { mono, cluster_us: shared.clock.now_us(mono) }
}

/// The game's view, as soon as the store has one that says the lobby is open: a game that was
/// created a moment ago has none yet.
async fn load(shared: &Shared, game: GameId) -> Option<ViewDoc> {
    let deadline = Instant::now() + Duration::from_millis(VIEW_WAIT_MS);
    loop {
        match shared.store.view(game).await {
            Ok(Some(doc)) if is_open(&doc.view) => return Some(doc),
            Ok(_) => {}
            Err(error) => tracing::warn!(%game, %error, "a view cannot be loaded"),
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(Duration::from_millis(VIEW_POLL_MS)).await;
    }
}

fn is_open(view: &GameView) -> bool {
    view.opened.is_some()
}

/// Has the tail read the partition; false when the tail has ended.
async fn read(shared: Arc<Shared>, partition: i32, from: i64) -> bool {
    loop {
        match shared.partitions.read(partition, from).await {
            Ok(()) => return true,
            Err(quiz_stream::TailError::Ended) => return false,
            Err(error) => tracing::warn!(partition, %error, "the results cannot be read yet"),
        }
        sleep(Duration::from_millis(TAIL_RETRY_MS)).await;
    }
}

/// Tells those who still wait that the game is not held here.
async fn refuse_all(mut inbox: mpsc::Receiver<GameCommand>) {
    inbox.close();
    while let Some(command) = inbox.recv().await {
        if let GameCommand::Attach(attach) = command {
            let refusal = Delivery::mark(Mark::NotAttached(NotAttached::Unavailable));
            let _ = attach.mailbox.try_send(refusal);
        }
    }
}

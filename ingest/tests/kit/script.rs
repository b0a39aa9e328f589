//! Stands in for the session worker and the board projection: opens a lobby for each `create`,
//! admits joins, and says what a test tells it to. Views go to the store as the projection's do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use quiz_game::view::GameView;
use quiz_schemas::events::{
    CommandsBody, GameOpened, JoinRefusal, JoinsBody, JoinsRecord, LobbyChanged, LobbyPlayer, QuestionShown,
    QuestionStopped, QuestionView, RefusalReason, ResultsBody, ResultsRecord, StopReason,
};
use quiz_schemas::topic::GAME_PARTITIONS;
use quiz_schemas::{AnyEvent, Codec, GameId, Position, QuestionNo, Topic};
use quiz_store::{Store, ViewDoc, Write};
use quiz_stream::{EmbeddedCluster, Producer, ProducerOptions, Record, SchemaSource, Tail, TailEvent, TailHandle};
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

use super::PATIENCE;

const QUIET: usize = 4_096;

/// A scripted game.
struct Scripted {
    view: GameView,
    seq: i64,
    cursor: Option<Position>,
    names: HashMap<String, quiz_schemas::PlayerId>,
}

#[derive(Clone)]
pub struct Script {
    producer: Producer,
    store: Arc<dyn Store>,
    games: Arc<tokio::sync::Mutex<HashMap<GameId, Scripted>>>,
    /// When set, joins are left without an answer.
    pub silent: Arc<std::sync::atomic::AtomicBool>,
    seen: broadcast::Sender<Arc<Record>>,
    log: Arc<Mutex<Vec<Arc<Record>>>>,
    _tails: Arc<Vec<TailHandle>>,
}

impl Script {
    pub async fn start(cluster: &EmbeddedCluster, codec: &Arc<Codec>, store: &Arc<dyn Store>) -> Self {
        let kafka = cluster.kafka_config("script");
        let producer = Producer::new(&kafka, Arc::clone(codec), ProducerOptions::default()).expect("a producer");
        let mut tails = Vec::new();
        let (seen, _) = broadcast::channel(QUIET);
        let mut inboxes = Vec::new();
        for topic in [Topic::Commands, Topic::Joins, Topic::Answers, Topic::Tallies] {
            let (tail, inbox) = Tail::start(&kafka, Arc::clone(codec), SchemaSource::fixed(), topic).expect("a tail");
            let partitions = topic.spec().partitions;
            for partition in 0..partitions {
                tail.read_from(partition, Some(0)).await.expect("a partition is read");
            }
            tails.push(tail);
            inboxes.push(inbox);
        }
        let script = Self {
            producer,
            store: Arc::clone(store),
            games: Arc::default(),
            silent: Arc::default(),
            seen,
            log: Arc::default(),
            _tails: Arc::new(tails),
        };
        for inbox in inboxes {
            tokio::spawn(script.clone().follow(inbox));
        }
        script
    }

    async fn follow(self, mut inbox: mpsc::Receiver<TailEvent>) {
        while let Some(event) = inbox.recv().await {
            let TailEvent::Record(record) = event else { continue };
            match &record.event {
                AnyEvent::Commands(command) => {
                    if let CommandsBody::CreateGame(create) = &command.body {
                        let opened = GameOpened {
                            pin: create.pin,
                            title: create.quiz.title.clone(),
                            questions: create.quiz.questions.len() as i32,
                            lanes: create.settings.lanes,
                            capacity: create.settings.capacity,
                        };
                        self.say(command.game, opened).await;
                    }
                }
                AnyEvent::Joins(join) => self.on_join(join).await,
                _ => {}
            }
            let record = Arc::new(record);
            self.log.lock().unwrap().push(Arc::clone(&record));
            let _ = self.seen.send(record);
        }
    }

    async fn on_join(&self, record: &JoinsRecord) {
        let JoinsBody::JoinRequested(join) = &record.body else { return };
        if self.silent.load(std::sync::atomic::Ordering::SeqCst) {
            return;
        }
        let mut change = {
            let mut games = self.games.lock().await;
            let Some(game) = games.get_mut(&record.game) else { return };
            let key = quiz_game::nickname::key(&join.nickname);
            let holder = *game.names.entry(key).or_insert(join.player);
            let players = game.names.len() as i32;
            LobbyChanged {
                admitted: Vec::new(),
                refused: if holder == join.player {
                    Vec::new()
                } else {
                    vec![JoinRefusal { player: join.player, reason: RefusalReason::NicknameTaken }]
                },
                kicked: Vec::new(),
                players,
                connected: players,
            }
        };
        if change.refused.is_empty() {
            change.admitted.push(LobbyPlayer { player: join.player, nickname: join.nickname.clone() });
        }
        self.say(record.game, change).await;
    }

    /// Says a durable result of a session record.
    pub async fn say(&self, game: GameId, body: impl Into<ResultsBody>) {
        let seq = {
            let mut games = self.games.lock().await;
            let entry = games.entry(game).or_insert_with(|| Scripted {
                view: GameView::new(game),
                seq: 0,
                cursor: None,
                names: HashMap::new(),
            });
            entry.seq += 1;
            entry.seq
        };
        self.say_as(game, Some(format!("s{seq}")), body).await;
    }

    /// Says a result under this event id, and stores the view that it leads to.
    pub async fn say_as(&self, game: GameId, event_id: Option<String>, body: impl Into<ResultsBody>) {
        let record = ResultsRecord {
            game,
            at_us: quiz_ingest::clock::wall_us(),
            event_id: event_id.map(Into::into),
            body: body.into(),
        };
        let position = self.producer.append(&record).await.expect("a result is appended");
        assert!(position.partition < GAME_PARTITIONS);
        let doc = {
            let mut games = self.games.lock().await;
            let entry = games.get_mut(&game).expect("the game was opened");
            entry.view.fold(&record);
            entry.cursor = entry.cursor.max(Some(position));
            ViewDoc { game, version: entry.view.version(), cursor: entry.cursor, view: entry.view.clone() }
        };
        self.store.write(&[Write::View(Box::new(doc))]).await.expect("a view is stored");
    }

    pub async fn open(&self, game: GameId, question: QuestionNo) {
        let quiz = super::quiz();
        let asked = &quiz.questions[usize::from(question)];
        let opened_at_us = quiz_ingest::clock::wall_us();
        let view = QuestionView {
            kind: asked.kind,
            prompt: asked.prompt.clone(),
            options: asked.options.clone(),
            points_max: asked.points_max,
            limit_ms: asked.limit_ms,
        };
        let deadline_us = opened_at_us + i64::from(asked.limit_ms) * 1000;
        self.say(game, QuestionShown { question, view, opened_at_us, deadline_us }).await;
    }

    pub async fn stop(&self, game: GameId, question: QuestionNo) {
        self.say(game, QuestionStopped { question, reason: StopReason::Deadline }).await;
    }

    /// Waits for a record that `want` takes, also among those that came before.
    pub async fn saw<T>(&self, mut want: impl FnMut(&Record) -> Option<T>) -> T {
        let mut seen = self.seen.subscribe();
        let before: Vec<_> = self.log.lock().unwrap().clone();
        if let Some(found) = before.iter().find_map(|record| want(record)) {
            return found;
        }
        let wait = async {
            loop {
                let record = seen.recv().await.expect("the script follows the log");
                if let Some(found) = want(&record) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("the record comes in time")
    }

    /// How many records so far `want` takes.
    pub fn count(&self, want: impl Fn(&Record) -> bool) -> usize {
        self.log.lock().unwrap().iter().filter(|record| want(record)).count()
    }
}

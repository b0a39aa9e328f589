//! Brings the pipeline up for a demo: in this process on the embedded cluster and store, or as
//! processes of their own on real servers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quiz_schemas::Codec;
use quiz_store::mongo::{MongoOptions, MongoStore};
use quiz_store::{Store, StoreConfig};
use quiz_stream::producer::BUSY_LINGER_MS;
use quiz_stream::topics::{self, ApplyOptions};
use quiz_stream::{EmbeddedCluster, KafkaConfig, SchemaSource};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::processes::Processes;
use crate::cli::{DemoArgs, Role};
use crate::config::Config;
use crate::exit::{Exit, Failure, unavailable};
use crate::serve::{EdgeParts, Parts, bind, roles, supervise};
use crate::telemetry;

/// A pipeline that is up.
pub struct Pipeline {
    /// How to reach its Kafka.
    pub kafka: KafkaConfig,
    /// Reads and writes its records.
    pub codec: Arc<Codec>,
    /// Its registry.
    pub schemas: SchemaSource,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Where its edges listen.
    pub edges: Vec<SocketAddr>,
    /// In one sentence.
    pub description: String,
}

/// What keeps a pipeline up.
pub struct Guard {
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), Failure>>,
    processes: Option<Processes>,
    cluster: Option<EmbeddedCluster>,
    dir: Option<tempfile::TempDir>,
}

impl Guard {
    /// Drains the roles and stops them.
    ///
    /// # Errors
    /// When one of them had failed.
    pub async fn down(self) -> Result<(), Failure> {
        let Guard { shutdown, tasks, processes, cluster, dir } = self;
        if let Some(processes) = processes {
            processes.stop().await;
        }
        shutdown.cancel();
        let ended = supervise(tasks, shutdown).await;
        // The roles are gone: now what they stood on may go.
        drop(cluster);
        drop(dir);
        ended
    }

    /// The roles that run as processes of their own, if they do.
    pub fn processes(&mut self) -> Option<&mut Processes> {
        self.processes.as_mut()
    }

    /// Waits until a role fails.
    pub async fn failed(&mut self) -> Failure {
        let processes = async {
            match &mut self.processes {
                Some(processes) => processes.ended().await,
                None => std::future::pending().await,
            }
        };
        let tasks = &mut self.tasks;
        tokio::select! {
            failure = processes => failure,
            Some(ended) = tasks.join_next() => match ended {
                Ok(Err(failure)) => failure,
                Ok(Ok(())) => Failure::new(Exit::Failed, "a role ended by itself"),
                Err(err) => Failure::new(Exit::Failed, format!("a role panicked: {err}")),
            },
        }
    }
}

/// Brings up what `args` asks for. `program` is the quizstream binary, for roles that run as
/// processes of their own.
///
/// # Errors
/// When a server does not answer or a port is taken.
pub async fn up(args: &DemoArgs, program: &Path) -> Result<(Pipeline, Guard), Failure> {
    match (&args.brokers, &args.mongo) {
        (Some(brokers), Some(mongo)) => on_servers(args, program, brokers, mongo).await,
        _ => embedded(args).await,
    }
}

async fn registry(
    url: Option<&String>,
    kafka: &KafkaConfig,
    tasks: &mut JoinSet<Result<(), Failure>>,
    shutdown: &CancellationToken,
) -> Result<(String, SchemaSource, Arc<Codec>), Failure> {
    let url = match url {
        Some(url) => url.clone(),
        None => {
            let listener = bind("127.0.0.1:0").await?;
            let addr = listener.local_addr().map_err(|err| Failure::new(Exit::Failed, err))?;
            tasks.spawn(roles::registry(listener, kafka.clone(), shutdown.clone()));
            format!("http://{addr}")
        }
    };
    let schemas = SchemaSource::registry(std::slice::from_ref(&url)).map_err(|err| Failure::new(Exit::Usage, err))?;
    let codec = Arc::new(Codec::new());
    schemas
        .register_all(&codec)
        .await
        .map_err(|err| unavailable("the schema registry", "is --registry right?")(err.to_string()))?;
    Ok((url, schemas, codec))
}

async fn embedded(args: &DemoArgs) -> Result<(Pipeline, Guard), Failure> {
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let cluster = EmbeddedCluster::start().map_err(|err| Failure::new(Exit::Failed, err))?;
    let kafka = cluster.kafka_config("quizstream-demo");
    let (_, schemas, codec) = registry(None, &kafka, &mut tasks, &shutdown).await?;
    let dir = tempfile::tempdir().map_err(|err| Failure::new(Exit::Failed, format!("no temporary folder: {err}")))?;
    let store = quiz_store::open(&StoreConfig::Embedded { dir: dir.path().to_path_buf() })
        .await
        .map_err(|err| Failure::new(Exit::Failed, err))?;
    let metrics = telemetry::metrics()?;
    let parts = |instance: String| Parts {
        kafka: kafka.with_client_id(format!("quizstream-{instance}")),
        codec: codec.clone(),
        schemas: schemas.clone(),
        store: store.clone(),
        instance,
    };
    let workers = [(Role::Sessions, 1), (Role::Scoring, args.scoring), (Role::Board, args.boards), (Role::Ledger, 1)];
    for (role, count) in workers {
        for number in 1..=count {
            let parts = parts(format!("{role:?}-{number}").to_lowercase());
            let producer = roles::worker_producer(&parts)?;
            tasks.spawn(roles::worker(role, parts, producer, shutdown.clone()));
        }
    }
    let secret: String = std::iter::repeat_with(|| format!("{:016x}", rand::random::<u64>())).take(4).collect();
    let mut edges = Vec::new();
    for number in 1..=args.edges {
        let listen = if number == 1 { args.listen } else { SocketAddr::new(args.listen.ip(), 0) };
        let listener = bind(&listen.to_string()).await?;
        edges.push(listener.local_addr().map_err(|err| Failure::new(Exit::Failed, err))?);
        let edge = EdgeParts {
            listener,
            admin: bind("127.0.0.1:0").await?,
            id: format!("edge-{number}"),
            token_secret: secret.clone(),
            allowed_origins: Vec::new(),
            allow_missing_origin: true,
            trusted_proxies: Vec::new(),
            connections_max: 20_000,
            linger_ms: BUSY_LINGER_MS,
            bots_welcome: true,
            conformance: false,
        };
        tasks.spawn(roles::edge(edge, parts(format!("edge-{number}")), metrics.clone(), shutdown.clone()));
    }
    let description = format!(
        "embedded cluster and store in this process: {} edge, 1 session worker, {} scoring workers, {} board projection, 1 ledger",
        args.edges, args.scoring, args.boards
    );
    let guard = Guard { shutdown, tasks, processes: None, cluster: Some(cluster), dir: Some(dir) };
    Ok((Pipeline { kafka, codec, schemas, store, edges, description }, guard))
}

async fn on_servers(args: &DemoArgs, program: &Path, brokers: &str, mongo: &str) -> Result<(Pipeline, Guard), Failure> {
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let kafka = KafkaConfig::new(brokers, "quizstream-demo");
    topics::apply(&kafka, &ApplyOptions::default())
        .await
        .map_err(|err| unavailable("Kafka", "is --brokers right?")(err.to_string()))?;
    let (registry_url, schemas, codec) = registry(args.registry.as_ref(), &kafka, &mut tasks, &shutdown).await?;
    let failed = |err: quiz_store::StoreError| unavailable("MongoDB", "is --mongo right?")(err.to_string());
    let database = Config::default().mongo.database;
    let store = MongoStore::connect(mongo, &database, MongoOptions::default()).await.map_err(failed)?;
    store.apply_layout(false).await.map_err(failed)?;
    let mut processes = Processes::new(program, brokers, mongo, &registry_url);
    let edges = processes.start(args).await?;
    let description = format!(
        "Kafka at {brokers}, MongoDB at {}: processes {}",
        mongo.split('@').next_back().unwrap_or(mongo),
        processes.names().join(", ")
    );
    let guard = Guard { shutdown, tasks, processes: Some(processes), cluster: None, dir: None };
    Ok((Pipeline { kafka, codec, schemas, store: Arc::new(store), edges, description }, guard))
}

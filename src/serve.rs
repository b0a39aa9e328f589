//! `serve`: one or more roles in this process until a signal ends them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quiz_schemas::Codec;
use quiz_store::StoreConfig;
use quiz_stream::{KafkaConfig, Producer, SchemaSource};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::{Role, ServeArgs};
use crate::config::{Config, list};
use crate::exit::{Exit, Failure, unavailable};
use crate::telemetry;

mod admin_port;
pub mod roles;

pub use roles::{EdgeParts, Parts};

/// How long a server may take to answer before a role gives up starting.
const START_WAIT: Duration = Duration::from_secs(60);
const START_RETRY: Duration = Duration::from_millis(500);

/// The runtime of a command.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|err| Failure::new(Exit::Failed, format!("no threads: {err}")))
}

/// Runs the command.
///
/// # Errors
/// When a role cannot start, or ends by itself.
pub fn run(file: Option<&PathBuf>, args: ServeArgs) -> Result<(), Failure> {
    let mut overrides = Vec::new();
    if let Some(listen) = args.listen {
        overrides.push(("edge.listen", listen.to_string()));
        if args.roles == [Role::Registry] {
            overrides.push(("registry.listen", listen.to_string()));
        }
    }
    if let Some(listen) = args.admin_listen {
        overrides.push(("admin.listen", listen.to_string()));
    }
    let config = Config::load(file, &overrides)?;
    let roles = expand(&args.roles);
    if roles.contains(&Role::Edge) {
        config.token_secret()?;
    }
    telemetry::logs("warn,quizstream=info,rdkafka=off,librdkafka=off");
    runtime()?.block_on(serve(config, roles, args.instance))
}

fn expand(roles: &[Role]) -> Vec<Role> {
    let mut expanded: Vec<Role> = Vec::new();
    for role in roles {
        let each: &[Role] = match role {
            Role::All => &[Role::Sessions, Role::Scoring, Role::Board, Role::Ledger, Role::Edge],
            one => std::slice::from_ref(one),
        };
        for role in each {
            if !expanded.contains(role) {
                expanded.push(*role);
            }
        }
    }
    expanded
}

async fn serve(config: Config, roles: Vec<Role>, instance: Option<String>) -> Result<(), Failure> {
    let instance = instance.unwrap_or_else(|| format!("{:08x}", rand::random::<u32>()));
    let metrics = telemetry::metrics()?;
    let shutdown = CancellationToken::new();
    signals(shutdown.clone())?;
    let kafka = KafkaConfig::new(&config.kafka.bootstrap_servers, format!("quizstream-{instance}"));
    let mut tasks = JoinSet::new();
    if roles.contains(&Role::Registry) {
        let listener = bind(&config.registry.listen).await?;
        say("registry", &listener);
        tasks.spawn(roles::registry(listener, kafka.clone(), shutdown.clone()));
    }
    let others: Vec<Role> = roles.iter().copied().filter(|role| *role != Role::Registry).collect();
    if others.is_empty() {
        let admin = bind(&config.admin.listen).await?;
        tasks.spawn(admin_port::serve(admin, metrics, None, shutdown.clone()));
    } else {
        let parts = parts(&config, kafka, instance.clone()).await?;
        let workers: Vec<Role> = others.iter().copied().filter(|role| *role != Role::Edge).collect();
        let mut shared = None;
        for role in workers {
            let producer = match &shared {
                Some(producer) => Producer::clone(producer),
                None => shared.insert(roles::worker_producer(&parts)?).clone(),
            };
            tasks.spawn(roles::worker(role, parts.clone(), producer, shutdown.clone()));
        }
        let admin = bind(&config.admin.listen).await?;
        say("admin", &admin);
        if others.contains(&Role::Edge) {
            let listener = bind(&config.edge.listen).await?;
            say("edge", &listener);
            let edge = edge_parts(&config, &instance, listener, admin)?;
            tasks.spawn(roles::edge(edge, parts, metrics, shutdown.clone()));
        } else {
            tasks.spawn(admin_port::serve(admin, metrics, shared, shutdown.clone()));
        }
    }
    supervise(tasks, shutdown).await
}

/// Waits for the roles; the first that ends by itself ends the others.
pub async fn supervise(mut tasks: JoinSet<Result<(), Failure>>, shutdown: CancellationToken) -> Result<(), Failure> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|err| Err(Failure::new(Exit::Failed, format!("a role panicked: {err}"))));
        if !shutdown.is_cancelled() && ended.is_ok() {
            tracing::error!("a role ended by itself");
        }
        shutdown.cancel();
        if result.is_ok() {
            result = ended;
        }
    }
    result
}

async fn parts(config: &Config, kafka: KafkaConfig, instance: String) -> Result<Parts, Failure> {
    let codec = Arc::new(Codec::new());
    let schemas = SchemaSource::registry(std::slice::from_ref(&config.registry.url))
        .map_err(|err| Failure::new(Exit::Usage, err))?;
    patiently("the schema registry", "registry.url says where it is; `quizstream serve registry` is one", || async {
        schemas.register_all(&codec).await.map_err(|err| err.to_string())
    })
    .await?;
    let mongo = StoreConfig::Mongo { uri: config.mongo.uri.clone(), database: config.mongo.database.clone() };
    let store = patiently("MongoDB", "mongo.uri says where it is", || async {
        quiz_store::open(&mongo).await.map_err(|err| err.to_string())
    })
    .await?;
    Ok(Parts { kafka, codec, schemas, store, instance })
}

/// Asks a server until it answers: roles may start before the servers that they need.
async fn patiently<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    hint: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T, Failure> {
    let deadline = tokio::time::Instant::now() + START_WAIT;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(err) if tokio::time::Instant::now() >= deadline => return Err(unavailable(what, hint)(err)),
            Err(err) => tracing::warn!(%err, "{what} does not answer yet"),
        }
        tokio::time::sleep(START_RETRY).await;
    }
}

fn edge_parts(
    config: &Config,
    instance: &str,
    listener: TcpListener,
    admin: TcpListener,
) -> Result<EdgeParts, Failure> {
    let id = if config.edge.id.is_empty() { format!("edge-{instance}") } else { config.edge.id.clone() };
    Ok(EdgeParts {
        listener,
        admin,
        id,
        token_secret: config.token_secret()?.to_string(),
        allowed_origins: list(&config.edge.allowed_origins),
        allow_missing_origin: config.edge.allow_missing_origin,
        trusted_proxies: proxies(&config.edge.trusted_proxies)?,
        connections_max: config.edge.connections_max,
        linger_ms: config.edge.linger_ms,
        bots_welcome: config.edge.bots_welcome,
        conformance: config.edge.conformance,
    })
}

fn proxies(text: &str) -> Result<Vec<std::net::IpAddr>, Failure> {
    let parse = |entry: String| {
        entry
            .parse()
            .map_err(|_| Failure::new(Exit::Usage, format!("edge.trusted_proxies has {entry:?}, not an address")))
    };
    list(text).into_iter().map(parse).collect()
}

/// Opens a port.
///
/// # Errors
/// When it is taken.
pub async fn bind(addr: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(addr).await.map_err(|err| {
        Failure::new(Exit::Failed, format!("cannot listen on {addr}: {err}")).hint("port 0 picks a free one")
    })
}

fn say(what: &str, listener: &TcpListener) {
    if let Ok(addr) = listener.local_addr() {
        // For scripts that start us on port 0.
        println!("{what} listens on {addr}");
    }
}

/// The first SIGTERM or SIGINT drains; a second ends the process at once.
fn signals(shutdown: CancellationToken) -> Result<(), Failure> {
    let failed = |err: std::io::Error| Failure::new(Exit::Failed, format!("signals cannot be caught: {err}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}

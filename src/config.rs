//! The configuration: raw from flags, environment and file, then validated before any port opens.
//!
//! Strongest first: flag, environment (`QUIZ_SECTION__KEY`), file, built-in default. Every secret
//! can come from a file by `…_FILE`.

use std::net::SocketAddr;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use quiz_stream::producer::BUSY_LINGER_MS;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

mod print;
pub use print::{check, print};

/// The prefix of environment variables.
pub const ENV_PREFIX: &str = "QUIZ_";

/// Where Kafka is.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KafkaSection {
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// How often each partition is kept, for `topics apply`.
    pub replication_factor: i32,
}

/// Where MongoDB is.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MongoSection {
    /// `mongodb://…` of the routers.
    pub uri: String,
    /// The database.
    pub database: String,
}

/// Where the schema registry is, and where our own one listens.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RegistrySection {
    /// `http://host:port`.
    pub url: String,
    /// Where `serve registry` listens.
    pub listen: String,
}

/// Where Redis is.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RedisSection {
    /// `redis://host:port`. Reserved for the shared cache; nothing reads it yet.
    pub url: String,
}

/// An edge.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct EdgeSection {
    /// Where players connect.
    pub listen: String,
    /// Its name in records; a random one when empty.
    pub id: String,
    /// Signs tokens; at least 32 bytes, the same on every edge.
    pub token_secret: String,
    /// A file that holds `token_secret`.
    pub token_secret_file: Option<PathBuf>,
    /// Origins, comma-separated, whose pages may connect besides our own.
    pub allowed_origins: String,
    /// Whether a client that names no origin may connect: programs do not, browsers always do. Where only
    /// browsers play, `false` turns programs away that do not even pretend to be one.
    pub allow_missing_origin: bool,
    /// Addresses, comma-separated, whose `X-Forwarded-For` is believed.
    pub trusted_proxies: String,
    /// The most sockets at once.
    pub connections_max: usize,
    /// How long an answer may wait for company while there are many, ms: none of it below 1,000 a second
    /// at an edge, and the more the more there are. 0: each goes at once.
    pub linger_ms: u32,
    /// Lifts the limits on joins and games from one address: for demos and load tests on one
    /// machine.
    pub bots_welcome: bool,
    /// Echoes what a socket without a subprotocol sends, for conformance suites: never with players.
    pub conformance: bool,
}

/// The admin port: health, metrics, version.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AdminSection {
    /// Where it listens; port 0 picks a free one.
    pub listen: String,
}

/// All of it, as written.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Kafka.
    pub kafka: KafkaSection,
    /// MongoDB.
    pub mongo: MongoSection,
    /// The registry.
    pub registry: RegistrySection,
    /// Redis.
    pub redis: RedisSection,
    /// Edges.
    pub edge: EdgeSection,
    /// The admin port.
    pub admin: AdminSection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kafka: KafkaSection { bootstrap_servers: "127.0.0.1:9092".into(), replication_factor: 1 },
            mongo: MongoSection { uri: "mongodb://127.0.0.1:27017".into(), database: "quizstream".into() },
            registry: RegistrySection { url: "http://127.0.0.1:8081".into(), listen: "127.0.0.1:8081".into() },
            redis: RedisSection { url: "redis://127.0.0.1:6379".into() },
            edge: EdgeSection {
                listen: "127.0.0.1:8080".into(),
                id: String::new(),
                token_secret: String::new(),
                token_secret_file: None,
                allowed_origins: String::new(),
                allow_missing_origin: true,
                trusted_proxies: String::new(),
                connections_max: 18_000,
                linger_ms: BUSY_LINGER_MS,
                bots_welcome: false,
                conformance: false,
            },
            admin: AdminSection { listen: "127.0.0.1:0".into() },
        }
    }
}

/// The layers, weakest first. `overrides` are `section.key` and value, from flags.
pub fn figment(file: Option<&PathBuf>, overrides: &[(&str, String)]) -> Figment {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = file {
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Env::prefixed(ENV_PREFIX).filter(|key| key.as_str().contains("__")).split("__"));
    for (key, value) in overrides {
        figment = figment.merge((*key, value.clone()));
    }
    figment
}

impl Config {
    /// Reads and validates it.
    ///
    /// # Errors
    /// Names the key that is wrong, and the nearest known one.
    pub fn load(file: Option<&PathBuf>, overrides: &[(&str, String)]) -> Result<Self, Failure> {
        if let Some(path) = file.filter(|path| !path.exists()) {
            return Err(Failure::new(Exit::NotFound, format!("there is no file {}", path.display())));
        }
        let mut config: Config = figment(file, overrides).extract().map_err(|err| print::explain(&err))?;
        if let Some(path) = &config.edge.token_secret_file {
            config.edge.token_secret = std::fs::read_to_string(path)
                .map_err(|err| Failure::new(Exit::Usage, format!("{} cannot be read: {err}", path.display())))?
                .trim()
                .to_string();
        }
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), Failure> {
        for (key, value) in [
            ("edge.listen", &self.edge.listen),
            ("admin.listen", &self.admin.listen),
            ("registry.listen", &self.registry.listen),
        ] {
            value.parse::<SocketAddr>().map_err(|_| {
                Failure::new(Exit::Usage, format!("{key} is {value:?}, not an address"))
                    .hint("write it as 127.0.0.1:8080 or [::]:8080")
            })?;
        }
        for (key, value, scheme) in [
            ("mongo.uri", &self.mongo.uri, "mongodb"),
            ("registry.url", &self.registry.url, "http"),
            ("redis.url", &self.redis.url, "redis"),
        ] {
            if !value.starts_with(scheme) || !value.contains("://") {
                return Err(Failure::new(Exit::Usage, format!("{key} is {value:?}"))
                    .hint(format!("it begins with {scheme}://")));
            }
        }
        if self.kafka.bootstrap_servers.trim().is_empty() {
            return Err(Failure::new(Exit::Usage, "kafka.bootstrap_servers is empty").hint("write it as host:port,…"));
        }
        Ok(())
    }

    /// The secret that signs tokens.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub fn token_secret(&self) -> Result<&str, Failure> {
        if self.edge.token_secret.len() < 32 {
            return Err(Failure::new(Exit::Usage, "edge.token_secret has less than 32 bytes")
                .hint("set QUIZ_EDGE__TOKEN_SECRET or QUIZ_EDGE__TOKEN_SECRET_FILE, the same on every edge"));
        }
        Ok(&self.edge.token_secret)
    }
}

/// The entries of a comma-separated list.
pub fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(String::from).collect()
}

#[cfg(test)]
// figment's own error type is what its jail wants.
#[allow(clippy::result_large_err)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("q.toml", "[mongo]\ndatabase = \"file\"\n[kafka]\nbootstrap_servers = \"file:1\"\n")?;
            jail.set_env("QUIZ_KAFKA__BOOTSTRAP_SERVERS", "env:2");
            let file = PathBuf::from("q.toml");
            let config = Config::load(Some(&file), &[("edge.listen", "127.0.0.1:1".into())]).expect("it is right");
            assert_eq!(config.mongo.database, "file");
            assert_eq!(config.kafka.bootstrap_servers, "env:2");
            assert_eq!(config.edge.listen, "127.0.0.1:1");
            Ok(())
        });
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        figment::Jail::expect_with(|jail| {
            jail.set_env("QUIZ_KAFKA__BOOTSTRAP_SERVER", "x:1");
            let failure = Config::load(None, &[]).expect_err("the key is unknown");
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.hint.as_deref().unwrap_or("").contains("bootstrap_servers"), "{failure:?}");
            Ok(())
        });
    }

    #[test]
    fn a_secret_comes_from_a_file_and_a_short_one_is_refused() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("secret", "0123456789012345678901234567890123456789\n")?;
            jail.set_env("QUIZ_EDGE__TOKEN_SECRET_FILE", "secret");
            let config = Config::load(None, &[]).expect("it is right");
            assert_eq!(config.token_secret().expect("it is long enough").len(), 40);
            jail.set_env("QUIZ_EDGE__TOKEN_SECRET_FILE", "nowhere");
            assert!(Config::load(None, &[]).is_err());
            Ok(())
        });
        assert!(Config::default().token_secret().is_err());
    }

    #[test]
    fn programs_without_an_origin_are_let_in_unless_told_otherwise() {
        figment::Jail::expect_with(|jail| {
            let config = Config::load(None, &[]).expect("it is right");
            let edge = quiz_ingest::EdgeConfig::new([1; 32]);
            assert_eq!(config.edge.allow_missing_origin, edge.allow_missing_origin, "one default");
            assert!(config.edge.allow_missing_origin);
            jail.set_env("QUIZ_EDGE__ALLOW_MISSING_ORIGIN", "false");
            assert!(!Config::load(None, &[]).expect("it is right").edge.allow_missing_origin);
            jail.set_env("QUIZ_EDGE__ALLOW_MISSING_ORIGIN", "seldom");
            let failure = Config::load(None, &[]).expect_err("neither true nor false");
            assert!(failure.message.contains("edge.allow_missing_origin"), "{failure:?}");
            Ok(())
        });
    }

    #[test]
    fn a_bad_address_is_refused() {
        let failure = Config::load(None, &[("edge.listen", "localhost".into())]).expect_err("no port");
        assert_eq!(failure.exit, Exit::Usage);
    }
}

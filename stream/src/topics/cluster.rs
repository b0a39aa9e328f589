use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Action, Difference, TopicChange, TopicDescription, TopicsError, wanted};
use crate::config::KafkaConfig;

/// How long the cluster may take for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The cluster's side of topics.
pub(super) struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    embedded: bool,
}

impl Admin {
    pub(super) fn connect(config: &KafkaConfig) -> Result<Self, TopicsError> {
        Ok(Self { client: Arc::new(config.client().create()?), embedded: config.embedded })
    }

    pub(super) async fn describe(&self) -> Result<Vec<TopicDescription>, TopicsError> {
        let ours: Vec<String> = wanted(1).into_iter().map(|topic| topic.name).collect();
        let client = Arc::clone(&self.client);
        let metadata = tokio::task::spawn_blocking(move || client.inner().fetch_metadata(None, REQUEST_TIMEOUT))
            .await
            .map_err(|_| KafkaError::Canceled)??;
        let mut found: Vec<TopicDescription> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && ours.iter().any(|name| name == topic.name()))
            .map(|topic| TopicDescription {
                name: topic.name().to_string(),
                partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
                replication_factor: topic.partitions().first().map_or(0, |p| p.replicas().len() as i32),
                config: BTreeMap::new(),
            })
            .collect();
        found.sort_by_key(|topic| ours.iter().position(|name| *name == topic.name));
        if !self.embedded && !found.is_empty() {
            self.describe_configs(&mut found).await?;
        }
        Ok(found)
    }

    async fn describe_configs(&self, topics: &mut [TopicDescription]) -> Result<(), TopicsError> {
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let mut entries = self.configs(&names).await?;
        let wanted = wanted(1);
        for topic in topics {
            let cared_for = wanted.iter().find(|wanted| wanted.name == topic.name).map(|wanted| &wanted.config);
            topic.config = entries
                .remove(&topic.name)
                .into_iter()
                .flatten()
                .filter(|entry| cared_for.is_some_and(|config| config.contains_key(&entry.name)))
                .filter_map(|entry| entry.value.map(|value| (entry.name, value)))
                .collect();
        }
        Ok(())
    }

    /// All options of these topics, by name.
    async fn configs(&self, names: &[String]) -> Result<BTreeMap<String, Vec<ConfigEntry>>, TopicsError> {
        let specifiers: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = self.client.describe_configs(&specifiers, &options()).await?;
        let mut entries = BTreeMap::new();
        for resource in described {
            let resource = resource.map_err(KafkaError::AdminOp)?;
            if let OwnedResourceSpecifier::Topic(name) = resource.specifier {
                entries.insert(name, resource.entries);
            }
        }
        Ok(entries)
    }

    /// Carries out what is marked as done.
    pub(super) async fn carry_out(&self, changes: &[TopicChange]) -> Result<(), TopicsError> {
        let mut missing = Vec::new();
        let mut options: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.action == Action::Done) {
            match &change.difference {
                Difference::Missing { wanted } => missing.push(wanted),
                Difference::Option { option, wanted, .. } => {
                    options.entry(change.topic.clone()).or_default().insert(option.clone(), wanted.clone());
                }
                Difference::Partitions { .. } => {}
            }
        }
        match missing.first() {
            Some(topic) if self.embedded => return Err(TopicsError::Embedded(topic.name.clone())),
            Some(_) => self.create(&missing).await?,
            None => {}
        }
        if options.is_empty() { Ok(()) } else { self.alter(options).await }
    }

    async fn create(&self, topics: &[&TopicDescription]) -> Result<(), TopicsError> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(topic.replication_factor);
                let new = NewTopic::new(&topic.name, topic.partitions, replication);
                topic.config.iter().fold(new, |new, (option, value)| new.set(option, value))
            })
            .collect();
        for created in self.client.create_topics(&new, &options()).await? {
            match created {
                // Another process was faster.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicsError::Refused { topic, code }),
            }
        }
        Ok(())
    }

    /// The request resets what it does not name, so the topic's own options go along.
    async fn alter(&self, mut changed: BTreeMap<String, BTreeMap<String, String>>) -> Result<(), TopicsError> {
        let names: Vec<String> = changed.keys().cloned().collect();
        for (name, entries) in self.configs(&names).await? {
            let options = changed.entry(name).or_default();
            for entry in entries {
                if let (ConfigSource::DynamicTopic, Some(value)) = (entry.source, entry.value) {
                    options.entry(entry.name).or_insert(value);
                }
            }
        }
        let configs: Vec<AlterConfig<'_>> = changed
            .iter()
            .map(|(name, options)| {
                let config = AlterConfig::new(ResourceSpecifier::Topic(name));
                options.iter().fold(config, |config, (option, value)| config.set(option, value))
            })
            .collect();
        for altered in self.client.alter_configs(&configs, &options()).await? {
            altered.map_err(|(specifier, code)| TopicsError::Refused { topic: topic_name(specifier), code })?;
        }
        Ok(())
    }
}

fn topic_name(specifier: OwnedResourceSpecifier) -> String {
    match specifier {
        OwnedResourceSpecifier::Topic(name) | OwnedResourceSpecifier::Group(name) => name,
        OwnedResourceSpecifier::Broker(id) => format!("broker {id}"),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

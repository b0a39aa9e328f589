//! Goal: every difference between the cluster's topics and the table is told, and only what may be
//! changed is. Method: the differences are a pure function, checked on topics bent by hand; the
//! embedded cluster shows that its topics are right.

use quiz_schemas::Topic;
use quiz_stream::EmbeddedCluster;
use quiz_stream::topics::{self, Action, ApplyOptions, Difference, TopicDescription, TopicsError};

fn found(bend: impl FnOnce(&mut Vec<TopicDescription>)) -> Vec<TopicDescription> {
    let mut found = topics::wanted(1);
    bend(&mut found);
    found
}

fn only(found: &[TopicDescription]) -> (String, Difference) {
    let mut differences = topics::differences(found, 1);
    assert_eq!(differences.len(), 1, "{differences:?}");
    differences.remove(0)
}

#[test]
fn topics_as_in_the_table_do_not_differ() {
    assert_eq!(topics::differences(&found(|_| {}), 1), []);
    assert_eq!(topics::wanted(1).len(), Topic::ALL.len() * 2);
    assert_eq!(topics::differences(&[], 3).len(), Topic::ALL.len() * 2);
}

#[test]
fn the_table_says_how_each_topic_forgets() {
    let wanted = topics::wanted(3);
    let option = |topic: &str, option: &str| {
        let topic = wanted.iter().find(|t| t.name == topic).expect(topic);
        topic.config.get(option).cloned()
    };
    assert_eq!(option("quiz.results.v1", "retention.ms").as_deref(), Some("172800000"));
    assert_eq!(option("quiz.quizzes.v1", "cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(option("quiz.quizzes.v1", "retention.ms"), None);
    assert_eq!(option("quiz.quizzes.v1.dlq", "cleanup.policy").as_deref(), Some("delete"));
    assert!(wanted.iter().all(|topic| topic.config["message.timestamp.type"] == "LogAppendTime"));
    assert!(wanted.iter().all(|topic| topic.config["min.insync.replicas"] == "2"));
}

#[test]
fn each_kind_of_difference_is_told() {
    let (topic, difference) = only(&found(|topics| drop(topics.remove(3))));
    assert_eq!(topic, "quiz.joins.v1.dlq");
    assert!(matches!(difference, Difference::Missing { .. }));

    let (_, difference) = only(&found(|topics| topics[6].partitions = 25));
    assert_eq!(difference, Difference::Partitions { found: 25, wanted: 24 });

    let (_, difference) = only(&found(|topics| drop(topics[0].config.insert("retention.ms".into(), "1".into()))));
    let (option, wanted) = ("retention.ms".to_string(), "604800000".to_string());
    assert_eq!(difference, Difference::Option { option, found: Some("1".into()), wanted });

    let (_, difference) = only(&found(|topics| drop(topics[0].config.remove("message.timestamp.type"))));
    assert!(matches!(difference, Difference::Option { found: None, .. }));
}

#[tokio::test]
async fn the_embedded_cluster_has_every_topic() {
    let cluster = EmbeddedCluster::start().expect("a cluster");
    let config = cluster.kafka_config("admin");
    let described = topics::describe(&config).await.expect("described");
    let names =
        |topics: &[TopicDescription]| -> Vec<_> { topics.iter().map(|t| (t.name.clone(), t.partitions)).collect() };
    assert_eq!(names(&described), names(&topics::wanted(1)));
    for dry_run in [true, false] {
        let options = ApplyOptions { dry_run, ..ApplyOptions::default() };
        assert_eq!(topics::apply(&config, &options).await.expect("nothing to do"), []);
    }
}

/// Method: a bare in-process cluster with one topic, of a wrong width.
#[tokio::test]
async fn a_wrong_number_of_partitions_is_for_a_human() {
    let mock = rdkafka::mocking::MockCluster::new(1).expect("a cluster");
    mock.create_topic("quiz.joins.v1", 3, 1).expect("created");
    let mut config = quiz_stream::KafkaConfig::new(mock.bootstrap_servers(), "admin");
    config.embedded = true;
    let options = ApplyOptions { dry_run: true, alter: true, ..ApplyOptions::default() };
    let changes = topics::apply(&config, &options).await.expect("told");
    assert_eq!(changes.len(), Topic::ALL.len() * 2);
    for change in &changes {
        let expected = if change.topic == "quiz.joins.v1" { Action::NeedsHuman } else { Action::Planned };
        assert_eq!(change.action, expected, "{change:?}");
    }
    let err = topics::apply(&config, &ApplyOptions::default()).await.expect_err("it cannot create topics");
    assert!(matches!(err, TopicsError::Embedded(_)), "{err}");
    let json = serde_json::to_value(&changes[1]).expect("printable");
    assert_eq!(json["difference"]["kind"], "missing");
}

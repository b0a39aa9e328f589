//! Creates games.

use std::time::Duration;

use quiz_ingest::http::{CreateRequest, CreateSettings, Created};
use quiz_schemas::quiz::Quiz;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep};

use super::backoff::{Backoff, Hint};
use super::choices::Dice;
use super::link::Way;
use super::socket::retry_after;
use crate::exit::{Exit, Failure};

/// How long an edge may take to answer.
const REPLY_WAIT: Duration = Duration::from_secs(10);

/// Creates a game, at whichever edge answers.
///
/// # Errors
/// When an edge refuses it, or none answers for as long as `way` is patient.
pub async fn create(way: &Way, quiz: &Quiz, capacity: u32) -> Result<Created, Failure> {
    let failed = |err: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("no game can be asked for: {err}"));
    let client = reqwest::Client::builder().timeout(REPLY_WAIT).build().map_err(|err| failed(&err))?;
    let capacity = i32::try_from(capacity).unwrap_or(i32::MAX);
    let quiz = serde_json::to_value(quiz).map_err(|err| failed(&err))?;
    let settings = CreateSettings { capacity: Some(capacity), ..CreateSettings::default() };
    let request = CreateRequest { quiz, settings };
    let deadline = Instant::now() + way.patience;
    let mut backoff = Backoff::new(Dice::new(u64::from(rand::random::<u32>()), 0, 0));
    for edge in way.edges.iter().cycle() {
        let (why, hint) = match ask(&client, &format!("http://{edge}/v1/games"), &request).await {
            Ok(Ok(created)) => return Ok(created),
            // The edge says that it could not log the game: it may in a moment, or another can.
            Ok(Err((StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT, text, hint))) => (text, hint),
            Ok(Err((status, text, _))) => {
                return Err(Failure::new(Exit::Failed, format!("the edge refused the game: {status} {text}")));
            }
            Err(err) => (err.to_string(), None),
        };
        if Instant::now() >= deadline {
            return Err(Failure::new(Exit::Unavailable, format!("the edge does not answer: {why}"))
                .hint("its log says why; is its port free?"));
        }
        sleep(backoff.next(Hint::after(hint.unwrap_or_default()))).await;
    }
    Err(Failure::new(Exit::Usage, "there is no edge to ask"))
}

type Answered = Result<Created, (StatusCode, String, Option<Duration>)>;

async fn ask(client: &reqwest::Client, url: &str, request: &CreateRequest) -> Result<Answered, reqwest::Error> {
    let response = client.post(url).json(request).send().await?;
    let status = response.status();
    let hint = retry_after(response.headers());
    if status.is_success() {
        return Ok(Ok(response.json().await?));
    }
    Ok(Err((status, response.text().await?, hint)))
}

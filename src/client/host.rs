//! A game's host: opens question after question, waits for each board, ends the game. What it asks
//! for is asked again, at any edge, until its effect is seen; asking twice is safe, since a command
//! names its question.

use std::time::Duration;

use quiz_ingest::protocol::{Board, ClientMessage, Command, ErrorCode, ErrorMessage, HostAction, Over, ServerMessage};
use quiz_schemas::QuestionNo;
use quiz_schemas::events::CommandRejection;
use tokio::time::{Instant, timeout_at};

use super::choices::Dice;
use super::feed::Feed;
use super::link::{Happening, Hello, Link, LinkError, Way};
use crate::exit::{Exit, Failure};

/// A command whose effect is not seen is sent again after this.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Told of all that happens on the host's link.
pub type Watch = Box<dyn FnMut(&Happening, &Feed) + Send>;

/// A host.
pub struct Host {
    link: Link,
    /// How long an effect may take beyond the question's own time.
    patience: Duration,
    commands: u32,
    asked: Option<Asked>,
    watch: Option<Watch>,
}

/// What the host asked for and has not seen.
struct Asked {
    message: ClientMessage,
    again_at: Instant,
}

impl Host {
    /// A host of the game that `token` names. It comes to `way`'s first edge.
    #[must_use]
    pub fn new(way: Way, token: String) -> Self {
        let patience = way.patience;
        let dice = Dice::new(u64::from(rand::random::<u32>()), u32::MAX, 0);
        let link = Link::new(way, Hello::Host { token }, 0, dice);
        Self { link, patience, commands: 0, asked: None, watch: None }
    }

    /// The same, watched.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Comes to an edge.
    ///
    /// # Errors
    /// When none takes it for the host.
    pub async fn enter(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.patience;
        while !self.link.is_open() {
            self.next(deadline).await?;
        }
        Ok(())
    }

    /// Opens question `no` and waits for its board.
    ///
    /// # Errors
    /// When no edge answers, or the board does not come in time.
    pub async fn ask(&mut self, no: QuestionNo, limit: Duration) -> Result<Board, Failure> {
        let deadline = Instant::now() + limit + self.patience;
        self.command(HostAction::Open { question: Some(no) });
        loop {
            match self.next(deadline).await? {
                Some(ServerMessage::Question(question)) if question.question == no => self.asked = None,
                Some(ServerMessage::Board(board)) if board.question == no => {
                    self.asked = None;
                    return Ok(board);
                }
                Some(ServerMessage::Over(_)) => {
                    let message = format!("the game ended before the board of question {}", no + 1);
                    return Err(Failure::new(Exit::Failed, message));
                }
                _ => {}
            }
        }
    }

    /// Ends the game and waits for the podium.
    ///
    /// # Errors
    /// When no edge answers in time.
    pub async fn end(&mut self) -> Result<Over, Failure> {
        let deadline = Instant::now() + self.patience;
        self.command(HostAction::End);
        loop {
            if let Some(ServerMessage::Over(over)) = self.next(deadline).await? {
                self.asked = None;
                return Ok(over);
            }
        }
    }

    /// Keeps its seat until `until` is done.
    ///
    /// # Errors
    /// When its seat is lost for good.
    pub async fn rest<T>(&mut self, until: impl Future<Output = T>) -> Result<T, Failure> {
        let mut until = std::pin::pin!(until);
        loop {
            let far = Instant::now() + self.patience;
            tokio::select! {
                done = &mut until => return Ok(done),
                happening = timeout_at(far, self.link.next()) => {
                    if let Ok(happening) = happening {
                        self.on_link(happening)?;
                    }
                }
            }
        }
    }

    fn command(&mut self, action: HostAction) {
        self.commands += 1;
        let id = smol_str::format_smolstr!("c{}", self.commands);
        self.asked = Some(Asked { message: ClientMessage::Command(Command { id, action }), again_at: Instant::now() });
    }

    /// Says what is asked for when it is time, and gives the next message if one came.
    async fn next(&mut self, deadline: Instant) -> Result<Option<ServerMessage>, Failure> {
        let now = Instant::now();
        if let Some(asked) = self.asked.as_mut().filter(|asked| self.link.is_open() && asked.again_at <= now) {
            asked.again_at = now + ASK_AGAIN;
            self.link.send(&asked.message).await;
        }
        let again_at = self.asked.as_ref().filter(|_| self.link.is_open()).map(|asked| asked.again_at);
        let wake = again_at.map_or(deadline, |at| at.min(deadline));
        let Ok(happening) = timeout_at(wake, self.link.next()).await else {
            if Instant::now() < deadline {
                return Ok(None);
            }
            return Err(Failure::new(Exit::Failed, "what the host waits for did not come in time")
                .hint("RUST_LOG=info shows what each role does"));
        };
        self.on_link(happening)
    }

    fn on_link(&mut self, happening: Result<Happening, LinkError>) -> Result<Option<ServerMessage>, Failure> {
        let happening =
            happening.map_err(|err| Failure::new(Exit::Unavailable, format!("the host lost its seat: {err}")))?;
        if let Some(watch) = &mut self.watch {
            watch(&happening, self.link.feed());
        }
        match happening {
            Happening::Entered { .. } => {
                if let Some(asked) = &mut self.asked {
                    asked.again_at = Instant::now();
                }
                Ok(None)
            }
            Happening::Heard { message, .. } => match *message {
                ServerMessage::Error(error) => self.on_error(&error).map(|()| None),
                message => Ok(Some(message)),
            },
            Happening::Stale { .. } | Happening::Lost { .. } => Ok(None),
        }
    }

    fn on_error(&mut self, error: &ErrorMessage) -> Result<(), Failure> {
        match error.code {
            ErrorCode::Unavailable | ErrorCode::RateLimited => {
                if let Some(asked) = &mut self.asked {
                    let wait = Duration::from_millis(u64::from(error.retry_after_ms.unwrap_or(200)));
                    asked.again_at = Instant::now() + wait;
                }
                Ok(())
            }
            // What was asked for twice has happened already: its effect is on the way.
            ErrorCode::CommandRefused if error.reason != Some(CommandRejection::BadQuiz) => Ok(()),
            _ => Err(Failure::new(Exit::Failed, format!("the edge refused a command: {}", error.message))),
        }
    }
}

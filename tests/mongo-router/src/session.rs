//! One client's connection: its commands, in order, and the connections to servers opened for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::cursors::{Cursors, Home};
use crate::error::{Result, RouterError};
use crate::raw;
use crate::route::Route;
use crate::topology::{Cluster, Target};
use crate::upstream::Link;
use crate::wire::{self, Form, Request, Sender};

/// How long a command waits for a primary, in place of a mongos' server selection.
const PRIMARY_WAIT_MAX: Duration = Duration::from_secs(15);
const PRIMARY_ASK_PAUSE: Duration = Duration::from_millis(100);
/// A server says with these codes that it does not lead and has done nothing.
const NOT_PRIMARY: [i64; 3] = [10107, 13435, 13436];
/// And with these that it stops or steps down; the command may have been run.
const STEPPING_DOWN: [i64; 4] = [91, 189, 11600, 11602];

/// What all clients share.
#[derive(Debug)]
pub struct Shared {
    /// The cluster behind the router.
    pub cluster: Cluster,
    /// Open cursors.
    pub cursors: Cursors,
}

/// Which servers may take a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Any shard: in its own role of a router each gives the same answer.
    Entry,
    /// The primary of this replica set and of no other.
    Only(Target),
}

/// What a command is answered with.
pub(crate) enum Answer {
    /// The reply of a server, as it came, in the session's reply buffer.
    Forwarded,
    /// A document of the router's own.
    Built(Document),
}

/// One client.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    number: usize,
    links: HashMap<Target, (String, Link)>,
    message: Vec<u8>,
    pub(crate) reply: Vec<u8>,
}

impl Session {
    /// The session of the client of that number. The number decides which shard its commands enter by.
    pub fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number, links: HashMap::new(), message: Vec::new(), reply: Vec::new() }
    }

    /// Answers a client's commands until it hangs up or breaks the protocol.
    pub async fn serve(mut self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
        while wire::read_message(&mut stream, &mut incoming, Sender::Client).await? {
            let request = Request::parse(&incoming)?;
            let built = match self.answer(&request).await {
                Ok(Answer::Forwarded) => None,
                Ok(Answer::Built(document)) => Some(document),
                Err(error) => Some(error.reply().ok_or(error)?),
            };
            if request.form == Form::MessageUnacknowledged {
                continue;
            }
            match built {
                Some(document) => {
                    wire::reply_message(&document, request.id, request.form, &mut outgoing)?;
                    stream.get_mut().write_all(&outgoing).await?;
                }
                None => stream.get_mut().write_all(&self.reply).await?,
            }
        }
        Ok(())
    }

    async fn answer(&mut self, request: &Request<'_>) -> Result<Answer> {
        let command = raw::first(request.body())?;
        let name = std::str::from_utf8(command.name)
            .map_err(|_| RouterError::Malformed { reason: "command name is not UTF-8" })?;
        refuse_unsafe(request.body())?;
        let route = Route::of(name).ok_or_else(|| RouterError::not_routed(name))?;
        if request.form == Form::Query && route != Route::Hello {
            return Err(RouterError::not_routed("commands other than hello over OP_QUERY"));
        }
        match route {
            Route::Hello => Ok(Answer::Built(self.hello(request.body())?)),
            Route::Acknowledge => Ok(Answer::Built(doc! {"ok": 1.0})),
            Route::AnyShard => self.forward(request, Way::Entry, None).await,
            Route::Cluster(name) => self.forward(request, Way::Entry, Some(name)).await,
            Route::Explain => self.explain(request).await,
            Route::GetMore => self.get_more(request).await,
            Route::KillCursors => self.kill_cursors(request).await,
            _ if request.has_sequences() => {
                Err(RouterError::bad_value(format!("{name} takes no document sequences here")))
            }
            _ => Ok(Answer::Built(self.administer(route, bson::from_slice(request.body())?).await?)),
        }
    }

    /// What a mongos of this server version says; the router answers even when no shard does.
    fn hello(&self, body: &[u8]) -> Result<Document> {
        let mut reply = doc! {
            "isWritablePrimary": true, "ismaster": true, "msg": "isdbgrid",
            "maxBsonObjectSize": 16 * 1024 * 1024, "maxMessageSizeBytes": wire::MESSAGE_BYTES_MAX as i32,
            "maxWriteBatchSize": 100_000, "localTime": bson::DateTime::now(), "logicalSessionTimeoutMinutes": 30,
            "connectionId": i64::try_from(self.number).unwrap_or(i64::MAX), "minWireVersion": 0, "maxWireVersion": 17,
            "readOnly": false, "ok": 1.0,
        };
        if raw::find(body, "helloOk")?.is_some() {
            reply.insert("helloOk", true);
        }
        Ok(reply)
    }

    /// The shard that this client's commands enter by; clients are spread over all.
    fn entries(&self) -> Vec<Target> {
        self.shared.cluster.shards_from(self.number % self.shared.cluster.shards.len())
    }

    async fn explain(&mut self, request: &Request<'_>) -> Result<Answer> {
        let explain = raw::first(request.body())?;
        if explain.kind != raw::KIND_DOCUMENT {
            return Err(RouterError::bad_value("explain takes a command"));
        }
        let inner = String::from_utf8_lossy(raw::first(explain.value)?.name).into_owned();
        // A shard that is asked to explain a cluster write routes it to itself without end.
        let name = Route::cluster_name(&inner)
            .filter(|_| matches!(inner.as_str(), "find" | "aggregate"))
            .ok_or_else(|| RouterError::not_routed(&format!("explain of {inner}")))?;
        request.forward(&mut self.message, |body, out| raw::rewrite_explain(body, name, out))?;
        self.exchange(Way::Entry).await?;
        Ok(Answer::Forwarded)
    }

    async fn get_more(&mut self, request: &Request<'_>) -> Result<Answer> {
        let id =
            raw::first(request.body())?.as_i64().ok_or_else(|| RouterError::bad_value("getMore takes a cursor id"))?;
        let home = self.shared.cursors.home(id).ok_or_else(|| RouterError::Refused {
            code: 43,
            name: "CursorNotFound",
            text: format!("cursor id {id} not found"),
        })?;
        self.forward(request, Way::Only(home.target), home.cluster.then_some("clusterGetMore")).await?;
        let ended = self.cursor_in_reply()?.is_none_or(|next| next == 0);
        if ended {
            self.shared.cursors.closed(id);
        }
        Ok(Answer::Forwarded)
    }

    async fn kill_cursors(&mut self, request: &Request<'_>) -> Result<Answer> {
        let command: Document = bson::from_slice(request.body())?;
        let ids: Vec<i64> = command.get_array("cursors").into_iter().flatten().filter_map(bson::Bson::as_i64).collect();
        // A driver names one cursor, and a mongod keeps a cluster command's cursor until it times out.
        let home = ids.iter().find_map(|id| self.shared.cursors.home(*id));
        ids.iter().for_each(|id| self.shared.cursors.closed(*id));
        self.forward(request, home.map_or(Way::Entry, |home| Way::Only(home.target)), None).await
    }

    /// Passes a command on, under another name if one is given, and remembers the cursor it opens.
    async fn forward(&mut self, request: &Request<'_>, way: Way, name: Option<&str>) -> Result<Answer> {
        request.forward(&mut self.message, |body, out| match name {
            Some(name) => raw::rewrite_command(body, name, out),
            None => raw::strip_session(body, out),
        })?;
        let target = self.exchange(way).await?;
        if let Some(id) = self.cursor_in_reply()?.filter(|id| *id != 0) {
            self.shared.cursors.opened(id, Home { target, cluster: name.is_some() });
        }
        Ok(Answer::Forwarded)
    }

    fn cursor_in_reply(&self) -> Result<Option<i64>> {
        let Some(cursor) = raw::find(wire::reply_body(&self.reply)?, "cursor")? else { return Ok(None) };
        if cursor.kind != raw::KIND_DOCUMENT {
            return Ok(None);
        }
        Ok(raw::find(cursor.value, "id")?.and_then(|id| id.as_i64()))
    }

    /// Sends a command of the router's own and decodes the reply; an error of the server is an error.
    pub(crate) async fn ask(&mut self, way: Way, command: &Document) -> Result<Document> {
        wire::command_message(command, &mut self.message)?;
        self.exchange(way).await?;
        let reply: Document = bson::from_slice(wire::reply_body(&self.reply)?)?;
        let ok = matches!(reply.get("ok"), Some(bson::Bson::Double(1.0) | bson::Bson::Int32(1)));
        if ok { Ok(reply) } else { Err(RouterError::Server(reply)) }
    }

    /// Sends the prepared message to a primary, again as long as that one says it is none, and gives
    /// the replica set that answered.
    async fn exchange(&mut self, way: Way) -> Result<Target> {
        let deadline = Instant::now() + PRIMARY_WAIT_MAX;
        loop {
            let target = self.open_link(way, deadline).await?;
            let Some((member, mut link)) = self.links.remove(&target) else { continue };
            let set = self.shared.cluster.set(target);
            let exchanged = link.exchange(&self.message, &mut self.reply).await;
            let code = match exchanged {
                Ok(()) => error_code(wire::reply_body(&self.reply)?)?,
                Err(error) => {
                    set.forget_primary(&member);
                    return Err(error);
                }
            };
            match code {
                Some(code) if NOT_PRIMARY.contains(&code) && Instant::now() < deadline => {
                    set.forget_primary(&member);
                    tokio::time::sleep(PRIMARY_ASK_PAUSE).await;
                }
                Some(code) if NOT_PRIMARY.contains(&code) || STEPPING_DOWN.contains(&code) => {
                    set.forget_primary(&member);
                    return Ok(target);
                }
                _ => {
                    self.links.insert(target, (member, link));
                    return Ok(target);
                }
            }
        }
    }

    /// Makes sure that there is an open link to a primary that may take the command, and waits for an
    /// election until the deadline. A client enters by another shard as long as its first is down.
    async fn open_link(&mut self, way: Way, deadline: Instant) -> Result<Target> {
        let candidates = match way {
            Way::Entry => self.entries(),
            Way::Only(target) => vec![target],
        };
        loop {
            for target in &candidates {
                if self.links.get(target).is_some_and(|(_, link)| !link.is_closed()) || self.connect(*target).await {
                    return Ok(*target);
                }
            }
            if Instant::now() >= deadline {
                let names: Vec<&str> =
                    candidates.iter().map(|target| self.shared.cluster.set(*target).name.as_str()).collect();
                return Err(RouterError::NoPrimary { set: names.join(", ") });
            }
            tokio::time::sleep(PRIMARY_ASK_PAUSE).await;
        }
    }

    async fn connect(&mut self, target: Target) -> bool {
        self.links.remove(&target);
        let set = self.shared.cluster.set(target);
        let Some(member) = set.primary().await else { return false };
        match Link::connect(&member).await {
            Ok(link) => {
                self.links.insert(target, (member, link));
                true
            }
            Err(_) => {
                set.forget_primary(&member);
                false
            }
        }
    }
}

/// Refuses what a mongod cannot do in the place of a mongos.
fn refuse_unsafe(command: &[u8]) -> Result<()> {
    let refuse = |code, name, text: &str| Err(RouterError::Refused { code, name, text: text.to_owned() });
    if raw::find(command, "autocommit")?.is_some() {
        return refuse(
            263,
            "OperationNotSupportedInTransaction",
            "this test router runs no multi-document transactions",
        );
    }
    // The shard that merges such a cursor aborts when another has nothing new yet.
    if raw::opens_tailable_cursor(command)? {
        return refuse(115, "CommandNotSupported", "this test router keeps no tailable cursors and change streams");
    }
    Ok(())
}

/// The code of a reply that says the whole command failed.
fn error_code(reply: &[u8]) -> Result<Option<i64>> {
    let failed = raw::find(reply, "ok")?.and_then(|ok| ok.as_i64()) == Some(0);
    if !failed {
        return Ok(None);
    }
    Ok(raw::find(reply, "code")?.and_then(|code| code.as_i64()))
}

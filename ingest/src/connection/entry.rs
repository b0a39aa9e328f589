use super::*;
use crate::limits::JOIN_RETRY_AFTER_MS;
use crate::protocol::{Cursor, Hosting, Joined};
use crate::token::Holder;
use quiz_game::nickname;
use quiz_schemas::events::{JoinRequested, PlayerConnected};

/// What a socket wants of the game that it attaches to.
#[derive(Debug)]
pub(super) enum Intent {
    Join(Arc<Seat>, Option<JoinKey>),
    Resume(Arc<Seat>),
    Host(GameId),
}

impl Connection {
    pub(super) fn on_join(&mut self, pin: Pin, nickname: &str, key: Option<JoinKey>, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::New) {
            return refuse(ErrorCode::AlreadyJoined, Replying::default(), out);
        }
        match nickname::normalise(nickname) {
            Ok(nickname) => {
                self.phase = Phase::Resolving { nickname, key };
                out.push(Action::Resolve(pin));
            }
            Err(_) => refuse(ErrorCode::NicknameInvalid, Replying::default(), out),
        }
    }

    pub(super) fn on_resolved(
        &mut self,
        around: &Surroundings,
        target: Result<Option<PinTarget>, Unresolved>,
        player: PlayerId,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Phase::Resolving { nickname, key } = &mut self.phase else { return };
        let (nickname, key) = (std::mem::take(nickname), *key);
        self.phase = Phase::New;
        match target {
            Ok(Some(PinTarget { game, lanes })) => {
                let player = key.map_or(player, |key| around.signer.player(game, key, &nickname));
                let seat = self.take_seat(around, Seat { game, player, nickname, lanes }, key, now, out);
                out.push(Action::Attach { game, role: Role::Joiner(seat.player), cursor: None });
                self.phase = Phase::Attaching(Intent::Join(seat, key));
            }
            Ok(None) => refuse(ErrorCode::PinNotFound, Replying::default(), out),
            Err(Unresolved::Unavailable) => unavailable(out),
            Err(Unresolved::RateLimited { retry_after_ms }) => {
                let error = ErrorMessage::new(ErrorCode::RateLimited, Replying::default());
                send_error(error.retry_after(retry_after_ms), out);
            }
        }
    }

    /// The seat to ask for: without a key, the undecided one when it is for the same game and name. An undecided
    /// one that is given up may have been admitted, so the log is told that nobody sits there.
    fn take_seat(
        &mut self,
        around: &Surroundings,
        wanted: Seat,
        key: Option<JoinKey>,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Arc<Seat> {
        match self.undecided.take() {
            Some(seat) if *seat == wanted => seat,
            Some(seat) if key.is_none() && seat.game == wanted.game && seat.nickname == wanted.nickname => seat,
            Some(seat) => {
                let event = self.gone(around, &seat, now.wall_us);
                out.push(Action::Append { ticket: Ticket::Presence, event: Box::new(event) });
                Arc::new(wanted)
            }
            None => Arc::new(wanted),
        }
    }

    pub(super) fn on_resume(
        &mut self,
        around: &Surroundings,
        token: &str,
        cursor: Option<Cursor>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(holder) = self.holder(around, token, now, out) else { return };
        match holder {
            Holder::Player(seat) => {
                let cursor = around.offset_of(cursor);
                out.push(Action::Attach { game: seat.game, role: Role::Player(seat.player), cursor });
                self.phase = Phase::Attaching(Intent::Resume(Arc::new(seat)));
            }
            Holder::Host { .. } => self.reject_token(out),
        }
    }

    pub(super) fn on_host(
        &mut self,
        around: &Surroundings,
        token: &str,
        cursor: Option<Cursor>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(holder) = self.holder(around, token, now, out) else { return };
        match holder {
            Holder::Host { game } => {
                out.push(Action::Attach { game, role: Role::Host, cursor: around.offset_of(cursor) });
                self.phase = Phase::Attaching(Intent::Host(game));
            }
            Holder::Player(_) => refuse(ErrorCode::NotHost, Replying::default(), out),
        }
    }

    fn holder(&mut self, around: &Surroundings, token: &str, now: Now, out: &mut Vec<Action>) -> Option<Holder> {
        if !matches!(self.phase, Phase::New) {
            refuse(ErrorCode::AlreadyJoined, Replying::default(), out);
            return None;
        }
        let holder = around.signer.verify(token, now.wall_us).ok();
        if holder.is_none() {
            self.reject_token(out);
        }
        holder
    }

    fn reject_token(&mut self, out: &mut Vec<Action>) {
        refuse(ErrorCode::TokenInvalid, Replying::default(), out);
        self.close(Close::TokenInvalid, out);
    }

    pub(super) fn on_attached(&mut self, around: &Surroundings, head: &GameHead, now: Now, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Attaching(_)) {
            return;
        }
        let Phase::Attaching(intent) = std::mem::replace(&mut self.phase, Phase::New) else { return };
        self.over = head.over;
        match intent {
            Intent::Join(..) if head.over => refuse(ErrorCode::GameOver, Replying::default(), out),
            Intent::Join(seat, key) => {
                let body = JoinRequested { player: seat.player, nickname: seat.nickname.clone() };
                let event = joins_record(around, seat.game, now.wall_us, body);
                // Nobody can have answered for a new player anywhere else.
                self.live_from = key.is_none().then_some(0);
                self.phase = Phase::Joining { seat, until_ms: now.mono_ms + JOIN_WAIT_MS };
                out.push(Action::Append { ticket: Ticket::Join, event: Box::new(event) });
            }
            Intent::Resume(seat) => {
                self.seat_player(around, seat, head, now, out);
                self.presence_tries = 0;
                self.append_presence(around, now, out);
            }
            Intent::Host(game) => {
                self.phase = Phase::Host(game);
                let GameHead { pin, title, questions, players, over: _, lobby, cursor, recovered } = head.clone();
                let cursor = Some(around.cursor_at(cursor));
                let heartbeat_ms = self.new_heartbeat(now);
                let hosting = Hosting { game, pin, title, questions, players, lobby, cursor, recovered, heartbeat_ms };
                send(ServerMessage::Hosting(hosting), out);
            }
        }
    }

    pub(super) fn on_not_attached(&mut self, why: NotAttached, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Attaching(_)) {
            return;
        }
        self.phase = Phase::New;
        match why {
            NotAttached::Unavailable => unavailable(out),
            NotAttached::Banned => self.ban(out),
            NotAttached::Busy { retry_after_ms } => {
                let error = ErrorMessage::new(ErrorCode::RateLimited, Replying::default());
                send_error(error.retry_after(retry_after_ms), out);
            }
        }
    }

    pub(super) fn on_admitted(&mut self, around: &Surroundings, head: &GameHead, now: Now, out: &mut Vec<Action>) {
        if let Phase::Joining { seat, .. } = &self.phase {
            let seat = Arc::clone(seat);
            self.seat_player(around, seat, head, now, out);
        }
    }

    fn seat_player(
        &mut self,
        around: &Surroundings,
        seat: Arc<Seat>,
        head: &GameHead,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let joined = Joined {
            game: seat.game,
            player: seat.player,
            nickname: seat.nickname.clone(),
            token: around.signer.sign(Holder::Player((*seat).clone()), now.wall_us),
            title: head.title.clone(),
            questions: head.questions,
            players: head.players,
            cursor: Some(around.cursor_at(head.cursor)),
            recovered: head.recovered,
            heartbeat_ms: self.new_heartbeat(now),
        };
        self.undecided = None;
        self.phase = Phase::Player(seat);
        send(ServerMessage::Joined(joined), out);
    }

    pub(super) fn on_refused(&mut self, reason: RefusalReason, out: &mut Vec<Action>) {
        let code = match reason {
            // A banned player's other sockets are refused whatever they wait for.
            RefusalReason::Banned => return self.ban(out),
            _ if !matches!(self.phase, Phase::Joining { .. }) => return,
            RefusalReason::NicknameTaken => ErrorCode::NicknameTaken,
            RefusalReason::Full => ErrorCode::GameFull,
            RefusalReason::GameOver => ErrorCode::GameOver,
            RefusalReason::NoGame => ErrorCode::PinNotFound,
            RefusalReason::Unknown => ErrorCode::Unavailable,
        };
        self.phase = Phase::New;
        self.undecided = None;
        refuse(code, Replying::default(), out);
    }

    fn ban(&mut self, out: &mut Vec<Action>) {
        refuse(ErrorCode::Banned, Replying::default(), out);
        self.close(Close::Kicked, out);
    }

    pub(super) fn on_join_appended(&mut self, result: Result<Position, Unavailable>, out: &mut Vec<Action>) {
        // An append that is not acknowledged may be in the log all the same, so the seat is undecided.
        if result.is_err() && matches!(self.phase, Phase::Joining { .. }) {
            self.give_up_join(out);
        }
    }

    pub(super) fn give_up_join(&mut self, out: &mut Vec<Action>) {
        if let Phase::Joining { seat, .. } = std::mem::replace(&mut self.phase, Phase::New) {
            self.undecided = Some(seat);
        }
        unavailable(out);
    }

    pub(super) fn append_presence(&mut self, around: &Surroundings, now: Now, out: &mut Vec<Action>) {
        let Phase::Player(seat) = &self.phase else { return };
        if self.over {
            return;
        }
        self.presence_tries += 1;
        let event = joins_record(around, seat.game, now.wall_us, PlayerConnected { player: seat.player });
        out.push(Action::Append { ticket: Ticket::Presence, event: Box::new(event) });
    }
}

fn unavailable(out: &mut Vec<Action>) {
    let error = ErrorMessage::new(ErrorCode::Unavailable, Replying::default());
    send_error(error.retry_after(JOIN_RETRY_AFTER_MS), out);
}

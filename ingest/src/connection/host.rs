use super::*;
use crate::limits::{APPEND_RETRY_AFTER_MS, COMMANDS_IN_FLIGHT_MAX};
use crate::protocol::{Command, HostAction};
use quiz_schemas::events::{CloseQuestion, CommandsBody, CommandsRecord, EndGame, KickPlayer, OpenQuestion};
use smol_str::SmolStr;

impl Connection {
    pub(super) fn on_command(&mut self, around: &Surroundings, command: Command, now: Now, out: &mut Vec<Action>) {
        let Command { id, action } = command;
        let replying = Replying { submission: None, id: Some(id.clone()) };
        let game = match &self.phase {
            Phase::Host(game) => *game,
            Phase::Player(_) => return refuse(ErrorCode::NotHost, replying, out),
            _ => return refuse(ErrorCode::NotJoined, replying, out),
        };
        if self.over {
            return refuse(ErrorCode::GameOver, replying, out);
        }
        if self.commands_in_flight >= COMMANDS_IN_FLIGHT_MAX {
            let error = ErrorMessage::new(ErrorCode::RateLimited, replying);
            return send_error(error.retry_after(RATE_RETRY_AFTER_MS), out);
        }
        self.commands_in_flight += 1;
        let body = CommandsBody::from(action);
        let event = CommandsRecord { game, at_us: now.wall_us, edge: around.edge.clone(), body };
        out.push(Action::Append { ticket: Ticket::Command(id), event: Box::new(AnyEvent::Commands(event)) });
    }
}

impl From<HostAction> for CommandsBody {
    fn from(action: HostAction) -> Self {
        match action {
            HostAction::Open { question } => OpenQuestion { question }.into(),
            HostAction::Close { question } => CloseQuestion { question }.into(),
            HostAction::Kick { player } => KickPlayer { player }.into(),
            HostAction::End => EndGame { reason: None }.into(),
        }
    }
}

pub(super) fn on_command_appended(id: SmolStr, result: Result<Position, Unavailable>, out: &mut Vec<Action>) {
    match result {
        Ok(_) => send(ServerMessage::Done { id }, out),
        Err(Unavailable) => {
            let error = ErrorMessage::new(ErrorCode::Unavailable, Replying { submission: None, id: Some(id) });
            send_error(error.retry_after(APPEND_RETRY_AFTER_MS), out);
        }
    }
}

//! Hostile clients, input and networks against the running product: whoever attacks is refused with the
//! right code, cheaply, and nobody else notices. One module a fault; each prints a line with its seed and
//! its figures, and has a control that shows that its check can fail. `scripts/test` starts the servers.

mod bombs;
mod frames;
mod imports;
mod injection;
mod leak;
mod nicknames;
#[path = "../support/node.rs"]
mod node;
mod origins;
mod pins;
mod raw;
mod slow;
mod stage;
mod talk;
#[path = "../support/talker.rs"]
mod talker;
mod tokens;

//! What goes wrong with the processes: they crash, sleep, are taken for dead, and have successors.

use std::collections::{BTreeMap, BTreeSet};

use quiz_stream::group::Event;

use crate::auditor::Auditor;
use crate::broker::{MemberId, Told};
use crate::member::{Kind, Member};
use crate::store::Toy;
use crate::world::World;

impl<P: Toy, A: Auditor> World<P, A> {
    /// Of two processes with one name, the older one goes.
    pub fn retire_doubles(&mut self) {
        let mut newest: BTreeMap<String, MemberId> = BTreeMap::new();
        newest.extend(self.members.values().map(|member| (member.instance.clone(), member.id)));
        let old: Vec<MemberId> =
            self.members.keys().copied().filter(|id| !newest.values().any(|new| new == id)).collect();
        old.into_iter().for_each(|id| self.crash(id));
    }

    /// Session time-outs of the dead, and transaction time-outs of those that nobody works on.
    pub fn let_time_out(&mut self) {
        for id in std::mem::take(&mut self.departed) {
            self.broker.remove(id);
        }
        let working = self.effects.iter().any(|effect| matches!(effect.kind, Kind::Transact(_)));
        if !working {
            self.broker.time_out(&mut self.rng);
        }
    }

    pub fn start_member(&mut self) {
        let running: BTreeSet<&String> = self.members.values().map(|member| &member.instance).collect();
        let names = (0..self.instances).map(|number| format!("m{number}"));
        let instance = names.into_iter().find(|name| !running.contains(name)).unwrap_or_else(|| "m0".to_string());
        self.start_as(instance);
    }

    pub fn start_as(&mut self, instance: String) {
        let id = self.next_member;
        self.next_member += 1;
        let epoch = self.broker.init(&instance);
        let mut member = Member::new(id, instance, (self.make)(), epoch);
        member.joined = self.broker.join(id);
        self.members.insert(id, member);
    }

    pub fn crash(&mut self, id: MemberId) {
        self.trace(|| format!("{id} crashes"));
        self.members.remove(&id);
        self.departed.push(id);
        let (mine, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.effects).into_iter().partition(|effect| effect.member == id);
        self.effects = others;
        for mut effect in mine {
            // Some requests were on their way already.
            let sent = !matches!(effect.kind, Kind::Load { .. } | Kind::Resolve(_) | Kind::Restore { .. });
            if sent && self.rng.chance(500) {
                effect.silent = true;
                effect.not_before_us = self.now_us + self.rng.below(600_000) as i64;
                self.effects.push(effect);
            }
        }
    }

    pub fn fault(&mut self) {
        if self.members.len() < self.instances && self.rng.chance(40) {
            self.start_member();
        }
        if self.rng.chance(20)
            && let Some(id) = self.departed.pop()
        {
            self.broker.remove(id);
        }
        if !self.rng.chance(30) {
            return;
        }
        let Some(id) = self.pick() else { return };
        match self.rng.below(9) {
            0 => {
                self.bite("crash");
                self.crash(id);
            }
            1 => {
                self.bite("drain");
                let now = self.now();
                if let Some(member) = self.members.get_mut(&id).filter(|member| !member.asleep) {
                    member.draining = true;
                    member.machine.handle(now, Event::Drain);
                    self.act(id);
                }
            }
            2 => self.members.get_mut(&id).expect("picked").asleep = true,
            3 => self.members.values_mut().for_each(|member| member.asleep = false),
            4 => self.kick(id),
            5 => self.outage = !self.outage,
            6 => self.slow_store = !self.slow_store,
            7 => self.now_us += 3_500_000,
            _ => {
                if self.broker.time_out(&mut self.rng) {
                    self.bite("transaction timed out");
                }
            }
        }
    }

    /// The group has not heard of a member for too long, whether it lives or not.
    pub fn kick(&mut self, id: MemberId) {
        if !self.broker.group.members.contains_key(&id) {
            return;
        }
        self.bite("kicked");
        self.trace(|| format!("{id} is kicked"));
        self.broker.remove(id);
        let member = self.members.get_mut(&id).expect("picked");
        member.told.push_back(Told::Lost);
        let instance = member.instance.clone();
        if member.asleep && self.rng.chance(300) {
            self.bite("two with one name");
            self.start_as(instance);
        }
    }
}

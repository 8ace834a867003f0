//! Carries out what commands ask over the control socket. The supervisor never waits for a command: each has a time limit, and one that
//! takes no answer is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use crate::ipc::{ControlAnswer, ControlRequest, GroupAnswer, GroupResult};
use crate::log::{self, messages::control as messages};
use crate::plan::fleet::{GenerationId, NotRenewable, Phase};
use crate::scoreboard::Counter;
use crate::supervisor::control_socket::{Accepted, Address, Client, Message, Progress, Renewing};
use crate::supervisor::core::Supervisor;
use crate::sys::clock::{self, Moment};

/// The most commands at a time.
const MOST: usize = 32;
/// After a connection could not be accepted, none is accepted for this time.
const PAUSE: Duration = Duration::from_secs(1);

/// A group that a request is about.
struct Asked {
    name: String,
    pools: Vec<String>,
    serving: GenerationId,
    awake: bool,
}

impl Asked {
    fn answer(self, result: GroupResult) -> GroupAnswer {
        GroupAnswer { group: self.name, pools: self.pools, result }
    }
}

impl Supervisor {
    /// Does what is due about the control socket, in each turn of the event loop.
    pub(super) fn attend_to_control_socket(&mut self) {
        let now = clock::now();
        self.adapt_control_socket(now);
        let late: Vec<u64> =
            self.control.clients.iter().filter(|(_, client)| client.until <= now).map(|(token, _)| *token).collect();
        late.into_iter().for_each(|token| self.close_command(token));
        self.answer_renewals();
    }

    /// When to look again.
    pub(super) fn control_deadline(&self, now: Moment) -> Option<Moment> {
        let address = self.control.address.as_ref().and_then(|address| address.deadline(now));
        address
            .into_iter()
            .chain(self.control.again)
            .chain(self.control.clients.values().map(|client| client.until))
            .min()
    }

    /// Opens the socket that is wanted, and closes another one.
    fn adapt_control_socket(&mut self, now: Moment) {
        let wanted = self.config.global.control_socket.as_deref();
        if let Some(other) = self.control.address.take_if(|address| Some(address.path()) != wanted) {
            other.unlink();
            if let (Some(listener), Some(token)) = (other.listener(), self.control.watched.take()) {
                self.poller.remove(listener, token);
            }
        }
        let Some(wanted) = wanted else { return };
        let address = self.control.address.get_or_insert_with(|| Address::new(wanted.to_owned()));
        if let Progress::Failed(e) = address.advance(now) {
            log::say(&messages::control_socket_not_opened(wanted.display(), e));
        }
        self.control.again.take_if(|at| *at <= now);
        if let (Some(listener), None, None) = (address.listener(), self.control.watched, self.control.again) {
            match self.poller.add_control_socket(listener) {
                Ok(token) => self.control.watched = Some(token),
                Err(e) => self.pause_control_socket(e),
            }
        }
    }

    /// Commands have connected.
    pub(super) fn accept_commands(&mut self) {
        for _ in 0..MOST {
            let Some(listener) = self.control.address.as_ref().and_then(Address::listener) else { return };
            let client = match Client::accept(listener, clock::now()) {
                Ok(Accepted::Client(client)) => Some(client),
                Ok(Accepted::Refused) => None,
                Ok(Accepted::Nobody) => return,
                Err(e) => return self.pause_control_socket(e),
            };
            self.control.told = false;
            let Some(client) = client else { continue };
            if self.control.clients.len() >= MOST {
                client.answer(&ControlAnswer::refusal("too many commands wait for an answer: try again later"));
                continue;
            }
            match self.poller.add_command(&client) {
                Ok(token) => drop(self.control.clients.insert(token, client)),
                Err(e) => client.answer(&ControlAnswer::refusal(format!("unable to wait for the request: {e}"))),
            }
        }
    }

    /// The system has no descriptor left: connections wait for a moment, so that they do not keep the event loop busy.
    fn pause_control_socket(&mut self, e: io::Error) {
        let listener = self.control.address.as_ref().and_then(Address::listener);
        if let (Some(listener), Some(token)) = (listener, self.control.watched.take()) {
            self.poller.remove(listener, token);
        }
        self.control.again = Some(clock::now() + PAUSE);
        if !std::mem::replace(&mut self.control.told, true) {
            log::say(&messages::command_not_accepted(e));
        }
    }

    /// A command has sent its request, or has gone.
    pub(super) fn hear_command(&mut self, token: u64) {
        let Some(client) = self.control.clients.get_mut(&token) else { return };
        match client.receive(clock::now()) {
            Message::Request(request) => self.carry_out_request(token, &request),
            Message::Nonsense(reason) => {
                client
                    .answer(&ControlAnswer::refusal(format!("this php-fpm does not understand the request: {reason}")));
                self.close_command(token);
            }
            Message::Gone => self.close_command(token),
            Message::Nothing => {}
        }
    }

    fn close_command(&mut self, token: u64) {
        if let Some(client) = self.control.clients.remove(&token) {
            self.poller.remove(&client, token);
        }
    }

    fn carry_out_request(&mut self, token: u64, request: &ControlRequest) {
        let groups = match self.asked_groups(request.pools()) {
            Ok(groups) => groups,
            Err(refusal) => return self.answer_command(token, &refusal),
        };
        match request {
            ControlRequest::ClearFileCaches { .. } => {
                self.clear_file_caches(&groups);
                let done = groups.into_iter().map(|asked| asked.answer(GroupResult::Done));
                let answer = ControlAnswer { error: None, groups: done.collect() };
                self.answer_command(token, &answer);
            }
            ControlRequest::Renew { .. } => self.renew_asked(token, groups),
        }
    }

    fn answer_command(&mut self, token: u64, answer: &ControlAnswer) {
        if let Some(client) = self.control.clients.get(&token) {
            client.answer(answer);
        }
        self.close_command(token);
    }

    /// The groups that serve and have one of these names, or a pool with one; all, if there is no name.
    fn asked_groups(&self, names: &BTreeSet<String>) -> Result<Vec<Asked>, ControlAnswer> {
        let mut known = BTreeSet::new();
        let mut found = Vec::new();
        for generation in self.fleet.generations().iter().filter(|g| g.serves()) {
            for group in &generation.groups {
                let of_group = names.is_empty() || names.contains(&group.name);
                let asked = |name: &&String| of_group || names.contains(*name);
                let pools: Vec<String> = group.pools.iter().map(|pool| &pool.name).filter(asked).cloned().collect();
                if !pools.is_empty() {
                    known.extend(pools.iter().cloned().chain([group.name.clone()]));
                    let (name, serving, awake) = (group.name.clone(), generation.id, group.is_awake());
                    found.push(Asked { name, pools, serving, awake });
                }
            }
        }
        match names.iter().find(|name| !known.contains(*name)) {
            Some(unknown) => {
                Err(ControlAnswer::refusal(format!("no pool or group '{unknown}' serves; nothing was done")))
            }
            None if found.is_empty() => Err(ControlAnswer::refusal("no group serves yet; nothing was done")),
            None => Ok(found),
        }
    }

    /// Raises the number that each worker compares before its next request, also those that drain.
    fn clear_file_caches(&self, groups: &[Asked]) {
        let asked: BTreeSet<&String> = groups.iter().flat_map(|asked| &asked.pools).collect();
        let pools = self.runtimes.groups().flat_map(|group| &group.spec.pools);
        let memories: BTreeSet<i32> =
            pools.filter(|pool| asked.contains(&pool.config.name)).map(|pool| pool.totals_fd).collect();
        // There may be thousands of pools: they are not looked up one by one.
        let all = self.totals.by_descriptor();
        memories.iter().filter_map(|fd| all.get(fd)).for_each(|totals| totals.add(Counter::CachesCleared, 1));
    }

    fn renew_asked(&mut self, token: u64, groups: Vec<Asked>) {
        let (mut renewing, mut answers) = (Vec::new(), Vec::new());
        for asked in groups {
            if !asked.awake {
                answers.push(asked.answer(GroupResult::Asleep));
                continue;
            }
            match self.fleet.renew_at_once(clock::now(), asked.serving) {
                Ok(old) => {
                    self.control.failures.remove(&asked.name);
                    log::say(&messages::renewal_asked(&asked.name));
                    renewing.push(Renewing { group: asked.name, pools: asked.pools, old });
                }
                Err(reason) => answers.push(asked.answer(GroupResult::Failed(not_renewable(reason).to_owned()))),
            }
        }
        if let Some(client) = self.control.clients.get_mut(&token) {
            (client.renewing, client.answers) = (renewing, answers);
        }
        self.answer_renewals();
    }

    /// Answers commands whose groups are renewed, or could not be.
    fn answer_renewals(&mut self) {
        if !self.control.clients.values().any(Client::has_request) {
            self.control.failures.clear();
            return;
        }
        let mut clients = std::mem::take(&mut self.control.clients);
        let generations = self.fleet.generations().iter().filter(|g| g.serves());
        let serving: BTreeMap<&str, GenerationId> =
            generations.flat_map(|g| g.groups.iter().map(|group| (group.name.as_str(), g.id))).collect();
        let mut answered = Vec::new();
        for (token, client) in clients.iter_mut().filter(|(_, client)| client.has_request()) {
            let mut still = Vec::new();
            for renewing in std::mem::take(&mut client.renewing) {
                match self.result_of(&renewing, &serving) {
                    None => still.push(renewing),
                    Some(result) => {
                        let Renewing { group, pools, .. } = renewing;
                        client.answers.push(GroupAnswer { group, pools, result });
                    }
                }
            }
            client.renewing = still;
            if client.renewing.is_empty() {
                answered.push((*token, ControlAnswer { error: None, groups: std::mem::take(&mut client.answers) }));
            }
        }
        self.control.clients = clients;
        answered.into_iter().for_each(|(token, answer)| self.answer_command(token, &answer));
    }

    /// How the renewal of a group has ended; `None`: not yet.
    fn result_of(
        &self,
        Renewing { group, old, .. }: &Renewing,
        serving: &BTreeMap<&str, GenerationId>,
    ) -> Option<GroupResult> {
        match serving.get(group.as_str()) {
            None => Some(GroupResult::Failed("it has ended".to_owned())),
            // Workers of the former generation may accept requests until the new one has settled.
            Some(present) if present > old => {
                let settled = self.fleet.generation(*present).is_some_and(|g| g.phase == Phase::Serving);
                settled.then_some(GroupResult::Done)
            }
            Some(present) if present < old && self.fleet.is_coming(*old) => None,
            Some(present) if present == old && self.fleet.is_being_renewed(*old) => None,
            Some(_) => {
                let reason = self.control.failures.get(group).cloned();
                let unknown = || "its new processes could not start, see the log".to_owned();
                Some(GroupResult::Failed(reason.unwrap_or_else(unknown)))
            }
        }
    }

    /// A renewal has failed: what is told to the commands that wait for it.
    pub(super) fn note_failed_renewal(&mut self, id: GenerationId, reason: &str) {
        let group = self.group_of(id);
        let awaited = |client: &Client| client.renewing.iter().any(|one| one.group == group);
        if self.control.clients.values().any(awaited) {
            self.control.failures.insert(group, reason.to_owned());
        }
    }
}

fn not_renewable(reason: NotRenewable) -> &'static str {
    match reason {
        NotRenewable::Absent => "it does not serve",
        NotRenewable::Blocked => {
            "three of its former generations still finish requests; try again when one of them has ended"
        }
    }
}

//! Steers the engine: chooses the server of every attempt and learns what became of it.
//!
//! The engine asks a callback before each attempt. Being asked again without having connected in
//! between means that the last attempt failed; being asked while connected means that the
//! connection is lost. The callback cannot tell the engine to give up, so then it tells everybody
//! else and never answers; the runtime is dropped around it.
//!
//! Everything runs on the one thread of the runtime. The engine reports its events through a queue
//! and a task of its own, hence the callback yields first: when it goes on, they are known. What it
//! says in its trace is known at once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{Auth, AuthError, Client, ClientError, ReconnectToServer, Server, ServerAddr};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::event::{ConnState, Event};
use super::failure::{self, Attempt};
use super::info::ServerInfo;
use super::login::{Login, LoginQuestion};
use super::pool::{self, Next};
use super::server::ServerEntry;
use super::shared::{Shared, lock};
use super::tls::{self, Tls};
use super::trace::Heard;
use crate::error::Error;

/// How long the user's delay callback may take before the usual wait is taken instead.
const DELAY_ANSWER: Duration = Duration::from_secs(5);

/// How long the user's login callback may take. The limit of the attempt may be shorter.
const LOGIN_ANSWER: Duration = Duration::from_secs(5);

/// How long a server that reported a fatal error has to end the connection itself.
const ERROR_GRACE: Duration = Duration::from_millis(10);

pub(super) struct Pilot {
    shared: Arc<Shared>,
    course: Mutex<Course>,
    tls: Arc<Tls>,
    /// Held while the engine is told of new servers.
    discovering: tokio::sync::Mutex<()>,
    /// Why it is all over, once it is.
    verdict: watch::Sender<Option<&'static str>>,
}

#[derive(Default)]
struct Course {
    client: Option<Client>,
    /// The attempt that the engine is making.
    attempt: Option<ServerEntry>,
    /// Counts attempts.
    attempts: u64,
    /// Why we did not even try to log in.
    refusal: Option<Error>,
    /// The connection in use.
    connected: Option<ServerEntry>,
    /// Counts connections.
    generation: u64,
    /// What the server has said about itself since it was dialled: first in the handshake.
    infos: Vec<async_nats::ServerInfo>,
    /// Errors that the server reported before we knew of the connection.
    early_errors: Vec<String>,
    /// Why the connection has to go: the server said so, or its owner.
    fatal: Option<Error>,
    stale: bool,
    read_failed: bool,
    /// Why the engine itself gave the connection up.
    cause: Option<String>,
    /// The engine has, or had until now, a connection.
    on: bool,
    /// The connection broke, rather than that the engine was told to leave it.
    broke: bool,
    /// The engine was told to leave the connection and has not done it yet.
    leaving: bool,
    /// The engine's word for the failure of the last attempt.
    client_error: Option<String>,
}

impl Course {
    /// Another address is dialled.
    fn dial(&mut self) {
        self.infos.clear();
        self.early_errors.clear();
        self.fatal = None;
        self.cause = None;
        (self.stale, self.read_failed) = (false, false);
    }
}

impl Pilot {
    pub fn new(shared: Arc<Shared>, tls: Arc<Tls>) -> Pilot {
        let verdict = watch::Sender::new(None);
        let discovering = tokio::sync::Mutex::default();
        Pilot { shared, course: Mutex::default(), tls, discovering, verdict }
    }

    /// Becomes the reason when there is no server left to try.
    pub fn verdict(&self) -> watch::Receiver<Option<&'static str>> {
        self.verdict.subscribe()
    }

    /// This is the engine from now on.
    pub fn set_client(&self, client: Client) {
        self.shared.set_statistics(client.statistics());
        lock(&self.course).client = Some(client);
    }

    /// What the server being tried is to be told about us.
    ///
    /// # Errors
    /// Ends the attempt before anything is told. The reason is kept for what becomes of it.
    pub async fn login(&self, nonce: Vec<u8>) -> std::result::Result<Auth, AuthError> {
        let (server, attempt) = {
            let course = lock(&self.course);
            (course.attempt.clone(), course.attempts)
        };
        let Some(server) = server else { return Err(AuthError::new("no attempt")) };
        let outcome = self.find_login(&server, nonce, attempt).await;
        self.refuse(attempt, outcome.as_ref().err().cloned());
        outcome.map_err(AuthError::new)
    }

    /// Notes why an attempt has no login, or that it has one.
    fn refuse(&self, attempt: u64, reason: Option<Error>) {
        let mut course = lock(&self.course);
        // It may be over, by its time limit.
        if course.attempts == attempt {
            course.refusal = reason;
        }
    }

    async fn find_login(
        &self,
        server: &ServerEntry,
        nonce: Vec<u8>,
        attempt: u64,
    ) -> std::result::Result<Auth, Error> {
        if let Some(review) = self.tls.review() {
            let unfit = |why: String| failure::unfit_certificate(server, &why);
            self.refuse(attempt, Some(unfit(tls::NO_ANSWER.into())));
            review.await.map_err(unfit)?;
            self.refuse(attempt, None);
        }
        let heard = self.heard_last();
        let (settings, ask) = self.shared.setting(|s| (s.login.clone(), s.login_callback.clone()));
        let of_url = Login::of_url(server);
        let asked = heard.as_ref().is_none_or(|heard| heard.auth_required);
        // A server that lets anybody in may still know some of them by their keys.
        let signs = of_url.is_none() && settings.signs() && !nonce.is_empty();
        if !asked && !signs {
            return Ok(Auth::new());
        }
        let unusable = |text: String| failure::unauthorized(server, &text);
        let login = match (of_url, ask) {
            (Some(login), _) => Some(login),
            (None, Some(ask)) if settings.ask => {
                let silent = unusable("the -auth_callback gave no answer".into());
                self.refuse(attempt, Some(silent.clone()));
                let nonce = String::from_utf8_lossy(&nonce).into_owned();
                let answer = ask(LoginQuestion { nonce, server: server.clone() });
                match timeout(LOGIN_ANSWER, answer).await {
                    Ok(Ok(Some(login))) => Some(login),
                    _ => return Err(silent),
                }
            }
            _ => {
                // It may read files.
                let read = tokio::task::spawn_blocking(move || settings.read()).await;
                read.unwrap_or(Ok(None)).map_err(unusable)?
            }
        };
        match login.filter(|login| !login.is_empty()) {
            Some(login) => login.sign(&nonce).map_err(unusable),
            None if heard.is_none() => Ok(Auth::new()),
            None => Err(failure::no_credentials(server)),
        }
    }

    /// The engine wants to know where to connect. Does not return when there is nothing left.
    pub async fn choose(&self, known: Vec<Server>) -> ReconnectToServer {
        // Twice: the first time the task of the events may be the one that woke us.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        self.left();
        self.lost();
        self.attempt_failed(&known);
        self.shared.sweep();
        loop {
            let Some(server) = self.next_server().await else {
                // The runtime is dropped around this.
                return std::future::pending().await;
            };
            self.shared.tell(Event::Attempt(server.clone()));
            match self.address(&server, &known).await {
                Ok(addr) => {
                    self.tls.begin(server.scheme != "ws").await;
                    let mut course = lock(&self.course);
                    course.dial();
                    course.attempt = Some(server);
                    course.attempts += 1;
                    course.refusal = None;
                    course.client_error = None;
                    return ReconnectToServer { addr, delay: Some(Duration::ZERO) };
                }
                Err(error) => self.count_failure(error),
            }
        }
    }

    /// The next server, after the wait for it; `None` if all is over.
    async fn next_server(&self) -> Option<ServerEntry> {
        loop {
            let first_pass = lock(&self.course).generation == 0;
            let limit = self.shared.setting(|s| s.max_reconnect_attempts);
            let mut removed = Vec::new();
            let next = self.shared.pool().next(first_pass, limit, &mut removed);
            for server in removed {
                self.shared.tell(Event::PoolRemoved(server.address()));
            }
            let server = match next {
                Next::Try(server) => server,
                Next::GiveUp(reason) => {
                    self.verdict.send_replace(Some(reason));
                    return None;
                }
            };
            if server.reconnects == 0 {
                return Some(server);
            }
            let wait = pool::remaining(&server, self.wait_for(&server).await, now());
            if !wait.is_zero() {
                self.shared.tell(Event::Waiting(wait));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.shared.hurry.notified() => {}
                }
            }
            // The pool may have been cleared meanwhile.
            let current = self.shared.pool().current().is_some_and(|c| c.same_url(&server));
            if current {
                return Some(server);
            }
        }
    }

    /// The wait between two attempts at this server.
    async fn wait_for(&self, server: &ServerEntry) -> Duration {
        let (usual, ask) =
            self.shared.setting(|s| (s.reconnect_time_wait, s.delay_callback.clone()));
        let Some(ask) = ask else { return usual };
        let answer: oneshot::Receiver<Option<Duration>> = ask(server.clone());
        match timeout(DELAY_ANSWER, answer).await {
            Ok(Ok(Some(wait))) => wait,
            _ => usual,
        }
    }

    /// The engine's name for a server. Names are resolved here first, since the engine would wait
    /// for the resolver without a limit and would not say what went wrong.
    async fn address(
        &self,
        server: &ServerEntry,
        known: &[Server],
    ) -> std::result::Result<ServerAddr, Error> {
        let Some(addr) = server_addr(server).filter(|a| known.iter().any(|s| s.addr == *a)) else {
            return Err(failure::refused(server, "invalid address"));
        };
        // The engine would take it without TLS.
        if server.scheme == "ws" && self.wants_tls(server) {
            return Err(failure::no_tls(server));
        }
        let host = server.bare_host();
        if host.parse::<std::net::IpAddr>().is_err() {
            let limit = self.shared.setting(|s| s.connect_timeout);
            let resolved = timeout(limit, tokio::net::lookup_host((host, addr.port()))).await;
            match resolved {
                Err(_) => return Err(failure::timeout(server)),
                Ok(Err(error)) => return Err(failure::unresolved(server, &error.to_string())),
                Ok(Ok(_)) => {}
            }
        }
        Ok(addr)
    }

    /// If an attempt was under way, it has failed.
    fn attempt_failed(&self, known: &[Server]) {
        let mut course = lock(&self.course);
        let Some(server) = course.attempt.take() else { return };
        let refusal = course.refusal.take();
        let client_error = course.client_error.take();
        drop(course);
        let heard = self.heard_last();
        if let Some(heard) = &heard {
            self.shared.tell(Event::Heard(Arc::new(ServerInfo::new(heard))));
        }
        let secure = self.wants_tls(&server);
        let no_tls = heard.as_ref().is_some_and(|heard| !heard.tls_required)
            && secure
            && !server.is_websocket()
            && !self.tls.was_shown_certificate();
        let unfit = || Some(failure::tls(&server, &self.tls.failure()?)).filter(|_| !no_tls);
        let error = refusal.or_else(unfit).unwrap_or_else(|| {
            let addr = server_addr(&server);
            let recorded = known
                .iter()
                .find(|s| Some(&s.addr) == addr.as_ref())
                .and_then(|s| s.last_error.clone());
            // A failure to resolve the name is not recorded, so the record may be an older one.
            let text = match client_error.filter(|text| text == "DNS error") {
                Some(text) => format!("{text}: Name or service not known"),
                None => recorded.unwrap_or_else(|| "IO error: unknown".to_owned()),
            };
            let tls_first = self.shared.setting(|s| s.tls_first) && !server.is_websocket();
            let attempt = Attempt { server: &server, has_info: heard.is_some(), no_tls, tls_first };
            attempt.error(&text)
        });
        self.count_failure(error);
    }

    fn wants_tls(&self, server: &ServerEntry) -> bool {
        server.is_secure() || self.shared.setting(|s| s.secure)
    }

    fn count_failure(&self, error: Error) {
        self.shared.pool().failed(now());
        self.shared.tell(Event::AttemptFailed(error));
    }

    /// The last INFO of the server being tried.
    fn heard_last(&self) -> Option<async_nats::ServerInfo> {
        lock(&self.course).infos.last().cloned()
    }

    /// The engine is not connected any more. Either it was told so, or the connection broke before it
    /// came to that: then the next connection is the one that it will leave.
    fn left(&self) {
        let mut course = lock(&self.course);
        if !std::mem::take(&mut course.on) {
            return;
        }
        if !std::mem::take(&mut course.broke) {
            course.leaving = false;
        }
    }

    /// If there was a connection, it is lost.
    fn lost(&self) {
        let mut course = lock(&self.course);
        let Some(server) = course.connected.take() else { return };
        let (fatal, cause) = (course.fatal.take(), course.cause.take());
        let (stale, reading) = (course.stale, course.read_failed);
        drop(course);
        let error = fatal.unwrap_or_else(|| match cause {
            Some(_) if stale => failure::stale(),
            Some(cause) => failure::lost(&server, &cause, reading),
            None => failure::closed(&server),
        });
        self.shared.set_up(false);
        self.shared.state.send_replace(ConnState::Disconnected);
        self.shared.tell(Event::Lost(error));
    }

    /// The engine has ended: what it was doing has failed.
    pub fn crashed(&self) {
        let mut course = lock(&self.course);
        (course.on, course.broke, course.leaving) = (false, false, false);
        course.fatal.get_or_insert_with(failure::unreadable);
        let attempt = course.attempt.take();
        drop(course);
        self.lost();
        if attempt.is_some() {
            self.count_failure(failure::unreadable());
        }
    }

    /// The engine said something in its trace, and is in the middle of its work.
    pub fn heard(self: &Arc<Self>, heard: Heard) {
        let mut course = lock(&self.course);
        match heard {
            Heard::Dial => course.dial(),
            Heard::Info(info) if course.connected.is_none() => course.infos.push(*info),
            Heard::ServerError(text) if course.connected.is_none() => {
                course.early_errors.push(text);
            }
            Heard::Info(info) => {
                drop(course);
                self.update(&info);
            }
            Heard::ServerError(text) => {
                drop(course);
                self.server_error(&text);
            }
            Heard::ReadFailed => course.read_failed = true,
            Heard::Stale => course.stale = true,
            Heard::Lost(cause) => {
                course.cause = Some(cause);
                course.broke = true;
                drop(course);
                self.lost();
            }
        }
    }

    /// Something happened to the engine.
    pub fn event(self: &Arc<Self>, event: async_nats::Event) {
        match event {
            async_nats::Event::Connected => self.connected(),
            async_nats::Event::ClientError(ClientError::Other(text)) => {
                lock(&self.course).client_error = Some(text);
            }
            // These come from features that are not used, or say what is known.
            async_nats::Event::Disconnected
            | async_nats::Event::LameDuckMode
            | async_nats::Event::ServerError(_)
            | async_nats::Event::Draining
            | async_nats::Event::Closed
            | async_nats::Event::SlowConsumer(_)
            | async_nats::Event::ClientError(_) => {}
        }
    }

    fn connected(self: &Arc<Self>) {
        let mut course = lock(&self.course);
        let Some(server) = course.attempt.take() else { return };
        let Some(client) = course.client.clone() else { return };
        course.on = true;
        // Otherwise it will be left at once.
        let stays = !course.leaving;
        if stays {
            course.connected = Some(server.clone());
            course.generation += 1;
        }
        let generation = course.generation;
        let later: Vec<_> = course.infos.drain(..).skip(1).collect();
        let errors = std::mem::take(&mut course.early_errors);
        drop(course);
        self.shared.pool().succeeded();
        if !stays {
            return;
        }
        let raw = client.server_info();
        let info = Arc::new(ServerInfo::new(&raw));
        self.shared.set_info(info.clone());
        // First, since who hears of the connection may put up a fence for what he says then.
        self.shared.mux.pass_all_fences();
        self.shared.state.send_replace(ConnState::Connected(generation));
        if generation > 1 {
            self.shared.ask_again();
        }
        // What the program says from the moment when it hears of the connection keeps its order.
        self.shared.set_up(true);
        self.shared.tell(Event::Connected { server: server.clone(), info });
        self.discover(client, &server, &raw.connect_urls);
        later.iter().for_each(|info| self.update(info));
        errors.iter().for_each(|text| self.server_error(text));
    }

    /// The server of the connection says more about itself.
    fn update(self: &Arc<Self>, raw: &async_nats::ServerInfo) {
        let course = lock(&self.course);
        let (client, server) = (course.client.clone(), course.connected.clone());
        drop(course);
        let (Some(client), Some(server), Some(info)) = (client, server, self.shared.info()) else {
            return;
        };
        let ducked = |info: &ServerInfo| info.fields.contains_key("ldm");
        let before = ducked(&info);
        let mut info = ServerInfo::clone(&info);
        let said = info.merge(raw);
        let after = ducked(&info);
        self.shared.set_info(Arc::new(info));
        self.shared.tell(Event::Updated(said));
        if after && !before {
            self.shared.tell(Event::LameDuck);
        }
        self.discover(client, &server, &raw.connect_urls);
    }

    /// Adds servers that the pool does not know. The engine must know them first, or it would not
    /// take them from [`Pilot::choose`]; it hears of them one list after the other.
    fn discover(self: &Arc<Self>, client: Client, from: &ServerEntry, urls: &[String]) {
        if urls.is_empty() {
            return;
        }
        let (pilot, from, urls) = (self.clone(), from.clone(), urls.to_vec());
        tokio::spawn(async move {
            let _one = pilot.discovering.lock().await;
            let mut bad = Vec::new();
            let mut fresh = pilot.shared.pool().unknown(&urls, |url| bad.push(url.to_owned()));
            for url in bad {
                pilot.shared.tell(Event::BadServerUrl(url));
            }
            if from.is_websocket() {
                // Over a WebSocket a server tells the WebSocket addresses of the others.
                fresh.iter_mut().for_each(|entry| entry.scheme.clone_from(&from.scheme));
            }
            fresh.retain(|server| server_addr(server).is_some());
            if fresh.is_empty() {
                return;
            }
            let entries = pilot.shared.pool().entries();
            let addrs: Vec<_> = entries.iter().chain(&fresh).filter_map(server_addr).collect();
            if client.set_server_pool(addrs).await.is_ok() {
                let added: Vec<_> = fresh.iter().map(ServerEntry::address).collect();
                pilot.shared.pool().insert(fresh);
                for address in added {
                    pilot.shared.tell(Event::PoolAdded(address));
                }
            }
        });
    }

    /// The text of an `-ERR` on the connection.
    fn server_error(self: &Arc<Self>, text: &str) {
        let (error, fatal) = failure::server_error(text);
        if !fatal {
            if !self.shared.mux.refused(text) {
                self.shared.tell(Event::AsyncError(error));
            }
            return;
        }
        let mut course = lock(&self.course);
        course.fatal.get_or_insert(error);
        let generation = course.generation;
        drop(course);
        // What is said from now on goes over the next connection.
        self.shared.set_up(false);
        // Servers end the connection after such an error; one that does not is left.
        let pilot = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ERROR_GRACE).await;
            pilot.leave(generation).await;
        });
    }

    /// Makes the engine leave the connection, if it still is the one meant.
    async fn leave(&self, generation: u64) {
        let client = {
            let mut course = lock(&self.course);
            let current = course.generation == generation && course.connected.is_some();
            course.leaving |= current;
            course.client.clone().filter(|_| current)
        };
        if let Some(client) = client {
            // Fails only if the engine has ended.
            let _ = client.force_reconnect().await;
        }
    }

    /// The owner wants another connection.
    pub async fn leave_for_another(&self) {
        let generation = {
            let mut course = lock(&self.course);
            let Some(server) = course.connected.clone() else { return };
            course.fatal.get_or_insert_with(|| failure::unwanted(&server));
            course.generation
        };
        self.shared.set_up(false);
        self.leave(generation).await;
    }
}

/// The engine's form of a server, if its port is one.
pub(super) fn server_addr(server: &ServerEntry) -> Option<ServerAddr> {
    let port = server.port_number()?;
    format!("{}://{}:{port}", server.scheme, server.host).parse().ok()
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

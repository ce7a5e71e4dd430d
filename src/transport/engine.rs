//! What runs behind a link: clients of async_nats, called engines, one after the other; and the end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::rustls::ClientConfig;
use async_nats::{Client, ConnectOptions};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::event::{ConnState, Event, Hold};
use super::link_core::LinkCore;
use super::outgoing::QueueEntry;
use super::reconnect::{Reconnector, server_addr};
use super::requests::LinkEnd;
use super::{trace, writer};

/// Ends the link when the main future ends, however it does.
struct TearDown(Arc<LinkCore>, LinkEnd);

impl Drop for TearDown {
    fn drop(&mut self) {
        // What is torn down is not made for going on.
        self.0.tasks.abort();
        self.0.tear_down(self.1);
        self.0.leash.end();
    }
}

/// A link from its beginning to its end: when this has ended nothing of it runs any more, but an
/// engine that dials, for which [`super::leash`] says what it may still do.
pub(super) async fn live(
    core: Arc<LinkCore>,
    reconnector: Arc<Reconnector>,
    tls: ClientConfig,
    closing: watch::Receiver<Option<Duration>>,
) {
    // A panic in it ends the link.
    let _ = tokio::spawn(run(core.clone(), reconnector, tls, closing)).await;
    core.tasks.end().await;
    core.leash.ended().await;
}

/// The main future of a link.
async fn run(
    core: Arc<LinkCore>,
    reconnector: Arc<Reconnector>,
    tls: ClientConfig,
    mut closing: watch::Receiver<Option<Duration>>,
) {
    let mut end = TearDown(core.clone(), LinkEnd::Closed);
    let mut end_reason = reconnector.end_reason();
    let timed = core.clone();
    core.tasks.spawn(async move { timed.requests.run_timer(|id| timed.go_on(id)).await });
    let engines = watch::Sender::new(None);
    core.tasks.spawn(writer::run(core.clone(), reconnector.clone(), engines.subscribe()));
    loop {
        let addrs: Vec<_> = core.pool().entries().iter().filter_map(server_addr).collect();
        let (alive, died) = oneshot::channel();
        let options = engine_options(&core, &reconnector, alive).tls_client_config(tls.clone());
        // Returns at once and fails only for addresses that are none.
        let Ok(client) = async_nats::connect_with_options(addrs, options).await else { return };
        reconnector.set_client(client.clone());
        engines.send_replace(Some(client.clone()));
        tokio::select! {
            reason = first(&mut end_reason) => {
                if let Some(reason) = reason {
                    end.1 = LinkEnd::Lost;
                    let (hold, released) = Hold::new();
                    core.tell(Event::GaveUp { reason, hold });
                    tokio::select! {
                        _ = released => {}
                        _ = first(&mut closing) => {}
                    }
                }
                return;
            }
            // Without an answer, all handles are gone.
            limit = first(&mut closing) => {
                flush(&core, &client, limit.unwrap_or_default()).await;
                return;
            }
            // It panicked. What it had not written is lost, the rest goes on with another one.
            _ = died => {
                reconnector.crashed();
                core.subscribe_again();
            }
        }
    }
}

/// The first value that is set; `None` if the sender goes before.
async fn first<T: Copy>(watched: &mut watch::Receiver<Option<T>>) -> Option<T> {
    watched.wait_for(Option::is_some).await.ok().and_then(|value| *value)
}

/// Brings what is queued to the server, within this time and while there is a connection.
async fn flush(core: &Arc<LinkCore>, client: &Client, limit: Duration) {
    if !core.is_up() || limit.is_zero() {
        core.outgoing.seal();
        return;
    }
    let mut state = core.state.subscribe();
    let (tell, told) = oneshot::channel();
    // After a long talk the kernel may still hold data that closing the socket would discard, so
    // only an answer of the server is good enough. A short one is not worth the round trip.
    let quiet = core.is_quiet();
    let queued = if quiet {
        core.push(QueueEntry::Marker(tell))
    } else {
        // The wait for it may be over.
        let done = move |_| {
            let _ = tell.send(());
        };
        core.barrier(None, done).map(drop)
    };
    core.outgoing.seal();
    if queued.is_err() {
        return;
    }
    let done = async {
        if told.await.is_ok() && quiet {
            // Fails only together with the connection.
            let _ = client.flush().await;
        }
    };
    tokio::select! {
        _ = timeout(limit, done) => {}
        _ = state.wait_for(|state| !matches!(state, ConnState::Connected(_))) => {}
    }
}

/// The engine as it is used here: no queue that drops, no pool, waits or checks of its own.
/// `alive` goes when the engine does.
fn engine_options(
    core: &Arc<LinkCore>,
    reconnector: &Arc<Reconnector>,
    alive: oneshot::Sender<()>,
) -> ConnectOptions {
    let (for_auth, for_choice, for_events) =
        (reconnector.clone(), reconnector.clone(), reconnector.clone());
    let (auth_core, choice_core, leash) = (core.clone(), core.clone(), core.leash.clone());
    let held = (core.leash.collar(), alive, OnceLock::new());
    // What is asked of us gets a task of its own, because the engine wants futures that are Sync.
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let (core, reconnector) = (auth_core.clone(), for_auth.clone());
        let (tell, told) = oneshot::channel();
        let login = core.tasks.spawn(async move {
            // The engine may have given up.
            let _ = tell.send(reconnector.login(nonce).await);
        });
        let login = Bound(login);
        async move {
            let _login = login;
            core.leash.clone().answer(told).await
        }
    })
    .reconnect_to_server_callback(move |known, _info| {
        // Asked first of all, in the engine's task. All of it goes with the engine.
        let held = &held;
        held.2.get_or_init(|| {
            let listener = for_choice.clone();
            trace::listen(choice_core.leash.clone(), move |line| listener.traced(line))
        });
        let reconnector = for_choice.clone();
        let (tell, told) = oneshot::channel();
        choice_core.tasks.spawn(async move {
            let _ = tell.send(reconnector.choose(known).await);
        });
        // Without an answer, since the choice has panicked, it waits: it would choose by itself.
        let answer = choice_core.leash.clone().answer(told);
        async move { Some(answer.await) }
    })
    .event_callback(move |event| {
        if !leash.is_over() {
            for_events.event(event);
        }
        std::future::ready(())
    })
    .retry_on_initial_connect()
    .ignore_discovered_servers()
    .retain_servers_order()
    .skip_subject_validation(true)
    .subscription_capacity(tokio::sync::Semaphore::MAX_PERMITS)
    .client_capacity(writer::ENGINE_CAPACITY);
    core.setting(|settings| {
        let options = options
            .name(&settings.name)
            .require_tls(settings.secure)
            .connection_timeout(settings.connect_timeout)
            // An interval of zero is a panic in tokio.
            .ping_interval(settings.ping_interval.max(Duration::from_millis(1)));
        let options = if settings.tls_first { options.tls_first() } else { options };
        if settings.echo { options } else { options.no_echo() }
    })
}

/// A task that ends with whoever waits for it.
struct Bound(Option<AbortHandle>);

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

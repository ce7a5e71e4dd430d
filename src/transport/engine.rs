//! What runs behind a link: clients of async_nats, called engines, one after the other; and the end.

use std::sync::Arc;
use std::time::Duration;

use async_nats::rustls::ClientConfig;
use async_nats::{AuthError, Client, ConnectOptions};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
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
        self.0.tear_down(self.1);
    }
}

/// The main future of a link; its end is that of the runtime.
pub(super) async fn run(
    core: Arc<LinkCore>,
    reconnector: Arc<Reconnector>,
    tls: ClientConfig,
    mut closing: watch::Receiver<Option<Duration>>,
) {
    let listener = reconnector.clone();
    let _listening = trace::listen(move |line| listener.traced(line));
    let mut end = TearDown(core.clone(), LinkEnd::Closed);
    let mut end_reason = reconnector.end_reason();
    let timed = core.clone();
    tokio::spawn(async move { timed.requests.run_timer(|id| timed.go_on(id)).await });
    let engines = watch::Sender::new(None);
    tokio::spawn(writer::run(core.clone(), reconnector.clone(), engines.subscribe()));
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
    // What is asked of us gets a task of its own, because the engine wants futures that are Sync.
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let reconnector = for_auth.clone();
        let mut login = Bound(tokio::spawn(async move { reconnector.login(nonce).await }));
        async move { (&mut login.0).await.unwrap_or_else(|e| Err(AuthError::new(e))) }
    })
    .reconnect_to_server_callback(move |known, _info| {
        let _held = &alive;
        let reconnector = for_choice.clone();
        let choice = tokio::spawn(async move { reconnector.choose(known).await });
        async move {
            match choice.await {
                Ok(choice) => Some(choice),
                // With an answer the engine would choose by itself.
                Err(_) => std::future::pending().await,
            }
        }
    })
    .event_callback(move |event| {
        for_events.event(event);
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
struct Bound<T>(JoinHandle<T>);

impl<T> Drop for Bound<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

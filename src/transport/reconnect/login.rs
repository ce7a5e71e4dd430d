//! What a server is told about us, and whether its certificate is good enough for that.

use std::time::Duration;

use async_nats::{Auth, AuthError};
use tokio::time::timeout;

use super::Reconnector;
use crate::error::Error;
use crate::lock::lock;
use crate::transport::failure;
use crate::transport::login::{Login, LoginQuestion};
use crate::transport::server::ServerEntry;
use crate::transport::tls;

/// How long the user's login callback may take. The limit of the attempt may be shorter.
const LOGIN_ANSWER: Duration = Duration::from_secs(5);

impl Reconnector {
    /// What the server being tried is to be told about us.
    ///
    /// # Errors
    /// Ends the attempt before anything is told. The reason is kept for what becomes of it.
    pub async fn login(&self, nonce: Vec<u8>) -> std::result::Result<Auth, AuthError> {
        let (server, attempt) = {
            let progress = lock(&self.progress);
            (progress.attempt.clone(), progress.attempts)
        };
        let Some(server) = server else { return Err(AuthError::new("no attempt")) };
        let outcome = self.find_login(&server, nonce, attempt).await;
        self.refuse(attempt, outcome.as_ref().err().cloned());
        outcome.map_err(AuthError::new)
    }

    /// Notes why an attempt has no login, or that it has one.
    fn refuse(&self, attempt: u64, reason: Option<Error>) {
        let mut progress = lock(&self.progress);
        // It may be over, by its time limit.
        if progress.attempts == attempt {
            progress.refusal = reason;
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
        let info = self.last_info();
        let (settings, ask) = self.core.setting(|s| (s.login.clone(), s.login_callback.clone()));
        let of_url = Login::of_url(server);
        let asked = info.as_ref().is_none_or(|info| info.auth_required);
        // A server that lets anybody in may still know some of them by their keys.
        let signs = of_url.is_none() && settings.signs() && !nonce.is_empty();
        if !asked && !signs {
            return Ok(Auth::new());
        }
        let unusable = |text: String| failure::unauthorized(server, &text);
        let half = if of_url.is_none() { settings.half() } else { None };
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
            None if info.is_none() => Ok(Auth::new()),
            None => Err(failure::no_credentials(server, half)),
        }
    }
}

//! What a client says to be let in: where it comes from, and the signature that goes with it.
//!
//! Nothing of it is ever part of an error text.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::Auth;
use tokio::sync::oneshot;

use super::server::ServerEntry;

/// Far more than any file with a key or credentials has.
const FILE_LIMIT: u64 = 1 << 20;

/// Asks the user how to log in. `None` as the answer, or a dropped sender, means that there is no
/// answer to be had.
pub type LoginCallback =
    Arc<dyn Fn(LoginQuestion) -> oneshot::Receiver<Option<Login>> + Send + Sync>;

/// What is known when a server wants to know who we are.
pub struct LoginQuestion {
    /// What is to be signed, as the server wrote it; may be empty.
    pub nonce: String,
    pub server: ServerEntry,
}

/// How to log in, wherever a URL does not say it. The first that is there counts, in this order.
#[derive(Clone, Default)]
pub struct LoginSettings {
    /// Ask the [`LoginCallback`].
    pub ask: bool,
    pub credentials: Option<Credentials>,
    pub jwt: String,
    /// Used with `jwt` or alone; one given as text comes before one in a file.
    pub nkey_seed: String,
    pub nkey_seed_file: Option<PathBuf>,
    pub user: String,
    pub password: String,
    pub token: String,
}

/// A user's token and seed, in the decorated form that account servers hand out.
#[derive(Clone)]
pub enum Credentials {
    File(PathBuf),
    Text(String),
}

/// One way to log in.
#[derive(Clone, Default)]
pub struct Login {
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    pub jwt: Option<String>,
    /// Public key; made from the seed if that is there.
    pub nkey: Option<String>,
    /// Signature of the nonce; made with the seed if that is there.
    pub signature: Option<Vec<u8>>,
    pub seed: Option<String>,
}

impl fmt::Debug for Login {
    /// Shows nothing of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// What the URL of a server says.
    pub(super) fn of_url(server: &ServerEntry) -> Option<Login> {
        if server.user.is_none() && server.auth_token.is_none() {
            return None;
        }
        Some(Login {
            user: server.user.clone(),
            password: server.password.clone(),
            token: server.auth_token.clone(),
            ..Login::default()
        })
    }

    pub fn is_empty(&self) -> bool {
        let Login { user, password, token, jwt, nkey, signature: _, seed } = self;
        [user, password, token, jwt, nkey, seed].iter().all(|part| part.is_none())
    }

    /// The engine's form, signed.
    ///
    /// # Errors
    /// A text, for a seed that is none.
    pub(super) fn sign(self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = Auth::new();
        (auth.nkey, auth.signature) = (self.nkey, self.signature);
        if let Some(seed) = self.seed {
            let pair = nkeys::KeyPair::from_seed(seed.trim());
            let pair = pair.map_err(|_| "the nkey seed is not valid".to_owned())?;
            let signature = pair.sign(nonce);
            auth.signature = Some(signature.map_err(|_| "the nonce cannot be signed".to_owned())?);
            // The token names the key itself.
            auth.nkey = self.jwt.is_none().then(|| pair.public_key());
        }
        (auth.username, auth.password) = (self.user, self.password);
        (auth.token, auth.jwt) = (self.token, self.jwt);
        Ok(auth)
    }
}

impl LoginSettings {
    /// Whether a key or a token is there to log in with, which proves itself by a signature.
    pub(super) fn signs(&self) -> bool {
        self.ask
            || self.credentials.is_some()
            || !self.jwt.is_empty()
            || !self.nkey_seed.is_empty()
            || self.nkey_seed_file.is_some()
    }

    /// What is set and of no use without something else.
    pub(super) fn half(&self) -> Option<&'static str> {
        match (self.user.is_empty(), self.password.is_empty()) {
            (false, true) => Some("-user is set without -password"),
            (true, false) => Some("-password is set without -user"),
            _ => None,
        }
    }

    /// The login without the callback; `None` if there is none. Reads files.
    ///
    /// # Errors
    /// A text, for files and credentials that cannot be used.
    pub(super) fn read(&self) -> Result<Option<Login>, String> {
        let some = |text: &str| Some(text.to_owned());
        if let Some(credentials) = &self.credentials {
            return read_credentials(credentials).map(Some);
        }
        let seed = match &self.nkey_seed_file {
            _ if !self.nkey_seed.is_empty() => some(&self.nkey_seed),
            Some(path) => Some(read_seed(path)?),
            None => None,
        };
        if seed.is_some() || !self.jwt.is_empty() {
            let jwt = Some(self.jwt.trim().to_owned()).filter(|jwt| !jwt.is_empty());
            return Ok(Some(Login { jwt, seed, ..Login::default() }));
        }
        if !self.user.is_empty() && !self.password.is_empty() {
            let (user, password) = (some(&self.user), some(&self.password));
            return Ok(Some(Login { user, password, ..Login::default() }));
        }
        if !self.token.is_empty() {
            return Ok(Some(Login { token: some(&self.token), ..Login::default() }));
        }
        Ok(None)
    }
}

impl Credentials {
    /// Text with the marks of a key file is what it is; anything else is the name of a file.
    pub fn is_text(given: &str) -> bool {
        given.contains("-----BEGIN")
    }
}

fn read_credentials(credentials: &Credentials) -> Result<Login, String> {
    let (text, place) = match credentials {
        Credentials::Text(text) => (text.clone(), "the credentials".to_owned()),
        Credentials::File(path) => (read_file(path)?, path.display().to_string()),
    };
    parse_credentials(&text).ok_or_else(|| format!("{place}: no user token and seed in it"))
}

/// Finds the user's token and seed between their marks.
pub fn parse_credentials(text: &str) -> Option<Login> {
    let jwt = block(text, "JWT")?;
    let seed = block(text, "SEED")?;
    Some(Login { jwt: Some(jwt), seed: Some(seed), ..Login::default() })
}

/// The seed of a key file: the whole of it, or what stands between the marks.
fn read_seed(path: &Path) -> Result<String, String> {
    let text = read_file(path)?;
    if Credentials::is_text(&text) {
        let place = path.display();
        return block(&text, "SEED").ok_or_else(|| format!("{place}: no seed in it"));
    }
    Ok(text.trim().to_owned())
}

/// What stands between `-----BEGIN … <label>-----` and the next line of dashes. It only looks like
/// PEM: a token is no base64, and the last line has six dashes.
fn block(text: &str, label: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    lines.by_ref().find(|line| {
        line.starts_with("---")
            && line.contains("BEGIN")
            && line.trim_end_matches('-').ends_with(label)
    })?;
    let content: String = lines.take_while(|line| !line.starts_with("---")).collect();
    Some(content).filter(|content| !content.is_empty())
}

fn read_file(path: &Path) -> Result<String, String> {
    let failed = |e: &dyn fmt::Display| format!("{}: {e}", path.display());
    let file = File::open(path).map_err(|e| failed(&e))?;
    let mut text = String::new();
    file.take(FILE_LIMIT).read_to_string(&mut text).map_err(|e| failed(&e))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_between_their_marks() {
        let text = "-----BEGIN NATS USER JWT-----\r\nabc.def\r\n------END NATS USER JWT------\r\n\
            \n*** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\nSUAX\n------END USER NKEY SEED------\n";
        let login = parse_credentials(text).expect("both");
        assert_eq!(login.jwt.as_deref(), Some("abc.def"));
        assert_eq!(login.seed.as_deref(), Some("SUAX"));
        for half in ["", "SUAX", &text[..80], "-----BEGIN NATS USER JWT-----\n------END------\n"] {
            assert!(parse_credentials(half).is_none(), "{half}");
        }
    }

    #[test]
    fn the_first_that_is_there_counts() {
        let all = LoginSettings {
            ask: false,
            credentials: Some(Credentials::Text("nothing".into())),
            jwt: "j".into(),
            nkey_seed: "s".into(),
            nkey_seed_file: Some("/nonexistent".into()),
            user: "u".into(),
            password: "p".into(),
            token: "t".into(),
        };
        assert!(all.read().is_err());
        let keys = LoginSettings { credentials: None, ..all };
        let login = keys.read().expect("read").expect("login");
        assert_eq!((login.jwt.as_deref(), login.seed.as_deref()), (Some("j"), Some("s")));
        assert!(login.user.is_none() && login.token.is_none());
        let file = LoginSettings { nkey_seed: String::new(), ..keys };
        assert!(file.read().is_err_and(|text| text.starts_with("/nonexistent: ")));
        let names = LoginSettings { nkey_seed_file: None, jwt: String::new(), ..file };
        assert_eq!(names.read().expect("read").expect("login").user.as_deref(), Some("u"));
        let token = LoginSettings { password: String::new(), ..names };
        assert_eq!(token.read().expect("read").expect("login").token.as_deref(), Some("t"));
        let nothing = LoginSettings { token: String::new(), ..token };
        assert!(nothing.read().expect("read").is_none() && !nothing.signs());
    }

    #[test]
    fn a_bad_seed_is_not_shown() {
        let login = Login { seed: Some("SUSECRET".into()), ..Login::default() };
        let shown = format!("{login:?}");
        let text = login.sign(b"nonce").map(|_| ()).expect_err("no seed");
        assert!(!text.contains("SECRET") && !shown.contains("SECRET"));
    }

    #[test]
    fn a_key_signs_the_nonce() {
        let pair = nkeys::KeyPair::new_user();
        let seed = pair.seed().expect("seed");
        let login = Login { seed: Some(format!(" {seed}\n")), ..Login::default() };
        let auth = login.clone().sign(b"nonce").expect("signed");
        assert_eq!(auth.nkey, Some(pair.public_key()));
        assert!(pair.verify(b"nonce", &auth.signature.expect("signature")).is_ok());
        let with_token = Login { jwt: Some("j".into()), ..login };
        assert_eq!(with_token.sign(b"nonce").expect("signed").nkey, None);
    }
}

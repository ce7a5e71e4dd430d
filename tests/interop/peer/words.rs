//! Arguments and answers, words of bytes: hexadecimal in a line.

use async_nats::HeaderMap;
use bytes::Bytes;
use std::fmt::{Display, Write};

/// What is left of the arguments.
pub struct Words(std::vec::IntoIter<Vec<u8>>);

fn bytes_of(word: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        word.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl Words {
    /// The operation, and its arguments.
    pub fn parse(line: &str) -> Result<(String, Words), Failure> {
        let words: Option<Vec<Vec<u8>>> = line.split(' ').map(bytes_of).collect();
        let words = words.ok_or_else(|| Failure::new("no-words", "not hexadecimal"))?;
        let mut words = Words(words.into_iter());
        Ok((words.text()?, words))
    }

    pub fn bytes(&mut self) -> Result<Bytes, Failure> {
        self.0.next().map(Bytes::from).ok_or_else(|| Failure::new("arguments", "too few"))
    }

    pub fn text(&mut self) -> Result<String, Failure> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|error| Failure::other(&error))
    }

    pub fn number(&mut self) -> Result<u64, Failure> {
        self.text()?.parse().map_err(|error| Failure::other(&error))
    }

    pub fn duration(&mut self) -> Result<std::time::Duration, Failure> {
        Ok(std::time::Duration::from_millis(self.number()?))
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The rest, as pairs of names and values.
    pub fn headers(&mut self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        while !self.is_empty() {
            headers.append(self.text()?, self.text()?);
        }
        Ok(headers)
    }
}

/// What an operation has to say.
#[derive(Default)]
pub struct Answer(Vec<Vec<u8>>);

impl Answer {
    pub fn bytes(mut self, word: &[u8]) -> Answer {
        self.0.push(word.to_vec());
        self
    }

    pub fn word(self, word: impl Display) -> Answer {
        self.bytes(word.to_string().as_bytes())
    }

    /// Pairs of names and values, sorted by names.
    pub fn headers(mut self, headers: Option<&HeaderMap>) -> Answer {
        for (name, value) in sorted(headers) {
            self = self.word(name).word(value);
        }
        self
    }

    pub fn line(&self) -> String {
        line("ok", &self.0)
    }
}

pub fn sorted(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        pairs.extend(values.iter().map(|value| (name.to_string(), value.to_string())));
    }
    // Values of one name stay in their order.
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

fn line(outcome: &str, words: &[Vec<u8>]) -> String {
    let mut line = outcome.to_owned();
    for word in words {
        line.push(' ');
        for byte in word {
            // A string takes everything.
            let _ = write!(line, "{byte:02x}");
        }
    }
    line.push('\n');
    line
}

/// Why it has none: a kind that the tests compare, and the client's own text.
#[derive(Debug)]
pub struct Failure {
    kind: String,
    text: String,
}

impl Failure {
    pub fn new(kind: &str, text: impl Display) -> Failure {
        Failure { kind: kind.to_owned(), text: text.to_string() }
    }

    pub fn other(error: &impl Display) -> Failure {
        Failure::new("other", error)
    }

    pub fn not_found() -> Failure {
        Failure::new("not-found", "the client has found nothing")
    }

    pub fn line(&self) -> String {
        line("error", &[self.kind.clone().into_bytes(), self.text.clone().into_bytes()])
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

/// Errors of the client have `?` where no test looks at their kind.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::other(&error)
    }
}

pub fn unknown(op: &str) -> Failure {
    Failure::new("unknown", format!("no such operation: {op}"))
}

/// What comes within ten seconds.
pub async fn next<T>(coming: impl Future<Output = Option<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(std::time::Duration::from_secs(10), coming).await {
        Ok(Some(item)) => Ok(item),
        Ok(None) => Err(Failure::new("ended", "nothing more comes")),
        Err(_) => Err(Failure::new("silent", "nothing came within 10 s")),
    }
}

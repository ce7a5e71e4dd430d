//! What a server says about itself.

use serde_json::{Map, Value, json};

/// The latest INFO, as far as the engine lets it be known.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerInfo {
    /// Digits and dots only.
    pub version: String,
    pub headers: bool,
    /// Largest payload that the server accepts, in bytes.
    pub max_payload: usize,
    /// The members of the INFO by their protocol names. Flags that are false and texts that are
    /// empty are left out, as servers do.
    pub fields: Map<String, Value>,
}

impl ServerInfo {
    /// Takes in a later INFO, and tells what that said. The engine does not know which members were
    /// there, so those that are empty count as left out.
    pub(super) fn merge(&mut self, info: &async_nats::ServerInfo) -> Map<String, Value> {
        let mut said = ServerInfo::new(info).fields;
        said.retain(|_, value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::Bool(flag) => *flag,
            _ => true,
        });
        for (name, value) in &said {
            self.fields.insert(name.clone(), value.clone());
        }
        if info.max_payload > 0 {
            self.max_payload = info.max_payload;
        }
        if !info.version.is_empty() {
            self.version = plain_version(&info.version);
        }
        self.headers |= info.headers;
        said
    }

    pub(super) fn new(info: &async_nats::ServerInfo) -> ServerInfo {
        let version = plain_version(&info.version);
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        put("server_id", json!(info.server_id));
        put("server_name", json!(info.server_name));
        put("version", json!(version));
        put("proto", json!(info.proto));
        put("go", json!(info.go));
        put("host", json!(info.host));
        put("port", json!(info.port));
        put("headers", json!(info.headers));
        put("max_payload", json!(info.max_payload));
        put("client_id", json!(info.client_id));
        put("client_ip", json!(info.client_ip));
        for (name, flag) in [
            ("jetstream", info.jetstream),
            ("auth_required", info.auth_required),
            ("tls_required", info.tls_required),
            ("ldm", info.lame_duck_mode),
        ] {
            if flag {
                put(name, Value::Bool(true));
            }
        }
        if !info.nonce.is_empty() {
            put("nonce", json!(info.nonce));
        }
        if let Some(cluster) = &info.cluster {
            put("cluster", json!(cluster));
        }
        if let Some(domain) = &info.domain {
            put("domain", json!(domain));
        }
        if !info.connect_urls.is_empty() {
            put("connect_urls", json!(info.connect_urls));
        }
        ServerInfo { version, headers: info.headers, max_payload: info.max_payload, fields }
    }
}

impl ServerInfo {
    /// Whether the server is of this version or newer; an unknown version counts as new. What
    /// servers call themselves need not be a version in the sense of any crate, such as `2.10`.
    pub fn at_least(&self, version: (u32, u32, u32)) -> bool {
        let mut parts = self.version.split('.').map(|part| part.parse::<u32>().ok());
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor), patch) => (major, minor, patch.unwrap_or(0)) >= version,
            _ => true,
        }
    }
}

/// The first run of digits and dots: `2.11.1-binary` becomes `2.11.1`.
fn plain_version(version: &str) -> String {
    let wanted = |c: char| c.is_ascii_digit() || c == '.';
    version.chars().skip_while(|c| !wanted(*c)).take_while(|c| wanted(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_cut() {
        for (given, wanted) in [("2.11.1-binary", "2.11.1"), ("v2.10", "2.10"), ("", "")] {
            assert_eq!(plain_version(given), wanted);
        }
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (version, newer) in [
            ("2.9.22", false),
            ("2.10.0", false),
            ("2.10.1", true),
            ("2.11", true),
            ("3.0", true),
            ("", true),
        ] {
            let info = async_nats::ServerInfo { version: version.into(), ..Default::default() };
            assert_eq!(ServerInfo::new(&info).at_least((2, 10, 1)), newer, "{version}");
        }
    }

    #[test]
    fn a_later_info_adds_what_it_says() {
        let first = async_nats::ServerInfo {
            server_id: "A".into(),
            headers: true,
            max_payload: 100,
            ..Default::default()
        };
        let mut info = ServerInfo::new(&first);
        let later = async_nats::ServerInfo {
            max_payload: 50,
            lame_duck_mode: true,
            connect_urls: vec!["a:1".into()],
            ..Default::default()
        };
        let said = info.merge(&later);
        assert_eq!(said.keys().collect::<Vec<_>>(), ["max_payload", "ldm", "connect_urls"]);
        assert_eq!((info.max_payload, info.headers), (50, true));
        assert_eq!(info.fields["server_id"], "A");
        assert_eq!(info.fields["max_payload"], 50);
        assert!(info.merge(&async_nats::ServerInfo::default()).is_empty());
    }

    #[test]
    fn false_flags_and_empty_members_are_left_out() {
        let bare = ServerInfo::new(&async_nats::ServerInfo::default());
        assert!(!bare.fields.contains_key("ldm") && !bare.fields.contains_key("nonce"));
        let ldm = async_nats::ServerInfo { lame_duck_mode: true, ..Default::default() };
        assert_eq!(ServerInfo::new(&ldm).fields["ldm"], Value::Bool(true));
    }
}

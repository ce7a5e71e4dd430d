//! TLS against a real server, with certificates made for the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::{Server, barrier, open, settings};
use crate::error::Kind;
use crate::transport::{Material, Settings, TlsSettings};

/// A folder with an authority, a certificate for `localhost` and a client's certificate.
struct Certificates(PathBuf);

impl Certificates {
    fn make(test: &str) -> Certificates {
        let dir = std::env::temp_dir().join(format!("nats-tls-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("folder");
        let made = Certificates(dir);
        let script = "set -e
            openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 \
                -subj /CN=test-ca -addext basicConstraints=critical,CA:TRUE
            echo subjectAltName=DNS:localhost > server.ext
            echo extendedKeyUsage=clientAuth > client.ext
            for who in server client; do
                openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
                openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
                    -out $who.pem -days 2 -extfile $who.ext
            done";
        let output =
            Command::new("sh").args(["-c", script]).current_dir(&made.0).output().expect("sh");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        made
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn server(&self, more: &[&str]) -> Server {
        let text = |path: &Path| path.display().to_string();
        let (cert, key) = (self.file("server.pem"), self.file("server.key"));
        let (cert, key) = (text(&cert), text(&key));
        let mut args = vec!["--tls", "--tlscert", &cert, "--tlskey", &key];
        args.extend(more);
        Server::start(&args)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // Left to the system's cleaning if it cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn authorities_names_and_client_certificates() {
    let certificates = Certificates::make("all");
    let ca = certificates.file("ca.pem");
    let server = certificates.server(&[]);
    let named = format!("tls://localhost:{}", server.port);
    let numbered = format!("tls://127.0.0.1:{}", server.port);
    let plain = format!("localhost:{}", server.port);
    let default = TlsSettings::default();
    let with_ca = TlsSettings { cafile: Some(ca.clone()), ..default.clone() };
    let in_dir = TlsSettings { cadir: Some(certificates.0.clone()), ..default.clone() };
    let unverified = TlsSettings { verify: false, ..default.clone() };
    let strict = TlsSettings { check_name: Some(true), ..with_ca.clone() };
    let renamed = TlsSettings { server_name: Some("localhost".into()), ..with_ca.clone() };
    let misnamed = TlsSettings { server_name: Some("elsewhere".into()), ..with_ca.clone() };
    // Nobody is there who could be asked.
    let undecided = TlsSettings { ask_about_server: true, ..with_ca.clone() };
    let nowhere = TlsSettings { cafile: Some("/nonexistent".into()), ..default.clone() };
    let bad_key = TlsSettings { certificate: Some(Material::File(ca)), ..default.clone() };
    for (url, tls, good) in [
        (&named, &with_ca, true),
        (&named, &in_dir, true),
        // The server wants TLS, so it is used without being asked for.
        (&plain, &with_ca, true),
        // For authorities of one's own the name is looked at only if that is asked for.
        (&numbered, &with_ca, true),
        (&numbered, &strict, false),
        (&numbered, &renamed, true),
        (&named, &strict, true),
        (&named, &misnamed, false),
        (&numbered, &unverified, true),
        (&named, &default, false),
        (&named, &undecided, false),
        (&named, &nowhere, false),
        (&named, &bad_key, false),
    ] {
        let (link, recorder) = open(Settings { tls: Ok(tls.clone()), ..settings(&[url]) });
        if good {
            recorder.wait("connected");
            barrier(&link);
        } else {
            let (kind, text) = recorder.failure(1);
            assert_eq!(kind, Kind::Tls, "{url}: {text}");
            let start = format!("TLS handshake with server {} failed: ", &url[6..]);
            assert!(text.starts_with(&start), "{text}");
        }
    }

    let ca_text = certificates.file("ca.pem").display().to_string();
    let strict = certificates.server(&["--tlsverify", "--tlscacert", &ca_text]);
    let url = format!("tls://localhost:{}", strict.port);
    let with_certificate = TlsSettings {
        certificate: Some(Material::File(certificates.file("client.pem"))),
        key: Some(Material::File(certificates.file("client.key"))),
        ..with_ca.clone()
    };
    let (link, recorder) = open(Settings { tls: Ok(with_certificate), ..settings(&[&url]) });
    recorder.wait("connected");
    barrier(&link);
    let (_link, recorder) = open(Settings { tls: Ok(with_ca), ..settings(&[&url]) });
    let (kind, text) = recorder.failure(1);
    assert!(matches!(kind, Kind::Tls | Kind::BrokenSocket), "{kind:?} {text}");
}

//! Link options of the loadable file, and what `nats::build-info` says of it.

use std::env;
use std::process::Command;

/// What the library is made of: a change of these is another build.
const SOURCES: [&str; 5] = ["build.rs", "Cargo.toml", "Cargo.lock", "src", "tcl"];

fn main() {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed=NATS_COMMIT");
    println!("cargo:rerun-if-env-changed=NATS_STATIC");
    println!("cargo:rustc-env=NATS_BUILD_INFO={}", build_info());
    // Its threads may still run its code when Tcl unloads what it has loaded.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}

/// As TIP 599 has it: version, plus sign, commit, and options in the order of the alphabet, with dots between them.
fn build_info() -> String {
    let (commit, modified) = commit();
    let profile = variable("PROFILE");
    let mut options = vec![
        format!("profile-{profile}"),
        format!("rustc-{}", rustc()),
        format!("target-{}", variable("TARGET")),
    ];
    if profile == "debug" {
        options.push("debug".to_owned());
    }
    // Cargo does not tell which type of library it makes.
    if env::var_os("NATS_STATIC").is_some() {
        options.push("static".to_owned());
    }
    if modified {
        options.push("modified".to_owned());
    }
    options.sort();
    format!("{}+{commit}.{}", variable("CARGO_PKG_VERSION"), options.join("."))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The commit of the sources, and whether they differ from it: as the one says that builds from an archive, or git.
/// It is the last one that touched them, so that other commits do not ask for another build.
fn commit() -> (String, bool) {
    let given = variable("NATS_COMMIT");
    if !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return (given, false);
    }
    // A copy that somebody has put into a repository of their own has none.
    let own = output("git", &["rev-parse", "--show-prefix"]).is_some_and(|path| path.is_empty());
    let sources = |args: &[&'static str]| {
        let args: Vec<_> = args.iter().copied().chain(["--"]).chain(SOURCES).collect();
        output("git", &args)
    };
    match sources(&["log", "-1", "--format=%H"]) {
        Some(commit) if own && !commit.is_empty() => {
            (commit, sources(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty()))
        }
        _ => ("unknown".to_owned(), false),
    }
}

/// The version as TIP 599 shows that of a compiler: 195 for 1.95.
fn rustc() -> u32 {
    let said = output(&variable("RUSTC"), &["--version"]).unwrap_or_default();
    let version = said.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    numbers.next().unwrap_or(0) * 100 + numbers.next().unwrap_or(0)
}

/// What it prints when it succeeds.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let run = Command::new(program).args(args).output().ok()?;
    run.status.success().then(|| String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

//! The server under test: the release binary, as a process of its own, with its own data directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rohrpost_benches::{Party, certs_test, scratch};
use rohrpost_crypto::{Random as _, SystemRandom};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::Connection;
use crate::letters::Ids;
use crate::machine;

/// A running server; ended when dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    /// Where OSCI is spoken.
    pub(crate) address: SocketAddr,
    management: SocketAddr,
    /// Issues ids that this server recognises.
    pub(crate) ids: Ids,
}

/// Builds the binary if need be, beside this program.
pub(crate) fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program lies in a folder")?;
    eprintln!("building the server …");
    let target = folder.parent().context("target/release")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--release", "--locked", "--package", "rohrpost", "--target-dir"]).arg(target);
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    // What cargo tells a program about its own package, a build script of a dependency takes for a change.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    ensure!(build.status().context("cargo cannot be run")?.success(), "the server does not build");
    Ok(folder.join("rohrpost"))
}

impl Server {
    /// Starts with the keys of `party`, defaults for everything else, and `sets` (`section.key=value`) on top.
    pub(crate) fn start(binary: &Path, party: &Party, sets: &[&str]) -> Result<Self> {
        Self::prepare(party)?.start(binary, sets)
    }

    /// Everything that must lie on the disk before a start.
    pub(crate) fn prepare(party: &Party) -> Result<Prepared> {
        let folder = scratch();
        let path = folder.path();
        for (name, text) in party.pem() {
            fs::write(path.join(name), text)?;
        }
        let mut secret = [0; 32];
        SystemRandom.fill(&mut secret);
        fs::create_dir(path.join("data"))?;
        fs::write(path.join("data/message-id.key"), secret)?;
        let ids = Ids::new(secret, machine::now());
        Ok(Prepared { folder, ids })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as a power cut would, from another thread.
    pub(crate) fn killer(&self) -> Killer {
        Killer(self.pid())
    }

    /// Starts again on the same data after the process ended.
    pub(crate) fn restart(&mut self, binary: &Path) -> Result<()> {
        self.child.wait()?;
        (self.child, self.address, self.management) = run(binary, self.folder.path(), &[])?;
        Ok(())
    }

    /// Seconds of CPU used so far.
    pub(crate) fn cpu(&self) -> f64 {
        machine::cpu_of(self.pid())
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The numbers of `/metrics` by name, those with labels added up and, in addition, each by name and labels.
    pub(crate) fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let text = Connection::get(self.management, "/metrics").context("the server's metrics cannot be read")?;
        let mut numbers = BTreeMap::new();
        for (name, value) in
            text.lines().filter(|line| line.starts_with("rohrpost_")).filter_map(|line| line.rsplit_once(' '))
        {
            let Ok(value) = value.parse::<f64>() else { continue };
            if let Some((bare, _)) = name.split_once('{') {
                *numbers.entry(bare.to_owned()).or_insert(0.0) += value;
            }
            *numbers.entry(name.to_owned()).or_insert(0.0) += value;
        }
        ensure!(!numbers.is_empty(), "the server's metrics are empty");
        Ok(numbers)
    }
}

/// Kills a server that has not been waited for.
pub(crate) struct Killer(u32);

impl Killer {
    pub(crate) fn kill(self) {
        let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
    }
}

/// A data directory without a server.
pub(crate) struct Prepared {
    folder: TempDir,
    pub(crate) ids: Ids,
}

impl Prepared {
    /// Starts and waits until the server listens.
    pub(crate) fn start(self, binary: &Path, sets: &[&str]) -> Result<Server> {
        let Self { folder, ids } = self;
        let (child, address, management) = run(binary, folder.path(), sets)?;
        Ok(Server { child, folder, address, management, ids })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked politely first: what it does at its end belongs to its life.
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let deadline = Instant::now() + Duration::from_secs(20);
        while asked.is_ok() && Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a process and waits until it listens: the process, where OSCI is spoken, where metrics are.
fn run(binary: &Path, folder: &Path, sets: &[&str]) -> Result<(Child, SocketAddr, SocketAddr)> {
    let file = |name: &str| folder.join(name).display().to_string();
    let authority = |name: &str| certs_test(&format!("ca/{name}-ca.cert.pem")).display().to_string();
    // Empty, so that the example's PKCS#12 files do not stand beside the PEM files.
    let mut args = vec![format!("storage.directory={}", file("data"))];
    for role in ["cipher", "signature"] {
        args.push(format!("keys.{role}.certificate={}", file(&format!("{role}.cert.pem"))));
        args.push(format!("keys.{role}.key={}", file(&format!("{role}.key.pem"))));
    }
    args.push(format!("trust.anchors=[\"{}\"]", authority("root")));
    args.push(format!("trust.intermediates=[\"{}\",\"{}\"]", authority("registry"), authority("transport")));
    args.push("http.listen=[\"127.0.0.1:0\"]".to_owned());
    args.push("management.listen=127.0.0.1:0".to_owned());
    args.extend(sets.iter().map(|set| (*set).to_owned()));
    let log = fs::File::create(folder.join("log"))?;
    let mut child = Command::new(binary)
        .args(["--json", "serve"])
        .args(args.iter().flat_map(|set| ["--set", set]))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} cannot be started", binary.display()))?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let started = read_json(&mut BufReader::new(output));
    let started = started.with_context(|| fs::read_to_string(folder.join("log")).unwrap_or_default())?;
    let address = |url: &Value| {
        let url = url.as_str().unwrap_or_default();
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        host.parse::<SocketAddr>().with_context(|| format!("the server listens at {url}"))
    };
    let (address, management) = (address(&started["osci"][0])?, address(&started["management"])?);
    Ok((child, address, management))
}

/// Reads lines until they make one JSON value.
pub(crate) fn read_json(lines: &mut impl BufRead) -> Result<Value> {
    let mut text = String::new();
    loop {
        if lines.read_line(&mut text)? == 0 {
            bail!("the process ended too early; it printed: {text}");
        }
        if let Ok(value) = serde_json::from_str(&text) {
            return Ok(value);
        }
    }
}

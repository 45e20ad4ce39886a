//! What the end-to-end tests share: the built binary as a real process, its configuration in a directory of its own,
//! and the test keys of `certs-test/`.
//!
//! Not in here: anything that knows how the product works inside. A test that needs the inside belongs to the room.
//!
//! ```no_run
//! let mut server = rohrpost_tests::Server::start(&[]);
//! println!("{}", server.url());
//! server.kill(); // SIGKILL, as a power cut would
//! server.restart();
//! ```

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

pub mod chance;
pub mod disk;
pub mod fuzz;
pub mod load;
pub mod oracle;
pub mod simulation;

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// A file of the committed test PKI, by its path below `certs-test/`.
pub fn certs_test(path: &str) -> PathBuf {
    root().join("certs-test").join(path)
}

/// The built binary, of the same profile as the running test. Built once per test process.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        let folder = test.parent().expect("target/<profile>/deps/<test>, or target/<profile>/<program>");
        let profile_dir =
            if folder.ends_with("deps") { folder.parent().expect("it has one") } else { folder }.to_owned();
        let release = profile_dir.ends_with("release");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--offline", "--package", "rohrpost"]).current_dir(root());
        if release {
            build.arg("--release");
        }
        // What cargo tells a test about its own package, a build script of a dependency takes for a change.
        for (name, _) in std::env::vars() {
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "the binary does not build");
        profile_dir.join("rohrpost")
    })
}

/// A running `rohrpost serve` with its own data directory; ended when dropped.
pub struct Server {
    child: Option<Child>,
    directory: TempDir,
    sets: Vec<String>,
    url: String,
    management: String,
}

impl Server {
    /// Starts with the RSA-4096 intermediary of the test PKI, any free ports, and `sets` (`section.key=value`) on top.
    ///
    /// # Panics
    /// If the server does not become ready within a minute.
    pub fn start(sets: &[&str]) -> Self {
        let mut server = Self {
            child: None,
            directory: TempDir::new().expect("a temporary directory"),
            sets: sets.iter().map(|s| (*s).to_owned()).collect(),
            url: String::new(),
            management: String::new(),
        };
        server.restart();
        server
    }

    /// Address of the OSCI endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Base address of health and metrics.
    pub fn management(&self) -> &str {
        &self.management
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The command-line options that make any other command use this server's configuration.
    pub fn config_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        let mut set = |text: String| args.extend(["--set".to_owned(), text]);
        let pin = self.directory.path().join("pin");
        std::fs::write(&pin, "123456").expect("the PIN can be written");
        set(format!("storage.directory={}", self.data().display()));
        for role in ["cipher", "signature"] {
            set(format!("keys.{role}.pkcs12={}", certs_test(&format!("p12/intermediary-{role}.p12")).display()));
            set(format!("keys.{role}.pin_file={}", pin.display()));
        }
        let authority = |name: &str| certs_test(&format!("ca/{name}-ca.cert.pem")).display().to_string();
        set(format!("trust.anchors=[\"{}\"]", authority("root")));
        set(format!("trust.intermediates=[\"{}\",\"{}\"]", authority("registry"), authority("transport")));
        set("http.listen=[\"127.0.0.1:0\"]".to_owned());
        set("management.listen=127.0.0.1:0".to_owned());
        self.sets.iter().cloned().for_each(set);
        args
    }

    /// Starts (again) on the same data.
    ///
    /// # Panics
    /// If it is running already or does not become ready within a minute.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the server is still running");
        let mut child = Command::new(binary())
            .args(["--json", "serve"])
            .args(self.config_args())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let started: serde_json::Value = read_json(&mut lines);
        self.url = started["osci"][0].as_str().expect("the first OSCI address").to_owned();
        self.management = started["management"].as_str().expect("the management address").to_owned();
        self.child = Some(child);
    }

    /// Ends the process as a power cut would: SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process can be killed");
            child.wait().expect("the process ends");
        }
    }

    /// Asks the process to end (SIGTERM) and waits for it; whether it ended with success.
    pub fn terminate(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return false };
        let pid = child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().expect("the process can be waited for") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        false
    }

    /// A page of the management listener: head and body.
    ///
    /// # Panics
    /// If nobody answers.
    pub fn page(&self, path: &str) -> String {
        let address = self.management.split('/').nth(2).expect("an address");
        let mut stream = TcpStream::connect(address).expect("the management listener accepts");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request can be sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    /// A figure of the metrics, by its name and labels as the text has them.
    ///
    /// # Panics
    /// If there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.page("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    /// Process id, for reading `/proc`.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads lines until they make one JSON value.
fn read_json(lines: &mut impl std::io::BufRead) -> serde_json::Value {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        let read = lines.read_line(&mut line).expect("the server prints UTF-8");
        assert!(read > 0, "the server ended before it was ready; it printed: {text}");
        text.push_str(&line);
        if let Ok(value) = serde_json::from_str(&text) {
            return value;
        }
    }
}

/// Runs a command of the binary to its end; its exit code and standard output.
pub fn run(args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(binary()).args(args).output().expect("the binary runs");
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
}

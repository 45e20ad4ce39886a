//! `rohrpost receive` through the real binary: what an intermediary hands over is on the disk before it is accepted, once, whatever
//! happens to process and answers.

#![allow(clippy::unwrap_used)] // helpers of tests, too

#[path = "../../crates/recipient/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rohrpost_osci::content::Content;
use rohrpost_osci::message::RecipientResponse;
use rohrpost_osci::source::read_range;
use rohrpost_tests::{binary, certs_test};
use serde_json::Value;
use support::{Answer, Handover, certificate, fault};
use tempfile::TempDir;

/// A running `rohrpost receive` for Bob; killed when dropped.
struct Receiver {
    child: Option<Child>,
    home: TempDir,
    options: Vec<String>,
    address: String,
}

impl Receiver {
    fn start(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut receiver = Self { child: None, home: TempDir::new().unwrap(), options, address: String::new() };
        receiver.restart();
        receiver
    }

    /// With a shell script to decide. `$notes` is a folder for what it notes.
    fn with_program(script: &str) -> Self {
        let home = TempDir::new().unwrap();
        let program = home.path().join("program");
        fs::write(&program, format!("#!/bin/sh\nnotes='{}'\n{script}\n", home.path().display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let options = vec!["--exec".to_owned(), program.display().to_string()];
        let mut receiver = Self { child: None, home, options, address: String::new() };
        receiver.restart();
        receiver
    }

    fn restart(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let mut child = self.command().stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut text = String::new();
        let started: Value = loop {
            text.push_str(&lines.next().expect("it says where it listens").unwrap());
            if let Ok(started) = serde_json::from_str(&text) {
                break started;
            }
        };
        self.address = started["osci"].as_str().unwrap().split('/').nth(2).unwrap().to_owned();
        self.child = Some(child);
    }

    fn command(&self) -> Command {
        let pin = self.home.path().join("pin");
        fs::write(&pin, "123456").unwrap();
        let p12 = |name: &str| certs_test(&format!("p12/{name}.p12"));
        let mut command = Command::new(binary());
        command.args(["--json", "receive", "--listen", "127.0.0.1:0"]);
        command.arg("--dir").arg(self.dir()).arg("--pin-file").arg(pin);
        command.arg("--cipher").arg(p12("bob-cipher")).arg("--signature").arg(p12("bob-signature"));
        command.arg("--intermediary").arg(certs_test("pem/intermediary-signature.cert.pem"));
        command.args(&self.options);
        command
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("deliveries")
    }

    /// The HTTP body of the answer; empty if there is none.
    fn try_post(&self, request: &[u8]) -> Vec<u8> {
        post(&self.address, request)
    }

    fn hand_over(&self, handover: &Handover) -> Answer {
        handover.read(&self.try_post(&handover.write()))
    }

    /// The folders of deliveries, by name, and nothing else.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap());
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.dir().join(path)).unwrap()
    }

    /// What the program noted, or the process logged.
    fn notes(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

fn post(address: &str, request: &[u8]) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(address) else { return Vec::new() };
    let length = request.len();
    let head = format!("POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let asked = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(request));
    if asked.and_then(|()| stream.read_to_end(&mut answer).map(drop)).is_err() {
        return Vec::new();
    }
    let Some(at) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Vec::new() };
    let head = String::from_utf8_lossy(&answer[..at]).into_owned();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    answer.split_off(at + 4)
}

fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Everything that belongs to a delivery is there.
fn is_whole(folder: &Path) {
    let about: Value = serde_json::from_slice(&fs::read(folder.join("delivery.json")).unwrap()).unwrap();
    let files = about["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "{about}");
    for file in files {
        assert!(folder.join(file["file"].as_str().unwrap()).is_file(), "{file}");
    }
    assert_eq!(about["signatures"][0]["fault"], Value::Null, "{about}");
}

#[test]
fn a_delivery_becomes_a_folder() {
    let receiver = Receiver::start(&[]);
    let handover = Handover::new("id-1");
    let answer = receiver.hand_over(&handover);
    assert_eq!((answer.code, answer.encrypted), (800, true));
    assert_eq!(answer.signer.unwrap().der(), certificate("bob-signature").der());
    assert_eq!(receiver.kept(), ["id-1"]);
    is_whole(&receiver.dir().join("id-1"));
    assert_eq!(receiver.file("id-1/_form ä.pdf"), "%PDF");
    assert_eq!(fs::metadata(receiver.dir()).unwrap().permissions().mode() & 0o777, 0o700, "content in clear");
    let about: Value = serde_json::from_str(&receiver.file("id-1/delivery.json")).unwrap();
    assert_eq!((&about["message_id"], &about["wants_reply"]), (&Value::from("id-1"), &Value::from(false)));
    assert_eq!(about["card"]["subject"], "move-in notice");
    assert_eq!(about["intermediary"], certificate("intermediary-signature").fingerprint().to_string());
    // An answer got lost: the same once more.
    fs::write(receiver.dir().join("id-1/mark"), "").unwrap();
    assert_eq!(receiver.hand_over(&handover).code, 800);
    assert_eq!(receiver.kept(), ["id-1"]);
    assert!(receiver.dir().join("id-1/mark").is_file(), "it is still the first one");
    // Ids become names that stay in the folder.
    for id in ["../../evil", "..", "a\u{202E}b"] {
        assert_eq!(receiver.hand_over(&Handover::new(id)).code, 800);
        assert_eq!(receiver.hand_over(&Handover::new(id)).code, 800);
    }
    assert_eq!(receiver.kept().len(), 4);
    assert!(receiver.kept().iter().all(|name| !name.starts_with('.') && !name.contains('\u{202E}')));
    assert!(!receiver.home.path().join("evil").exists());
    assert_eq!(receiver.hand_over(&Handover::to_be_answered("id-2")).code, 9805, "nobody here could answer");
    assert_eq!(receiver.kept().len(), 4);
    let log = receiver.notes("log");
    assert!(log.contains("delivery kept") && log.contains("id-1"), "{log}");
    for word in ["move-in", "moved in", "form", "PDF", "\u{202E}"] {
        assert!(!log.contains(word), "{word} is content, or steers a terminal: {log}");
    }
}

#[test]
fn what_is_not_in_order_leaves_nothing() {
    let receiver = Receiver::start(&[]);
    let good = Handover::new("id-1");
    let mut damaged = good.write();
    let at = damaged.len() - 200;
    damaged[at] ^= 1;
    assert_eq!(fault(&receiver.try_post(&damaged)), Some(9202));
    let other_key = Handover { sealed_for: Some("carol-cipher"), ..good.clone() };
    assert_eq!(fault(&receiver.try_post(&other_key.write())), Some(9200));
    assert_eq!(fault(&receiver.try_post(b"hello")), Some(9100));
    assert_eq!(receiver.hand_over(&Handover { signed_by: None, ..good.clone() }).code, 9600);
    assert_eq!(receiver.hand_over(&Handover { signed_by: Some("mallory-signature"), ..good.clone() }).code, 9700);
    assert!(receiver.kept().is_empty());

    let open = Receiver::start(&["--dangerous-unsigned-requests"]);
    assert_eq!(open.hand_over(&Handover { signed_by: None, ..good }).code, 800);
    assert_eq!(open.kept(), ["id-1"]);
}

#[test]
fn a_folder_has_one_process() {
    let mut receiver = Receiver::start(&[]);
    let second = receiver.command().output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&second.stdout).contains("is in use"));
    // The first one goes on, until it is asked to end.
    assert_eq!(receiver.hand_over(&Handover::new("id-1")).code, 800);
    let mut child = receiver.child.take().unwrap();
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
    receiver.restart();
    assert_eq!(receiver.kept(), ["id-1"]);
}

#[test]
fn a_program_decides() {
    let receiver = Receiver::with_program(
        r#"
        echo "$ROHRPOST_FOLDER" >> "$notes/asked"
        [ -z "$ROHRPOST_REPLY" ] && grep -q moved "$1"/*.xml || exit 1
        case "$ROHRPOST_FOLDER" in
            *later) exit 75 ;;
            *never) exit 3 ;;
            *killed) kill -9 $$ ;;
        esac
        echo "hello from the program""#,
    );
    for (id, code) in [("yes", 800), ("later", 9811), ("never", 9805), ("killed", 9811), ("yes", 800), ("later", 9811)]
    {
        assert_eq!(receiver.hand_over(&Handover::new(id)).code, code, "{id}");
    }
    assert_eq!(receiver.kept(), ["yes"]);
    let asked = receiver.notes("asked");
    let count = |id: &str| asked.lines().filter(|line| line.ends_with(id)).count();
    assert_eq!([count("/yes"), count("/later"), count("/never")], [1, 2, 1], "{asked}");
}

#[test]
fn a_program_that_hangs_is_ended() {
    let home = TempDir::new().unwrap();
    let program = home.path().join("program");
    fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let receiver = Receiver::start(&["--exec", program.to_str().unwrap(), "--timeout", "1"]);
    assert_eq!(receiver.hand_over(&Handover::new("id-1")).code, 9811);
    assert!(receiver.kept().is_empty());
}

#[test]
fn a_program_answers() {
    let receiver = Receiver::with_program(
        r#"
        echo asked >> "$notes/asked"
        [ -n "$ROHRPOST_REPLY" ] || exit 1
        grep -q silent "$1/delivery.json" && exit 0
        printf '<receipt/>' > "$ROHRPOST_REPLY/content.xml"
        printf 'stamped' > "$ROHRPOST_REPLY/form.txt"
        ln -s /etc/passwd "$ROHRPOST_REPLY/passwd""#,
    );
    let handover = Handover::to_be_answered("id-1");
    for _ in 0..2 {
        let answer = receiver.hand_over(&handover);
        assert_eq!((answer.code, answer.encrypted, answer.signer.is_some()), (800, true, true));
        let RecipientResponse::ProcessDelivery(response) = answer.response else { panic!("another type") };
        let card = response.with_card.unwrap();
        assert_eq!((card.message_id.as_str(), card.subject.as_deref()), ("reply-1", Some("move-in notice")));
        let reply = answer.reply.unwrap();
        assert_eq!((reply.sealed(), reply.attachments.len()), (0, 1));
        assert_eq!(reply.attachments[0].content_id, "form.txt");
        assert!(reply.signatures.len() == 1 && reply.signatures[0].signature.outcome.is_ok());
        let containers = reply.containers();
        let mut data =
            containers.iter().flat_map(|container| &container.contents).filter_map(|content| match content {
                Content::Data(data) => Some(read_range(&*data.bytes, 0..data.bytes.len()).unwrap()),
                _ => None,
            });
        assert_eq!(data.next().unwrap(), b"<receipt/>");
    }
    assert_eq!(receiver.notes("asked").lines().count(), 1, "the same reply, without asking again");
    assert_eq!(receiver.hand_over(&Handover::to_be_answered("silent")).code, 9811);
    assert_eq!(receiver.hand_over(&Handover::new("id-2")).code, 9805);
    assert_eq!(receiver.kept(), ["id-1"]);
    // Without a process card there is no id to know it by.
    let without = Handover { message_id: None, ..handover };
    assert_eq!(receiver.hand_over(&without).code, 800);
    assert_eq!(receiver.hand_over(&without).code, 800);
    assert_eq!(receiver.kept(), ["id-1", "without-id", "without-id-2"]);
}

/// An application behind HTTP that answers by message id, and remembers what it was sent.
struct Application {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Application {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/deliveries", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (notes, own) = (Arc::clone(&asked), url.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (notes, own) = (Arc::clone(&notes), own.clone());
                thread::spawn(move || serve(stream.unwrap(), &notes, &own));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, notes: &Mutex<Vec<String>>, own: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let is = |id: &str| body.contains(&format!(r#""message_id":"{id}""#));
    let (status, more, answer) = match () {
        () if is("never") => ("422 Unprocessable", String::new(), ""),
        () if is("later") => ("503 Service Unavailable", String::new(), ""),
        () if is("broken") => ("500 Oh", String::new(), ""),
        () if is("elsewhere") => ("302 Found", format!("Location: {own}/elsewhere\r\n"), ""),
        () if is("gone") => return,
        () if is("slow") => return thread::sleep(Duration::from_secs(600)),
        () if is("question") => ("200 OK", String::new(), "<receipt/>"),
        () => ("204 No Content", String::new(), ""),
    };
    notes.lock().unwrap().push(format!("{head}{body}"));
    let length = answer.len();
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{answer}");
}

#[test]
fn an_application_decides() {
    let application = Application::start();
    let receiver = Receiver::start(&["--http", &application.url, "--timeout", "5"]);
    assert_eq!(receiver.hand_over(&Handover::new("yes")).code, 800);
    assert_eq!(receiver.hand_over(&Handover::new("yes")).code, 800);
    let asked = application.asked();
    assert_eq!(asked.len(), 1, "it is asked once");
    assert!(asked[0].starts_with("POST /deliveries HTTP/1.1\r\n"), "{}", asked[0]);
    for part in [
        "multipart/form-data; boundary=rohrpost-",
        r#"filename="delivery.json""#,
        r#"filename="_form ä.pdf""#,
        "Content-Type: application/pdf\r\n\r\n%PDF\r\n--rohrpost-",
        "<notice>moved in</notice>",
    ] {
        assert!(asked[0].contains(part), "{part}: {}", asked[0]);
    }
    for (id, code) in
        [("never", 9805), ("later", 9811), ("broken", 9811), ("elsewhere", 9811), ("gone", 9811), ("slow", 9811)]
    {
        assert_eq!(receiver.hand_over(&Handover::new(id)).code, code, "{id}");
    }
    assert_eq!(application.asked().len(), 5, "redirects are not followed");
    assert_eq!(receiver.kept(), ["yes"]);

    for _ in 0..2 {
        let answer = receiver.hand_over(&Handover::to_be_answered("question"));
        assert_eq!(answer.code, 800);
        assert_eq!(answer.reply.unwrap().containers().len(), 1);
    }
    assert_eq!(receiver.file("question/reply/content.xml"), "<receipt/>");
    assert_eq!(receiver.hand_over(&Handover::to_be_answered("silent")).code, 9811, "there was no body");
    assert_eq!(application.asked().len(), 7);
    assert_eq!(receiver.kept(), ["question", "yes"]);
}

#[test]
fn deliveries_do_not_travel_in_clear() {
    for options in [
        &["--http", "http://192.0.2.1:8080/"][..],
        &["--http", "http://register.example/"],
        &["--http", "https://register.example/"],
        &["--http", "ftp://localhost/"],
        &["--http", "http://localhost:1/", "--exec", "/bin/true"],
        &["--exec", "/no/such/program"],
    ] {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let receiver = Receiver { child: None, home: TempDir::new().unwrap(), options, address: String::new() };
        let ended = receiver.command().output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{:?}", receiver.options);
    }
}

#[test]
fn a_kill_loses_nothing_and_doubles_nothing() {
    let mut receiver = Receiver::start(&[]);
    let ids = ["kill-1", "kill-2", "kill-3", "kill-4", "kill-5"];
    let mut answered = 0;
    for id in ids {
        let (handover, folder, address) = (Handover::new(id), receiver.dir().join(id), receiver.address.clone());
        let request = handover.write();
        thread::scope(|scope| {
            let first = scope.spawn(|| post(&address, &request));
            // It is on the disk; whether the answer has gone nobody knows.
            wait_until(|| folder.exists(), "the delivery is kept");
            receiver.kill();
            answered += usize::from(!first.join().unwrap().is_empty());
        });
        receiver.restart();
        assert_eq!(handover.read(&receiver.try_post(&request)).code, 800);
        is_whole(&receiver.dir().join(id));
    }
    assert_eq!(receiver.kept(), ids);
    eprintln!("{answered} of {} answers had gone", ids.len());
}

#[test]
fn a_kill_while_the_program_works_leaves_nothing_half_done() {
    let mut receiver = Receiver::with_program(
        r#"
        echo begun >> "$notes/begun"
        while [ -e "$notes/hold" ]; do sleep 0.01; done"#,
    );
    fs::write(receiver.home.path().join("hold"), "").unwrap();
    let (handover, address) = (Handover::new("id-1"), receiver.address.clone());
    let request = handover.write();
    thread::scope(|scope| {
        let first = scope.spawn(|| post(&address, &request));
        wait_until(|| !receiver.notes("begun").is_empty(), "the program runs");
        receiver.kill();
        assert!(first.join().unwrap().is_empty(), "nothing was promised");
    });
    fs::remove_file(receiver.home.path().join("hold")).unwrap();
    assert_eq!(receiver.kept().len(), 1, "what was begun");
    receiver.restart();
    assert!(receiver.kept().is_empty(), "is gone");
    assert_eq!(handover.read(&receiver.try_post(&request)).code, 800);
    assert_eq!(receiver.kept(), ["id-1"]);
    assert_eq!(receiver.notes("begun").lines().count(), 2);
}

//! The log: entries, checkpoints, proofs and exports.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use rohrpost_audit::{
    Checkpoint, Event, Frontier, Hash, HashReader, Leaf, LeafProof, LogReader, LogSigner, LogVerifier, SigningKey,
    export, verify_export,
};
use time::{Duration, OffsetDateTime};

/// Bytes as an entry.
pub fn audit_leaf(data: &[u8]) {
    let Ok(leaf) = Leaf::parse(data) else { return };
    let written = leaf.to_bytes();
    let again = Leaf::parse(&written).expect("what we write can be read");
    assert_eq!(again.to_bytes(), written, "an entry has one spelling");
    assert_eq!((again.version(), &again.event), (leaf.version(), &leaf.event));
    let cut = again.omitted() != leaf.omitted();
    assert!(cut || again.certificates == leaf.certificates && again.commitments == leaf.commitments);
}

/// Bytes as a signed checkpoint, and as the text of a verifier.
pub fn audit_checkpoint(data: &[u8]) {
    let signer = signer();
    let opened = Checkpoint::open(data, signer.verifier());
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(verifier) = LogVerifier::from_text(text)
    {
        let again = LogVerifier::from_text(&verifier.to_string()).expect("what we write can be read");
        assert_eq!(again.to_string(), verifier.to_string());
    }
    let Ok(checkpoint) = Checkpoint::peek(data) else {
        assert!(opened.is_err(), "nothing is believed that cannot be looked at");
        return;
    };
    if let Ok(opened) = opened {
        assert_eq!(opened, checkpoint);
        assert_eq!(opened.size, log().tree.size(), "the key signed one size only");
    }
    let ours = Checkpoint { origin: signer.verifier().name().to_owned(), ..checkpoint };
    let note = ours.sign(&signer);
    assert_eq!(Checkpoint::open(note.as_bytes(), signer.verifier()).as_ref(), Ok(&ours));
}

/// A text as proof that an entry is in the log.
pub fn audit_proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(proof) = LeafProof::from_text(text) else { return };
    assert_eq!(proof.to_text(), text, "a proof has one spelling");
    if let Ok((leaf, checkpoint)) = proof.verify(signer().verifier()) {
        let at = usize::try_from(proof.index).expect("within the log");
        assert_eq!(Some(&proof.record), log().records.get(at), "only what is in the log can be proven");
        assert_eq!((leaf.to_bytes(), checkpoint.size), (proof.record, log().tree.size()));
    }
}

/// A change to one file of an export: the first byte chooses the file, the second what happens to it, the rest is its content.
pub fn audit_export(data: &[u8]) {
    static FILES: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(exported);
    let [choice, action, content @ ..] = data else { return };
    let at = usize::from(*choice) % FILES.len();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut good = false;
    for (index, (path, genuine)) in FILES.iter().enumerate() {
        let content = match (index == at, action % 4) {
            (true, 0) => content.to_vec(),
            (true, 1) => [genuine, content].concat(),
            (true, 2) => genuine[..genuine.len().min(content.len())].to_vec(),
            (true, _) => genuine.iter().zip(content.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a ^ b).collect(),
            (false, _) => genuine.clone(),
        };
        if index == at {
            // Witnesses may add signatures to a checkpoint.
            let vouched = Checkpoint::open(&content, signer().verifier()).is_ok();
            good = content == *genuine || (vouched && path.ends_with("checkpoint"));
        }
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("it lies in the directory")).expect("directories");
        fs::write(path, content).expect("files");
    }
    let report = verify_export(dir.path(), signer().verifier()).expect("the files can be read");
    assert_eq!(report.is_good(), good, "every change is noticed: {:?} of {:?}", action % 4, FILES[at].0);
}

fn signer() -> LogSigner {
    LogSigner::new("log.example", SigningKey::from_seed(&[3; 32])).expect("a name")
}

/// The only log that the key of [`signer`] ever signed.
#[derive(Default)]
struct Log {
    records: Vec<Vec<u8>>,
    levels: [Vec<Hash>; 2],
    tree: Frontier,
}

fn log() -> &'static Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let mut log = Log::default();
        for number in 0_u32..300 {
            let mut leaf = Leaf::new(OffsetDateTime::UNIX_EPOCH + Duration::seconds(number.into()), Event::Accepted);
            leaf.message_id = Some(format!("id-{number}"));
            let record = leaf.to_bytes();
            let hash = Hash::of_leaf(&record);
            log.levels[0].push(hash);
            log.tree.append(hash).iter().for_each(|node| log.levels[usize::from(node.level)].push(node.hash));
            log.records.push(record);
        }
        log
    });
    &LOG
}

impl HashReader for Log {
    type Error = Infallible;

    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, Infallible> {
        Ok(cut(&self.levels[usize::from(level)], start, count))
    }
}

impl LogReader for Log {
    fn records(&self, start: u64, count: usize) -> Result<Vec<Vec<u8>>, Infallible> {
        Ok(cut(&self.records, start, count))
    }
}

fn cut<T: Clone>(all: &[T], start: u64, count: usize) -> Vec<T> {
    let start = usize::try_from(start).expect("a small log");
    all[start..start + count].to_vec()
}

/// The files of the log's export, paths relative.
fn exported() -> Vec<(PathBuf, Vec<u8>)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = log();
    let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: log.tree.size(), root: log.tree.root() };
    export(log, &checkpoint.sign(&signer()), dir.path(), &mut |_, _| {}).expect("an export");
    let (mut files, mut folders) = (Vec::new(), vec![dir.path().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("directories") {
            let path = entry.expect("entries").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(dir.path()).expect("below").to_owned();
                files.push((relative, fs::read(path).expect("files")));
            }
        }
    }
    files.sort();
    files
}

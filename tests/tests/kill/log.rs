//! The auditor: keeps checkpoints, exports the log and checks it with nothing but the public key.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use rohrpost_audit::{
    Checkpoint, Frontier, Hash, HashReader, Leaf, LogVerifier, consistency, verify_consistency, verify_export_since,
};
use rohrpost_tests::{Server, run};
use tempfile::TempDir;

/// Checkpoints as they were published, and the public key.
pub struct Auditor {
    desk: TempDir,
    kept: Vec<String>,
}

impl Auditor {
    pub fn new(server: &Server) -> Self {
        let mut auditor = Self { desk: tempfile::tempdir().unwrap(), kept: Vec::new() };
        auditor.keep_checkpoint(server);
        auditor
    }

    fn key_file(&self) -> PathBuf {
        self.desk.path().join("key")
    }

    /// Writes down what the log claims to be at this moment.
    pub fn keep_checkpoint(&mut self, server: &Server) {
        let key_file = self.key_file();
        let first_key = fs::read_to_string(&key_file).ok();
        let mut args = vec!["--json".to_owned(), "audit".into(), "checkpoint".into()];
        args.extend(["--key-to".to_owned(), key_file.display().to_string()]);
        let report: serde_json::Value = serde_json::from_str(&command(args, server.config_args())).unwrap();
        self.kept.push(report["checkpoint"].as_str().unwrap().to_owned());
        let key = fs::read_to_string(&key_file).unwrap();
        assert!(first_key.is_none_or(|first| first == key), "the log has another key");
    }

    /// Exports, verifies against everything kept, proves every checkpoint consistent with the last, and gives all entries.
    pub fn verify(&self, server: &Server) -> Vec<Leaf> {
        let dir = self.desk.path().join("export");
        let to = ["--json", "audit", "export", "--to"].map(str::to_owned).into_iter().chain([path(&dir)]);
        command(to.collect(), server.config_args());
        let mut verify = vec!["--json".to_owned(), "audit".into(), "verify".into(), path(&dir)];
        verify.extend(["--key".to_owned(), path(&self.key_file())]);
        for (number, note) in self.kept.iter().enumerate() {
            let file = self.desk.path().join(format!("checkpoint-{number}"));
            fs::write(&file, note).unwrap();
            verify.extend(["--since".to_owned(), path(&file)]);
        }
        command(verify, Vec::new());

        let verifier = LogVerifier::from_text(&fs::read_to_string(self.key_file()).unwrap()).unwrap();
        let open = |note: &String| Checkpoint::open(note.as_bytes(), &verifier).unwrap();
        let known: Vec<Checkpoint> = self.kept.iter().map(open).collect();
        let report = verify_export_since(&dir, &verifier, &known, &mut |_, _| {}).unwrap();
        assert_eq!(report.problems, []);
        let leaves = records(&dir, report.size);
        let tree = Tree(leaves.iter().map(|record| Hash::of_leaf(record)).collect());
        for checkpoint in &known {
            let Ok(proof) = consistency(&tree, checkpoint.size, report.size);
            let old = (checkpoint.size, &checkpoint.root);
            verify_consistency(old, (report.size, &report.root), &proof).unwrap();
        }
        assert!(known.is_sorted_by_key(|checkpoint| checkpoint.size), "the log shrank");
        leaves.iter().map(|record| Leaf::parse(record).unwrap()).collect()
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Runs the binary, which must succeed.
fn command(mut args: Vec<String>, config: Vec<String>) -> String {
    args.extend(config);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (code, output) = run(&args);
    assert_eq!(code, Some(0), "{args:?}: {output}");
    output
}

/// The entries of an export (C2SP tlog-tiles, entry bundles).
fn records(dir: &Path, size: u64) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for number in 0..size.div_ceil(256) {
        let full = dir.join(format!("tile/entries/{number:03}"));
        let partial = dir.join(format!("tile/entries/{number:03}.p/{}", size % 256));
        let bundle = fs::read(if full.exists() { full } else { partial }).unwrap();
        let mut rest = bundle.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let (record, tail) = tail.split_at(u16::from_be_bytes(*length).into());
            records.push(record.to_vec());
            rest = tail;
        }
    }
    assert_eq!(records.len() as u64, size);
    records
}

/// The log as an auditor rebuilds it.
struct Tree(Vec<Hash>);

impl HashReader for Tree {
    type Error = Infallible;

    fn hashes(&self, level: u8, start: u64, count: usize) -> Result<Vec<Hash>, Infallible> {
        let width = 256_usize.pow(level.into());
        let root = |leaves: &[Hash]| {
            let mut frontier = Frontier::new();
            leaves.iter().for_each(|leaf| drop(frontier.append(*leaf)));
            frontier.root()
        };
        let complete = self.0.chunks_exact(width).skip(start as usize).take(count);
        Ok(complete.map(root).collect())
    }
}

//! A delivery as a folder of files. Names come from the sender, who is not trusted with our file system.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rohrpost_client::stream;
use rohrpost_crypto::sha256;
use rohrpost_osci::source::{ReadAt, read_range};
use tempfile::TempDir;

use super::party;

/// A folder that is being filled; it appears under its name when it is complete, and vanishes if it never is.
pub(crate) struct Folder {
    target: PathBuf,
    filling: TempDir,
    /// Names in use, folded: some file systems do not tell case.
    taken: HashSet<String>,
}

impl Folder {
    /// Within `target`, which exists.
    pub(crate) fn new(target: PathBuf) -> Result<Self> {
        let filling = tempfile::Builder::new().prefix(FILLING).tempdir_in(&target);
        let filling = filling.with_context(|| format!("cannot write to {}", target.display()))?;
        Ok(Self { target, filling, taken: HashSet::new() })
    }

    /// Writes data that have no name of their own: the ending is guessed.
    pub(crate) fn write_data(&mut self, name: &str, bytes: &Arc<dyn ReadAt>) -> Result<String> {
        self.write(&format!("{name}.{}", ending(bytes)?), bytes)
    }

    /// Writes a file under a name that is close to the one wanted, and gives the name back.
    pub(crate) fn write(&mut self, wanted: &str, bytes: &Arc<dyn ReadAt>) -> Result<String> {
        let name = numbered(&harmless(wanted), |name| self.taken.insert(name.to_lowercase()));
        let failed = || format!("cannot write to {}", self.target.display());
        let mut file = File::create_new(self.filling.path().join(&name)).with_context(failed)?;
        io::copy(&mut stream(bytes), &mut file).with_context(failed)?;
        file.sync_all().with_context(failed)?;
        Ok(name)
    }

    /// Where it lies until it is complete.
    pub(crate) fn path(&self) -> &Path {
        self.filling.path()
    }

    /// Keeps a name for a file or folder of ours from what the sender names.
    pub(crate) fn reserve(&mut self, name: &str) {
        self.taken.insert(name.to_lowercase());
    }

    /// Gives the folder exactly this name, which no folder has that is not empty, and makes it durable.
    pub(crate) fn finish_as(self, name: &str) -> Result<PathBuf> {
        let failed = || format!("cannot write to {}", self.target.display());
        sync(self.filling.path()).with_context(failed)?;
        let folder = self.target.join(name);
        fs::rename(self.filling.path(), &folder).with_context(failed)?;
        sync(&self.target).with_context(failed)?;
        Ok(folder)
    }

    /// Gives the folder a name close to the one wanted and makes it durable.
    pub(crate) fn finish(self, wanted: &str) -> Result<PathBuf> {
        let failed = || format!("cannot write to {}", self.target.display());
        sync(self.filling.path()).with_context(failed)?;
        let mut error = None;
        let name = numbered(&harmless(wanted), |name| match fs::create_dir(self.target.join(name)) {
            Ok(()) => true,
            Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => false,
            Err(problem) => {
                error = Some(problem);
                true
            }
        });
        if let Some(error) = error {
            return Err(error).with_context(failed);
        }
        let folder = self.target.join(name);
        // The name is ours now, and empty: renaming replaces it.
        fs::rename(self.filling.path(), &folder).with_context(failed)?;
        sync(&self.target).with_context(failed)?;
        Ok(folder)
    }
}

/// Writes data into a folder under `name` and the ending that is guessed; not durable yet.
pub(crate) fn write_data(folder: &Path, name: &str, bytes: &Arc<dyn ReadAt>) -> io::Result<()> {
    let mut file = File::create_new(folder.join(format!("{name}.{}", ending(bytes)?)))?;
    io::copy(&mut stream(bytes), &mut file).map(drop)
}

/// What data probably are, as the ending of a name.
fn ending(bytes: &Arc<dyn ReadAt>) -> io::Result<&'static str> {
    let start = read_range(&**bytes, 0..bytes.len().min(64))?;
    let is_xml = start.trim_ascii_start().starts_with(b"<");
    Ok(match (is_xml, std::str::from_utf8(&start).is_ok()) {
        (true, _) => "xml",
        (false, true) => "txt",
        (false, false) => "bin",
    })
}

/// The names of folders that are being filled begin with this.
pub(crate) const FILLING: &str = ".rohrpost-";

/// Bytes of the hash in a name: enough that nobody finds two ids with the same.
const HASHED: usize = 16;

/// The folder name of a delivery: its id, where that is harmless; otherwise something close to it that no other id leads to.
pub(crate) fn name_of(message_id: &str) -> String {
    let name = harmless(message_id);
    let is_hash = |end: &str| end.len() == 2 * HASHED && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let looks_hashed = name.rsplit_once('-').is_some_and(|(_, end)| is_hash(end));
    if name == message_id && !looks_hashed {
        return name;
    }
    let hash: String = sha256(message_id.as_bytes())[..HASHED].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut end = name.len().min(100);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{hash}", &name[..end])
}

/// A directory is durable when it was synced itself.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Longest name in bytes, with room for a number.
const LONGEST: usize = 200;

/// A name that stays in its folder on every usual file system, and is visible there.
fn harmless(wanted: &str) -> String {
    let ill = |c: char| c.is_control() || party::is_invisible(c) || r#"/\:*?"<>|"#.contains(c);
    let mut name: String = wanted.chars().map(|c| if ill(c) { '_' } else { c }).collect();
    let ends: &[char] = &['.', ' '];
    name = name.trim_start_matches(ends).trim_end_matches(ends).to_owned();
    if name.len() > LONGEST {
        name = shortened(&name);
    }
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |device: &str| stem.strip_prefix(device).is_some_and(|n| n.len() == 1 && n != "0");
    let is_device = ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT");
    if name.is_empty() || is_device { format!("_{name}") } else { name }
}

/// Cut in the middle: the ending says what it is.
fn shortened(name: &str) -> String {
    let (stem, ending) = name.rsplit_once('.').filter(|(_, ending)| ending.len() <= 16).unwrap_or((name, ""));
    let mut end = LONGEST - 17;
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    if ending.is_empty() { stem[..end].to_owned() } else { format!("{}.{ending}", &stem[..end]) }
}

/// The name, or the first numbered one, that is free.
fn numbered(name: &str, mut take: impl FnMut(&str) -> bool) -> String {
    if take(name) {
        return name.to_owned();
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    (2..).map(|n| format!("{stem}-{n}{ending}")).find(|name| take(name)).expect("numbers do not run out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder_and_visible() {
        for (wanted, harmless_name) in [
            ("scan ü.pdf", "scan ü.pdf"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            (r"C:\boot.ini", "C__boot.ini"),
            ("..", "_"),
            ("", "_"),
            (".bashrc", "bashrc"),
            ("a\0b\nc", "a_b_c"),
            ("con.txt", "_con.txt"),
            ("COM1", "_COM1"),
            ("comma.txt", "comma.txt"),
            ("letter\u{202E}fdp.exe", "letter_fdp.exe"),
            ("trailing. . ", "trailing"),
        ] {
            assert_eq!(harmless(wanted), harmless_name, "{wanted:?}");
        }
        let long = harmless(&format!("{}.pdf", "ü".repeat(500)));
        assert!(long.len() <= LONGEST && long.ends_with("ü.pdf"), "{long}");
        assert!(harmless(&"x".repeat(5000)).len() <= LONGEST);
    }

    #[test]
    fn every_id_has_a_folder_of_its_own() {
        assert_eq!(name_of("id-4711"), "id-4711");
        let long = "x".repeat(5000);
        let ids = ["a/b", "a_b", "a:b", ".a", "a", "..", "", "_", "con", "_con", &long, &long[..4999], "id\u{202E}"];
        let mut names: HashSet<String> = ids.iter().map(|id| name_of(id)).collect();
        assert_eq!(names.len(), ids.len());
        assert!(names.insert(name_of(&name_of("a/b"))), "nor does a name of ours lead to itself");
        assert!(names.iter().all(|name| name.len() <= LONGEST && !name.contains('/') && !name.starts_with('.')));
    }

    #[test]
    fn nothing_is_overwritten() {
        let target = tempfile::tempdir().unwrap();
        let bytes = |text: &str| -> Arc<dyn ReadAt> { Arc::new(text.as_bytes().to_vec()) };
        for round in ["id", "id-2", "id-3"] {
            let mut folder = Folder::new(target.path().to_owned()).unwrap();
            assert_eq!(folder.write("a.txt", &bytes("1")).unwrap(), "a.txt");
            assert_eq!(folder.write("A.txt", &bytes("2")).unwrap(), "A-2.txt");
            assert_eq!(folder.write("a.txt", &bytes("3")).unwrap(), "a-3.txt");
            assert_eq!(folder.write_data("d", &bytes(" <x/>")).unwrap(), "d.xml");
            assert_eq!(folder.write_data("d", &bytes("text")).unwrap(), "d.txt");
            let path = folder.finish("id").unwrap();
            assert_eq!(path, target.path().join(round));
            assert_eq!(fs::read_to_string(path.join("a-3.txt")).unwrap(), "3");
        }
        let mut unfinished = Folder::new(target.path().to_owned()).unwrap();
        unfinished.write("a", &bytes("1")).unwrap();
        drop(unfinished);
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 3);
    }
}

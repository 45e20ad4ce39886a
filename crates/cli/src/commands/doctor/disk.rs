//! Whether the disk keeps what it is given.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rohrpost_pipeline::spool::SpoolDir;
use tempfile::NamedTempFile;

use super::finding::{Finding, text};
use crate::config::RawConfig;

const CHECK: &str = "disk";
/// Attempts, of which the middle one counts.
const WRITES: usize = 9;
const SLOW: Duration = Duration::from_millis(20);
/// No disk answers so fast.
const UNBELIEVABLE: Duration = Duration::from_micros(15);

pub(super) fn examine(raw: &RawConfig, base: &Path) -> Vec<Finding> {
    let directory = base.join(&raw.storage.directory);
    let existing = directory.ancestors().find(|place| place.as_os_str().is_empty() || place.exists());
    let place = existing.filter(|place| !place.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut findings = Vec::new();
    let shown = directory.display();
    if place == directory {
        findings.extend(mode(place));
    } else {
        findings.push(Finding::ok(
            CHECK,
            text!("{shown} wird beim ersten Start angelegt.", "{shown} will be made at the first start."),
        ));
    }
    findings.push(space(raw, place));
    match durable(place) {
        Ok(took) => findings.push(speed(took)),
        Err(error) => findings.push(unwritable(place, &error)),
    }
    let (incoming, bodies) = (directory.join("incoming"), directory.join("bodies"));
    if incoming.exists() && bodies.exists() {
        findings.push(one_file_system(&incoming, &bodies));
    }
    findings
}

fn mode(place: &Path) -> Option<Finding> {
    let mode = fs::metadata(place).ok()?.mode() & 0o777;
    let path = place.display();
    (mode & 0o077 != 0).then(|| {
        Finding::warning(
            CHECK,
            text!(
                "{path} ist für andere zugänglich (Rechte {mode:03o}).",
                "{path} is open to others (mode {mode:03o})."
            ),
        )
        .remedy(text!("chmod 700 {path}", "chmod 700 {path}"))
    })
}

fn space(raw: &RawConfig, place: &Path) -> Finding {
    let reserve = raw.storage.reserve_bytes;
    let free = match SpoolDir::new(place).free() {
        Ok(free) => free,
        Err(error) => {
            return Finding::warning(
                CHECK,
                text!("Der freie Platz ist nicht bekannt.", "The free space is not known."),
            )
            .because(error);
        }
    };
    let (free_mib, reserve_mib) = (free >> 20, reserve >> 20);
    let what =
        text!("{free_mib} MiB frei, Reserve {reserve_mib} MiB", "{free_mib} MiB free, reserve {reserve_mib} MiB");
    let remedy = text!(
        "Platz schaffen, Aufbewahrung (retention) verkürzen oder das Dateisystem vergrößern.",
        "Make space, shorten the retention, or enlarge the file system."
    );
    if free < reserve {
        Finding::problem(CHECK, what)
            .cause(text!("Neue Zustellungen werden zurzeit abgelehnt.", "New deliveries are refused at present."))
            .remedy(remedy)
    } else if free < reserve.saturating_mul(2) {
        Finding::warning(CHECK, what)
            .cause(text!("Bald werden neue Zustellungen abgelehnt.", "New deliveries will soon be refused."))
            .remedy(remedy)
    } else {
        Finding::ok(CHECK, what)
    }
}

/// Writes, waits for the disk, renames, and waits for the folder: what every delivery needs. The middle of the waits.
fn durable(place: &Path) -> io::Result<Duration> {
    let mut waits = Vec::new();
    let mut file = tempfile::Builder::new().prefix(".doctor-").tempfile_in(place)?;
    for _ in 0..WRITES {
        file.write_all(&[0; 4096])?;
        let began = Instant::now();
        file.as_file().sync_data()?;
        waits.push(began.elapsed());
    }
    renamed(file, place)?;
    waits.sort_unstable();
    Ok(waits[waits.len() / 2])
}

fn renamed(file: NamedTempFile, folder: &Path) -> io::Result<()> {
    // A name nobody has: that of another temporary file, which it replaces.
    let target = tempfile::Builder::new().prefix(".doctor-").tempfile_in(folder)?.into_temp_path();
    file.persist(&target)?;
    File::open(folder)?.sync_all()?;
    target.close()
}

fn speed(took: Duration) -> Finding {
    let took_ms = format!("{:.2}", took.as_secs_f64() * 1e3);
    let what = text!("Schreiben ist nach {took_ms} ms dauerhaft.", "A write is durable after {took_ms} ms.");
    if took > SLOW {
        Finding::warning(CHECK, what)
            .cause(text!(
                "Eine langsame oder überlastete Platte; jede Annahme wartet darauf.",
                "A slow or busy disk; every acceptance waits for it."
            ))
            .remedy(text!(
                "Eine SSD mit Schutz gegen Stromausfall verwenden.",
                "Use an SSD with power-loss protection."
            ))
    } else if took < UNBELIEVABLE {
        Finding::warning(CHECK, what)
            .cause(text!(
                "So schnell ist keine Platte: ein Dateisystem im Hauptspeicher, oder Schreibbefehle werden nicht abgewartet.",
                "No disk is so fast: a file system in memory, or writes are not waited for."
            ))
            .remedy(text!(
                "storage.directory auf eine Platte legen, die einen Stromausfall übersteht.",
                "Put storage.directory on a disk that survives a power cut."
            ))
    } else {
        Finding::ok(CHECK, what)
    }
}

fn unwritable(place: &Path, error: &io::Error) -> Finding {
    let path = place.display();
    Finding::problem(
        CHECK,
        text!("In {path} kann nicht dauerhaft geschrieben werden.", "Nothing can be written durably in {path}."),
    )
    .because(error)
    .remedy(text!(
        "Das Verzeichnis dem Benutzer des Servers geben und das Dateisystem prüfen.",
        "Give the folder to the user of the server, and check the file system."
    ))
}

fn one_file_system(incoming: &Path, bodies: &Path) -> Finding {
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev());
    match (device(incoming), device(bodies)) {
        (Ok(one), Ok(other)) if one == other => Finding::ok(
            CHECK,
            text!(
                "incoming und bodies liegen auf demselben Dateisystem.",
                "incoming and bodies lie on the same file system."
            ),
        ),
        (Ok(_), Ok(_)) => Finding::warning(
            CHECK,
            text!(
                "incoming und bodies liegen auf verschiedenen Dateisystemen.",
                "incoming and bodies lie on different file systems."
            ),
        )
        .cause(text!(
            "Jeder große Inhalt wird kopiert statt umbenannt.",
            "Every large body is copied instead of renamed."
        ))
        .remedy(text!("Beide auf ein Dateisystem legen.", "Put both on one file system.")),
        (Err(error), _) | (_, Err(error)) => unwritable(incoming, &error),
    }
}

//! Puts a configuration together: built-in defaults, then the file, then the environment, then `--set`.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize as _;
use toml::{Table, Value};

use super::raw::{DEFAULT, RawConfig};

/// Prefix of environment variables: `ROHRPOST__SECTION__KEY`.
const ENVIRONMENT_PREFIX: &str = "ROHRPOST__";

/// Tables in which a file replaces the whole default: mixing two ways to name a key file would be ambiguous.
const REPLACED_WHOLE: &[&str] = &["keys.cipher", "keys.signature"];

/// Reads `file` (or only the defaults) and lays environment and `sets` (`section.key=value`) over it. Each layer is checked
/// by itself, so that an error can say where the mistake was made.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    sets: &[String],
) -> Result<RawConfig> {
    let mut all = DEFAULT.parse::<Table>().context("the built-in configuration does not parse")?;
    let mut config = typed(&all)?;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table = text.parse::<Table>().with_context(|| format!("{} is not valid TOML", path.display()))?;
        merge(&mut all, table, "");
        config = typed(&all).with_context(|| path.display().to_string())?;
    }
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
            let key = key.to_lowercase().replace("__", ".");
            config = set(&mut all, &key, &value).with_context(|| format!("environment variable {name}"))?;
        }
    }
    for assignment in sets {
        let (key, value) =
            assignment.split_once('=').with_context(|| format!("--set {assignment}: write it as section.key=value"))?;
        config = set(&mut all, key.trim(), value.trim()).with_context(|| format!("--set {assignment}"))?;
    }
    Ok(config)
}

/// What the tables mean. An error names the section it is in.
fn typed(all: &Table) -> Result<RawConfig> {
    let read = |table: &Table| RawConfig::deserialize(Value::Table(table.clone()));
    read(all).map_err(|error| {
        let known = DEFAULT.parse::<Table>().unwrap_or_default();
        let wrong = all.iter().find(|(section, value)| {
            let mut alone = known.clone();
            alone.insert((*section).clone(), (*value).clone());
            read(&alone).is_err()
        });
        match wrong.filter(|(section, _)| known.contains_key(*section)) {
            Some((section, _)) => anyhow!("[{section}]: {}", error.message()),
            None => anyhow!("{}", error.message()),
        }
    })
}

fn merge(into: &mut Table, from: Table, path: &str) {
    for (key, value) in from {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if !REPLACED_WHOLE.contains(&here.as_str()) => {
                merge(old, new, &here);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Sets one dotted key. The value is read as TOML where it is valid TOML (`5`, `true`, `["a"]`), as text otherwise.
fn set(all: &mut Table, key: &str, value: &str) -> Result<RawConfig> {
    let (path, last) = key.rsplit_once('.').with_context(|| format!("`{key}` names no section"))?;
    let mut here = &mut *all;
    for part in path.split('.') {
        let next = here.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        match next {
            Value::Table(inner) => here = inner,
            _ => bail!("`{part}` in `{key}` is no section"),
        }
    }
    if REPLACED_WHOLE.contains(&path) {
        // The other way to name a key file is given up.
        let (archive, pem) = (["pkcs12", "pin_file"], ["certificate", "key"]);
        let other = if pem.contains(&last) { archive } else { pem };
        other.iter().for_each(|key| drop(here.remove(*key)));
    }
    here.insert(last.to_owned(), parsed(value, here.get(last)));
    typed(all)
}

fn parsed(value: &str, present: Option<&Value>) -> Value {
    if matches!(present, Some(Value::String(_))) {
        return Value::String(value.trim_matches('"').to_owned());
    }
    format!("v = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(sets: &[&str]) -> Result<RawConfig> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        load(None, [], &sets)
    }

    #[test]
    fn defaults_are_complete() {
        let config = with(&[]).unwrap();
        assert_eq!(config.http.listen, ["127.0.0.1:4080"]);
        assert!(!config.orders.dangerous_fetch_without_encryption);
    }

    #[test]
    fn later_layers_win() {
        let environment = [("ROHRPOST__ORDERS__MAX_DIALOGS".to_owned(), "7".to_owned()), ("PATH".into(), "/".into())];
        let config = load(None, environment, &["orders.max_cards_per_answer=3".to_owned()]).unwrap();
        assert_eq!((config.orders.max_dialogs, config.orders.max_cards_per_answer), (7, 3));
    }

    #[test]
    fn values_are_typed_by_what_they_replace() {
        let config =
            with(&["http.listen=[\"127.0.0.1:0\"]", "log.level=debug", "orders.require_signature=[\"all\"]"]).unwrap();
        assert_eq!(config.http.listen, ["127.0.0.1:0"]);
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.orders.require_signature, ["all"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (set, word) in [
            ("orders.max_dialog=7", "max_dialog"),
            ("orders.max_dialogs=many", "invalid type"),
            ("max_dialogs=7", "no section"),
            ("log.level.x=7", "no section"),
            ("log.level", "section.key=value"),
            ("nothing.here=1", "nothing"),
        ] {
            let error = format!("{:#}", with(&[set]).unwrap_err());
            assert!(error.contains(word), "{set}: {error}");
        }
    }

    #[test]
    fn a_file_chooses_one_way_to_name_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        std::fs::write(&path, "[keys.cipher]\ncertificate = \"a.pem\"\nkey = \"b.pem\"\n").unwrap();
        let config = load(Some(&path), [], &[]).unwrap();
        assert!(config.keys.cipher.pkcs12.is_none());
        assert!(config.keys.signature.pkcs12.is_some());
        let config = with(&["keys.cipher.certificate=a.pem", "keys.cipher.key=b.pem"]).unwrap();
        assert!(config.keys.cipher.pkcs12.is_none() && config.keys.cipher.pin_file.is_none());
        assert_eq!(config.keys.cipher.key.unwrap().to_str(), Some("b.pem"));
    }

    #[test]
    fn mistakes_are_placed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        std::fs::write(&path, "[orders]\nmax_dialog = 1\n").unwrap();
        let text = |result: Result<RawConfig>| format!("{:#}", result.unwrap_err());
        let file = text(load(Some(&path), [], &[]));
        assert!(file.contains("c.toml: [orders]: unknown field `max_dialog`"), "{file}");
        let environment = text(load(None, [("ROHRPOST__LOG__LEVLE".into(), "info".into())], &[]));
        assert!(environment.starts_with("environment variable ROHRPOST__LOG__LEVLE: [log]: unknown"), "{environment}");
        let set = text(load(None, [], &["http.path=1".into(), "retention.cards_days=-1".into()]));
        assert!(set.starts_with("--set retention.cards_days=-1: [retention]: invalid value"), "{set}");
    }
}

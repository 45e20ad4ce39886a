//! Puts a configuration together: built-in defaults, then the file, then the environment, then `--set`.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use toml::{Table, Value};

use super::raw::{DEFAULT, RawConfig};

/// Prefix of environment variables: `ROHRPOST__SECTION__KEY`.
const ENVIRONMENT_PREFIX: &str = "ROHRPOST__";

/// Tables in which a file replaces the whole default: mixing two ways to name a key file would be ambiguous.
const REPLACED_WHOLE: &[&str] = &["keys.cipher", "keys.signature"];

/// Reads `file` (or only the defaults) and lays environment and `sets` (`section.key=value`) over it.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    sets: &[String],
) -> Result<RawConfig> {
    let mut all = DEFAULT.parse::<Table>().context("the built-in configuration does not parse")?;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table = text.parse::<Table>().with_context(|| format!("{} is not valid TOML", path.display()))?;
        merge(&mut all, table, "");
    }
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
            let key = key.to_lowercase().replace("__", ".");
            set(&mut all, &key, &value).with_context(|| format!("environment variable {name}"))?;
        }
    }
    for assignment in sets {
        let (key, value) =
            assignment.split_once('=').with_context(|| format!("--set {assignment}: write it as section.key=value"))?;
        set(&mut all, key.trim(), value.trim()).with_context(|| format!("--set {assignment}"))?;
    }
    RawConfig::deserialize(Value::Table(all)).map_err(|error| {
        let place = file.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
        anyhow::anyhow!("{place}: {}", error.message())
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
fn set(table: &mut Table, key: &str, value: &str) -> Result<()> {
    let (path, last) = key.rsplit_once('.').with_context(|| format!("`{key}` names no section"))?;
    let mut here = table;
    for part in path.split('.') {
        let next = here.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        match next {
            Value::Table(inner) => here = inner,
            _ => bail!("`{part}` in `{key}` is no section"),
        }
    }
    here.insert(last.to_owned(), parsed(value, here.get(last)));
    Ok(())
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
    }
}

//! Whom to ask about revocation, and what is made of silence.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rohrpost_crypto::SystemRandom;
use rohrpost_gateway::destinations::{Destination, Destinations};
use rohrpost_gateway::fetch::{FetchConfig, HttpFetcher};
use rohrpost_intermediary::UnknownRevocation;
use rohrpost_pki::revocation::{NoncePolicy, RevocationChecker, RevocationSettings};
use tokio::runtime::Handle;

use super::{bad, raw};
use crate::failure::{Failure, Kind};

/// Somebody is to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    /// What is made of silence.
    pub(crate) unknown: UnknownRevocation,
    settings: RevocationSettings,
    fetch: FetchConfig,
}

impl Revocation {
    /// What was written; `None` if nobody is to be asked.
    pub(crate) fn check(raw: &raw::Revocation) -> Result<Option<Self>> {
        let nonces = match raw.nonce.as_str() {
            "off" => NoncePolicy::Off,
            "preferred" => NoncePolicy::Preferred,
            "required" => NoncePolicy::Required,
            other => return Err(bad("revocation.nonce", other, "write \"off\", \"preferred\" or \"required\"")),
        };
        let only = hosts("revocation.only_hosts", &raw.only_hosts)?;
        let private = hosts("revocation.private_hosts", &raw.private_hosts)?;
        let seconds = |key, seconds: u64| match seconds {
            0 => Err(bad(key, "0", "write a number of seconds above 0")),
            seconds => Ok(Duration::from_secs(seconds)),
        };
        let fetch = FetchConfig {
            destinations: Destinations { only, private },
            head: seconds("revocation.answer_seconds", raw.answer_seconds)?,
            total: seconds("revocation.total_seconds", raw.total_seconds)?,
        };
        let settings = RevocationSettings {
            nonces,
            max_age: time::Duration::minutes(i64::from(raw.max_age_minutes)),
            retry: time::Duration::seconds(i64::from(raw.retry_seconds)),
            ..RevocationSettings::default()
        };
        let unknown = match raw.mode.as_str() {
            "off" => return Ok(None),
            "soft" => UnknownRevocation::Warn,
            "hard" => UnknownRevocation::Refuse,
            other => return Err(bad("revocation.mode", other, "write \"off\", \"soft\" or \"hard\"")),
        };
        Ok(Some(Self { unknown, settings, fetch }))
    }

    /// Asks over the network.
    pub(crate) fn checker(&self, runtime: Handle) -> RevocationChecker {
        let fetcher = HttpFetcher::new(runtime, self.fetch.clone());
        RevocationChecker::new(Arc::new(fetcher), Arc::new(SystemRandom), self.settings.clone())
    }
}

fn hosts(key: &str, texts: &[String]) -> Result<Vec<Destination>> {
    let read = |text: &String| {
        text.parse().with_context(|| {
            Failure::new(Kind::Configuration, format!("{key} cannot hold {text:?}"))
                .remedy("write host names or addresses, with a port if it matters, e.g. \"ocsp.example.org:8080\"")
        })
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(change: impl FnOnce(&mut raw::Revocation)) -> raw::Revocation {
        let mut raw = toml::from_str::<raw::RawConfig>(raw::DEFAULT).unwrap().revocation;
        change(&mut raw);
        raw
    }

    #[test]
    fn modes_are_understood() {
        assert!(Revocation::check(&raw(|_| ())).unwrap().is_none());
        let soft = Revocation::check(&raw(|raw| raw.mode = "soft".into())).unwrap().unwrap();
        assert_eq!(
            (soft.unknown, soft.settings, soft.fetch),
            (UnknownRevocation::Warn, RevocationSettings::default(), FetchConfig::default())
        );
        let hard = Revocation::check(&raw(|raw| raw.mode = "hard".into())).unwrap().unwrap();
        assert_eq!(hard.unknown, UnknownRevocation::Refuse);
    }

    #[test]
    fn nonsense_is_refused_even_if_nobody_is_asked() {
        let changes: [fn(&mut raw::Revocation); 6] = [
            |raw| raw.mode = "on".into(),
            |raw| raw.nonce = "yes".into(),
            |raw| raw.only_hosts = vec!["http://ocsp.example/".into()],
            |raw| raw.private_hosts = vec![String::new()],
            |raw| raw.answer_seconds = 0,
            |raw| raw.total_seconds = 0,
        ];
        for change in changes {
            assert!(Revocation::check(&raw(change)).is_err());
        }
    }
}

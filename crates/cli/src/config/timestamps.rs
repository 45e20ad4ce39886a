//! Which time-stamp service is asked, and what is made of its silence.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::destinations::{Destination, Destinations};
use rohrpost_gateway::fetch::{FetchConfig, HttpFetcher};
use rohrpost_intermediary::{NoStamp, ServiceDown, TimestampService, Timestamps, WithoutService};
use rohrpost_pki::timestamp::{MAX_LEN, TimestampRequest, TimestampToken, TimestampTrust};
use time::OffsetDateTime;
use tokio::runtime::Handle;

use super::{bad, certificates, raw, trusted};
use crate::failure::Failure;

/// A service that is to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    url: String,
    trust: TimestampTrust,
    fetch: FetchConfig,
    /// Between two attempts to get stamps that are waited for, after one that failed.
    pub(crate) pause: Duration,
}

impl Service {
    /// What was written; `None` if nobody is to be asked.
    pub(crate) fn check(raw: &raw::Timestamps, policy: &Policy, base: &Path) -> Result<Option<Self>> {
        let Some(url) = &raw.url else { return Ok(None) };
        let host = destination(url).ok_or_else(|| {
            bad(
                "timestamps.url",
                url,
                "write a plain http address, e.g. \"http://tsa.example.org/tsa\": stamps are signed",
            )
        })?;
        let private = if raw.internal { vec![host.clone()] } else { Vec::new() };
        let seconds = |key, seconds: u64| match seconds {
            0 => Err(bad(key, "0", "write a number of seconds above 0")),
            seconds => Ok(Duration::from_secs(seconds)),
        };
        let mut trust = TimestampTrust::new(anchors(&raw.authorities, base)?);
        trust.policy = policy.clone();
        trust.tolerance = time::Duration::seconds(i64::from(raw.tolerance_seconds));
        let fetch = FetchConfig {
            destinations: Destinations { only: vec![host], private },
            head: seconds("timestamps.answer_seconds", raw.answer_seconds)?,
            total: seconds("timestamps.answer_seconds", raw.answer_seconds)?,
        };
        let pause = seconds("timestamps.retry_seconds", raw.retry_seconds)?;
        Ok(Some(Self { url: url.clone(), trust, fetch, pause }))
    }

    /// Asks over the network.
    pub(crate) fn over_http(&self, runtime: Handle) -> Arc<dyn TimestampService> {
        let fetcher = HttpFetcher::new(runtime, self.fetch.clone());
        Arc::new(Asking { url: self.url.clone(), trust: self.trust.clone(), fetcher })
    }
}

/// What is made of wishes for cryptographic time stamps.
pub(crate) fn settings(raw: &raw::Timestamps) -> Result<Timestamps> {
    Ok(Timestamps {
        without_service: match raw.without_service.as_str() {
            "plain" => WithoutService::Plain,
            "refuse" => WithoutService::Refuse,
            other => return Err(bad("timestamps.without_service", other, "write \"plain\" or \"refuse\"")),
        },
        service_down: match raw.service_down.as_str() {
            "later" => ServiceDown::StampLater,
            "refuse" => ServiceDown::Refuse,
            other => return Err(bad("timestamps.service_down", other, "write \"later\" or \"refuse\"")),
        },
        at_once: raw.at_once,
    })
}

/// The service as the intermediary sees it.
struct Asking {
    url: String,
    trust: TimestampTrust,
    fetcher: HttpFetcher,
}

impl TimestampService for Asking {
    fn stamp(&self, imprint: [u8; 32], now: OffsetDateTime) -> Result<TimestampToken, NoStamp> {
        let question = TimestampRequest::new(imprint, &SystemRandom);
        let answer = self.fetcher.stamp(&self.url, question.der(), MAX_LEN)?;
        Ok(self.trust.accept(&answer, &question, now)?)
    }
}

/// Host and port of a plain http address.
fn destination(url: &str) -> Option<Destination> {
    let rest = url.strip_prefix("http://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty() && !host.contains('@'))?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    host.parse().ok()
}

fn anchors(files: &[PathBuf], base: &Path) -> Result<rohrpost_pki::Anchors> {
    let name = "timestamps.authorities";
    if files.is_empty() {
        return Err(bad(name, "[]", "name the certificates (PEM) of the authority behind the time-stamp service"));
    }
    trusted(certificates(name, files, base)?).map_err(|error| Failure::at_key(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(change: impl FnOnce(&mut raw::Timestamps)) -> raw::Timestamps {
        let mut raw = toml::from_str::<raw::RawConfig>(raw::DEFAULT).unwrap().timestamps;
        change(&mut raw);
        raw
    }

    fn check(raw: &raw::Timestamps) -> Result<Option<Service>> {
        let base = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../certs-test"));
        Service::check(raw, &Policy::standard(), base)
    }

    fn with_service(raw: &mut raw::Timestamps) {
        raw.url = Some("http://tsa.example/tsa".into());
        raw.authorities = vec!["ca/root-ca.cert.pem".into()];
    }

    #[test]
    fn without_an_address_nobody_is_asked() {
        assert!(check(&raw(|_| ())).unwrap().is_none());
        assert_eq!(settings(&raw(|_| ())).unwrap(), Timestamps::default());
        let service = check(&raw(with_service)).unwrap().unwrap();
        assert_eq!(service.trust.anchors.certificates().len(), 1);
        assert_eq!(
            (service.trust.tolerance, service.fetch.total),
            (time::Duration::minutes(5), Duration::from_secs(10))
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let changes: [fn(&mut raw::Timestamps); 7] = [
            |raw| raw.url = Some("https://tsa.example/".into()),
            |raw| raw.url = Some("http:///tsa".into()),
            |raw| raw.url = Some("http://user@tsa.example/".into()),
            |raw| raw.authorities = Vec::new(),
            |raw| raw.authorities = vec!["ca/none.pem".into()],
            |raw| raw.answer_seconds = 0,
            |raw| raw.retry_seconds = 0,
        ];
        for change in changes {
            let raw = raw(|raw| {
                with_service(raw);
                change(raw);
            });
            assert!(check(&raw).is_err(), "{raw:?}");
        }
        assert!(settings(&raw(|raw| raw.without_service = "ignore".into())).is_err());
        assert!(settings(&raw(|raw| raw.service_down = "plain".into())).is_err());
    }

    #[test]
    fn ports_are_found() {
        for (url, expected) in [
            ("http://a.example/x", Some("a.example:80")),
            ("http://a.example:8080", Some("a.example:8080")),
            ("http://127.0.0.1:9/tsa?x", Some("127.0.0.1:9")),
            ("https://a.example/", None),
            ("http://", None),
        ] {
            assert_eq!(destination(url), expected.map(|text| text.parse().unwrap()), "{url}");
        }
    }
}

//! Whether the time-stamp service gives stamps that count.

use std::path::Path;

use anyhow::Result;
use rohrpost_crypto::Random as _;
use rohrpost_crypto::SystemRandom;
use rohrpost_pki::timestamp::TimestampToken;
use time::OffsetDateTime;

use super::finding::{Finding, chain, text};
use crate::config::{self, RawConfig, timestamps::Service};

const CHECK: &str = "timestamps";

pub(super) fn examine(raw: &RawConfig, base: &Path, now: OffsetDateTime) -> Vec<Finding> {
    let service = config::policy(raw, base).and_then(|policy| Service::check(&raw.timestamps, &policy, base));
    match service {
        // That is a finding about the configuration.
        Err(_) => Vec::new(),
        Ok(None) => vec![Finding::ok(
            CHECK,
            text!("Es ist kein Zeitstempeldienst eingerichtet.", "No time-stamp service is configured."),
        )],
        Ok(Some(service)) => vec![match ask(&service, now) {
            Ok(token) => {
                let authority = token.authority();
                Finding::ok(
                    CHECK,
                    text!(
                        "Der Zeitstempeldienst {authority} stempelt.",
                        "The time-stamp service {authority} gives stamps."
                    ),
                )
            }
            Err(error) => Finding::warning(
                CHECK,
                text!(
                    "Der Zeitstempeldienst gibt keinen brauchbaren Stempel.",
                    "The time-stamp service gives no stamp that counts."
                ),
            )
            .because(chain(&error))
            .remedy(text!(
                "timestamps.url und timestamps.authorities prüfen; bis dahin gilt timestamps.service_down.",
                "Check timestamps.url and timestamps.authorities; until then timestamps.service_down holds."
            )),
        }],
    }
}

/// Has something random stamped.
fn ask(service: &Service, now: OffsetDateTime) -> Result<TimestampToken> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut imprint = [0; 32];
    SystemRandom.fill(&mut imprint);
    Ok(service.over_http(runtime.handle().clone()).stamp(imprint, now)?)
}

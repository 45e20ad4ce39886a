//! `[forwarding]`: passive recipients.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rohrpost_client::transport::Tls;
use rohrpost_intermediary::{Forwarding, Retries};

use super::{RawConfig, bad, certificates, raw};
use crate::courier::{Carriage, Receiver};

/// When deliveries are tried again.
pub(super) fn settings(raw: &raw::Forwarding) -> Forwarding {
    let retries = Retries {
        first_pause: time::Duration::seconds(raw.first_pause_seconds.max(1).into()),
        longest_pause: time::Duration::minutes(raw.longest_pause_minutes.max(1).into()),
        give_up_after: time::Duration::hours(raw.give_up_after_hours.max(1).into()),
    };
    Forwarding {
        retries: raw.store_and_forward.then_some(retries),
        // A little longer than the attempt itself is allowed to take.
        longest_attempt: time::Duration::minutes(raw.attempt_minutes.max(1).into()) + time::Duration::minutes(1),
        at_once: raw.at_once,
    }
}

/// How messages get to passive recipients; nothing without any.
pub(super) fn carriage(raw: &RawConfig, base: &Path) -> Result<Option<Carriage>> {
    let forwarding = &raw.forwarding;
    if forwarding.receivers.is_empty() {
        return Ok(None);
    }
    if forwarding.at_once >= raw.limits.concurrent_orders {
        let remedy = "let less wait for recipients than orders are worked on (limits.concurrent_orders)";
        return Err(bad("forwarding.at_once", &forwarding.at_once.to_string(), remedy));
    }
    let receiver = |receiver: &raw::Receiver| {
        let address = receiver.url.parse().map_err(|_| {
            bad("forwarding.receivers", &receiver.url, "write a URL, e.g. \"https://recipient.example/osci\"")
        })?;
        Ok(Receiver { address, internal: receiver.internal })
    };
    let receivers: Vec<Receiver> = forwarding.receivers.iter().map(receiver).collect::<Result<_>>()?;
    let authorities = certificates("forwarding.authorities", &forwarding.authorities, base)?;
    if let Some(receiver) = receivers.iter().find(|receiver| receiver.address.is_tls() && authorities.is_empty()) {
        let remedy = format!("name the authorities that {} has its certificate from", receiver.address);
        return Err(bad("forwarding.authorities", "", &remedy));
    }
    Ok(Some(Carriage {
        receivers,
        tls: (!authorities.is_empty()).then(|| Tls::trusting(authorities)),
        answer: Duration::from_secs(forwarding.answer_seconds.max(1).into()),
        total: Duration::from_secs(60 * u64::from(forwarding.attempt_minutes.max(1))),
    }))
}

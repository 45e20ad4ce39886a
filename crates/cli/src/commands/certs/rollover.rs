//! `rohrpost certs rollover`: which key pair is used from when to when.

use anyhow::Result;
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_pipeline::keyring::KeyRing;
use rohrpost_pki::Certificate;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::args::ConfigArgs;
use crate::config;
use crate::failure::{Failure, Kind};
use crate::output::{Output, stamp, table};

/// Time to get a certificate and to tell everybody about it.
const NOTICE: Duration = Duration::days(60);

/// One key pair in its use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    role: &'static str,
    subject: String,
    fingerprint: String,
    /// From when it is used; nothing for as long as anybody remembers.
    from: Option<OffsetDateTime>,
    /// Until the next one takes over.
    until: Option<OffsetDateTime>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

/// Prints the plan.
pub(super) fn run(args: &ConfigArgs, output: Output) -> Result<()> {
    let now = SystemClock.now();
    let plan = plan(&config::keys_of(args)?);
    let todo = todo(&plan, now);
    let report = json!({ "plan": plan.iter().map(|step| value(step, now)).collect::<Vec<_>>(), "todo": todo });
    let text = || text(&plan, &todo, now);
    if todo.is_empty() {
        return output.result(&report, text);
    }
    output.step(&text());
    Err(Failure::new(Kind::Other, "the keys need attention")
        .cause(todo.join("; "))
        .remedy("ask for new certificates, name them under keys.changes with the time of the change, and tell your partners in time")
        .report(report)
        .into())
}

fn plan(keys: &KeyRing) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |role, pairs: Vec<(Option<OffsetDateTime>, &Certificate)>| {
        for (index, (from, certificate)) in pairs.iter().enumerate() {
            steps.push(Step {
                role,
                subject: certificate.subject().to_owned(),
                fingerprint: certificate.fingerprint().to_string(),
                from: *from,
                until: pairs.get(index + 1).and_then(|(from, _)| *from),
                not_before: certificate.not_before(),
                not_after: certificate.not_after(),
            });
        }
    };
    let first = keys.current_cipher().map(|pair| (None, &pair.certificate));
    let changes = keys.changes().iter();
    let later = changes.filter_map(|change| Some((Some(change.from), &change.cipher.as_ref()?.certificate)));
    add("encryption", first.into_iter().chain(later).collect());
    let first = keys.signature().map(|pair| (None, &pair.certificate));
    let changes = keys.changes().iter();
    let later = changes.filter_map(|change| Some((Some(change.from), &change.signature.as_ref()?.certificate)));
    add("signature", first.into_iter().chain(later).collect());
    steps
}

/// What has to be done now.
fn todo(plan: &[Step], now: OffsetDateTime) -> Vec<String> {
    let mut todo = Vec::new();
    for step in plan.iter().filter(|step| step.until.is_none_or(|until| until > now)) {
        let role = step.role;
        if step.from.is_some_and(|from| from < step.not_before) {
            todo.push(format!(
                "{role}: the change comes before {} is valid ({})",
                step.subject,
                stamp(step.not_before)
            ));
        }
        match step.until {
            Some(until) if until > step.not_after => {
                todo.push(format!("{role}: {} ends on {}, before the change", step.subject, stamp(step.not_after)));
            }
            None if step.not_after <= now => todo.push(format!("{role}: {} has ended", step.subject)),
            None if step.not_after - NOTICE <= now => {
                todo.push(format!("{role}: {} ends on {} and nothing follows", step.subject, stamp(step.not_after)));
            }
            _ => {}
        }
    }
    todo
}

fn value(step: &Step, now: OffsetDateTime) -> Value {
    json!({
        "role": step.role,
        "subject": step.subject,
        "sha256": step.fingerprint,
        "from": step.from.map(stamp),
        "until": step.until.map(stamp),
        "valid_from": stamp(step.not_before),
        "valid_until": stamp(step.not_after),
        "in_use": in_use(step, now),
    })
}

fn in_use(step: &Step, now: OffsetDateTime) -> bool {
    step.from.is_none_or(|from| from <= now) && step.until.is_none_or(|until| until > now)
}

fn text(plan: &[Step], todo: &[String], now: OffsetDateTime) -> String {
    let when = |at: Option<OffsetDateTime>| at.map_or_else(|| "-".to_owned(), stamp);
    let rows = plan.iter().map(|step| {
        [
            if in_use(step, now) { "now".to_owned() } else { String::new() },
            step.role.to_owned(),
            when(step.from),
            when(step.until),
            stamp(step.not_after),
            format!("{}\n{}", step.subject, step.fingerprint),
        ]
    });
    let mut text = table(["", "for", "from", "until", "valid until", "certificate"], rows) + "\n";
    for line in todo {
        text.push_str(&format!("to do: {line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

    fn step(from: Option<OffsetDateTime>, until: Option<OffsetDateTime>, not_after: OffsetDateTime) -> Step {
        Step {
            role: "signature",
            subject: "CN=x".to_owned(),
            fingerprint: String::new(),
            from,
            until,
            not_before: datetime!(2026-01-01 0:00 UTC),
            not_after,
        }
    }

    #[test]
    fn what_has_to_be_done_is_said_in_time_and_not_before() {
        let (soon, late) = (datetime!(2026-07-01 0:00 UTC), datetime!(2027-12-31 0:00 UTC));
        let change = datetime!(2026-06-20 0:00 UTC);
        assert_eq!(todo(&[step(None, None, late)], NOW), [""; 0]);
        assert_eq!(todo(&[step(None, Some(change), soon), step(Some(change), None, late)], NOW), [""; 0]);
        let first = |plan: &[Step]| todo(plan, NOW).into_iter().next().unwrap_or_default();
        assert!(first(&[step(None, None, soon)]).contains("nothing follows"));
        assert!(first(&[step(None, None, NOW)]).contains("has ended"));
        let late_change = datetime!(2026-08-01 0:00 UTC);
        let plan = [step(None, Some(late_change), soon), step(Some(late_change), None, late)];
        assert!(first(&plan).contains("before the change"));
        let early = datetime!(2025-12-01 0:00 UTC);
        assert!(first(&[step(Some(early), None, late)]).contains("comes before"));
        // What is over does not matter any more.
        let over = datetime!(2026-05-01 0:00 UTC);
        assert_eq!(todo(&[step(None, Some(over), over), step(Some(over), None, late)], NOW), [""; 0]);
    }
}

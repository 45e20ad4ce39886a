//! `rohrpost receive`: a passive recipient that keeps deliveries as folders, and may have a program or an application decide and answer.

mod decider;
mod http;
mod program;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rohrpost_crypto::SystemRandom;
use rohrpost_crypto::policy::Policy;
use rohrpost_gateway::config::{ClientCertificates, Config, Listener, Tls};
use rohrpost_gateway::{Gateway, Handler, OrderResult, Originator, Outcome, Promptness, RequestContext, Shutdown};
use rohrpost_pipeline::keyring::{CipherPair, KeyRing};
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_recipient::{self as recipient, Context, Endpoint, Intermediaries, Parts, Settings};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use super::party;
use super::serve::{LogSettings, start_logging};
use crate::args::ReceiveArgs;
use crate::config::keys;
use crate::failure::{Failure, Kind};
use crate::node::UNDECRYPTABLE;
use crate::output::Output;
use decider::Decider;
use http::Application;
use program::Program;
use shelf::Shelf;

/// Takes deliveries until it is told to stop.
pub(crate) fn run(args: &ReceiveArgs, output: Output) -> Result<()> {
    start_logging(&LogSettings::new(output.is_json(), "info"))?;
    if args.dangerous_unsigned_requests {
        warn!(option = "--dangerous-unsigned-requests", "a setting that weakens security is on");
    }
    let ciphers = args.ciphers.iter().map(|file| party::cipher(file, &args.pin_file));
    let ciphers: Vec<CipherPair> = ciphers.collect::<Result<_>>()?;
    let signature = args.signature.as_ref().map(|file| party::signature(file, &args.pin_file)).transpose()?;
    let listed = args.intermediaries.iter().map(|file| Ok(keys::certificate(file)?.fingerprint()));
    let inspector = (!args.anchors.is_empty()).then(|| party::inspector(&args.anchors, &args.intermediates));
    // On the disk that the deliveries go to, without names: nothing of them stays when the process ends, however it does.
    let spools = SpoolDir::new(&args.dir).unnamed();
    let shelf = Shelf::open(&args.dir, decider(args, &spools)?, signature.clone())?;
    let parts = Parts {
        keys: KeyRing::new(ciphers, signature),
        intermediaries: Intermediaries::Listed(listed.collect::<Result<_>>()?),
        inspector: inspector.transpose()?.map(Arc::new),
        policy: Arc::new(Policy::standard()),
        spools: spools.clone(),
        random: Arc::new(SystemRandom),
    };
    let mut settings = Settings::default();
    settings.dangerous_unsigned_requests = args.dangerous_unsigned_requests;
    let endpoint = Endpoint::new(parts, settings, Arc::new(shelf));
    party::runtime()?.block_on(listen(endpoint, spools, args, output))
}

fn decider(args: &ReceiveArgs, spools: &SpoolDir) -> Result<Option<Decider>> {
    let timeout = Duration::from_secs(args.timeout);
    Ok(match (&args.exec, &args.http) {
        (Some(file), _) => Some(Decider::Program(Program::new(file, timeout)?)),
        (_, Some(url)) => {
            let authorities = args.http_authorities.as_ref().map(|file| keys::certificates(file)).transpose()?;
            Some(Decider::Application(Application::new(url, authorities, timeout, spools.clone())?))
        }
        _ => None,
    })
}

async fn listen(endpoint: Endpoint, spools: SpoolDir, args: &ReceiveArgs, output: Output) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reload = signal(SignalKind::hangup())?;
    let (listener, scheme) = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificates), Some(key)) => {
            let (certificates, key) = (certificates.clone(), key.clone());
            let tls = Tls { certificates, key, clients: ClientCertificates::Ignored };
            (Listener::https(args.listen, tls), "https")
        }
        _ => (Listener::http(args.listen), "http"),
    };
    let config = Config::new(spools).with_listener(listener);
    let path = config.path.clone();
    let gateway = Gateway::new(config, Arc::new(Adapter(endpoint))).start().await;
    let gateway = gateway.with_context(|| Failure::new(Kind::Configuration, "the gateway cannot start"))?;
    let address = gateway.addresses().first().map(|address| format!("{scheme}://{address}{path}")).unwrap_or_default();
    output.result(&json!({ "osci": address, "dir": args.dir }), || {
        format!("deliveries at {address}\nkept in {}", args.dir.display())
    })?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => match gateway.reload_certificates() {
                Ok(()) => info!("TLS certificates were read again"),
                Err(error) => error!(%error, "TLS certificates cannot be read again; the old ones stay in use"),
            },
        }
    }
    info!("stopping; deliveries under way are finished first");
    match gateway.shutdown().await {
        Shutdown::Finished => Ok(()),
        _ => Err(Failure::new(Kind::Other, "some deliveries did not finish in time")
            .cause("they took longer than the gateway waits")
            .remedy("nothing accepted was lost; the intermediary will hand them over again")
            .into()),
    }
}

/// What the gateway sees of the recipient.
struct Adapter(Endpoint);

impl Handler for Adapter {
    fn handle(&self, request: Spool, context: &RequestContext) -> rohrpost_gateway::Reply {
        let context = Context { now: context.now, correlation_id: context.correlation_id.to_string() };
        let handled = self.0.handle(request, &context);
        let result = match handled.outcome {
            recipient::Outcome::Taken => OrderResult::Accepted,
            recipient::Outcome::Refused => OrderResult::Refused,
            recipient::Outcome::Fault => OrderResult::Fault,
        };
        let promptness = match handled.codes[..] {
            [UNDECRYPTABLE] => Promptness::Even,
            _ => Promptness::Prompt,
        };
        rohrpost_gateway::Reply {
            body: handled.answer,
            outcome: Outcome { order: handled.request, result, codes: handled.codes },
            originator: handled.intermediary.map(|fingerprint| Originator::new(*fingerprint.as_bytes())),
            promptness,
        }
    }
}

//! An application that decides about deliveries over HTTP: one POST of a form (RFC 7578) with everything that is in the folder.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rohrpost_client::Clock;
use rohrpost_client::transport::{Address, HeaderValue, Reach, Timeouts, Tls, Transport, TransportError};
use rohrpost_crypto::{Random as _, SystemRandom};
use rohrpost_gateway::clock::{Clock as _, SystemClock};
use rohrpost_osci::source::ReadAt;
use rohrpost_pipeline::spool::{Spool, SpoolDir};
use rohrpost_pki::Certificate;
use tokio::runtime::Handle;
use tracing::info;

use super::decider::Said;
use super::shelf::files;
use crate::commands::folder::write_data;
use crate::commands::send;
use crate::failure::{Failure, Kind};

/// Bytes of an answer at most: 1 GiB.
const LONGEST_REPLY: u64 = 1 << 30;

/// The application, and how it is reached.
pub(super) struct Application {
    address: Address,
    transport: Transport,
    spools: SpoolDir,
}

impl Application {
    /// At an address: `https`, or `http` on this machine.
    pub(super) fn new(
        url: &str,
        authorities: Option<Vec<Certificate>>,
        timeout: Duration,
        spools: SpoolDir,
    ) -> Result<Self> {
        let wrong = |what: String| Failure::new(Kind::Configuration, what);
        let address: Address = url.parse().with_context(|| wrong(format!("--http cannot be {url:?}")))?;
        if address.is_tls() && authorities.is_none() {
            let failure = wrong("--http names an https address, but nobody to trust".to_owned());
            return Err(failure.remedy("give --http-authorities").into());
        }
        if !address.is_tls() && !is_here(address.host()) {
            return Err(wrong("--http would send deliveries in clear to another machine".to_owned())
                .remedy("give an https address, or one of this machine, e.g. http://127.0.0.1:8080/")
                .into());
        }
        let mut timeouts = Timeouts::default();
        (timeouts.connect, timeouts.answer, timeouts.total) = (timeouts.connect.min(timeout), timeout, timeout);
        // Names can be turned to elsewhere.
        let reach = Reach::new(|to, ip| to.is_tls() || ip.is_loopback());
        let (tls, clock) = (authorities.map(Tls::trusting), Clock::new(|| SystemClock.now()));
        let transport = Transport::within(reach, tls.as_ref(), timeouts, &clock)
            .with_context(|| wrong("--http-authorities cannot be used".to_owned()))?;
        Ok(Self { address, transport, spools: spools.with_limit(LONGEST_REPLY) })
    }

    /// Posts the folder and waits for the answer. What it holds becomes the reply, if one is wanted.
    pub(super) fn ask(&self, folder: &Path, reply: Option<&Path>) -> Result<Said> {
        let (form, media_type) = self.form(folder)?;
        // Orders run on threads that may block.
        let answered =
            Handle::current().block_on(self.transport.post_as(media_type, &self.address, &form, &self.spools, None));
        match answered {
            Ok(answer) => {
                if let Some(reply) = reply.filter(|_| !answer.body.is_empty()) {
                    let bytes: Arc<dyn ReadAt> = Arc::new(answer.body);
                    write_data(reply, "content", &bytes)?;
                }
                Ok(Said::Yes)
            }
            Err(TransportError::Status { status, .. }) if (400..500).contains(&status) && status != 408 => Ok(Said::No),
            Err(TransportError::Storage(error)) => Err(error.into()),
            Err(error) => {
                info!(%error, "the application gave no answer that counts");
                Ok(Said::Failed("it cannot answer now"))
            }
        }
    }

    fn form(&self, folder: &Path) -> io::Result<(Spool, HeaderValue)> {
        let mut random = [0; 16];
        SystemRandom.fill(&mut random);
        let boundary = format!("rohrpost-{:032x}", u128::from_be_bytes(random));
        let mut form = self.spools.clone().with_limit(u64::MAX).writer();
        for file in files(folder)? {
            // Names in a folder of ours hold neither quotes nor line breaks.
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            write!(
                form,
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n",
                send::media_type(&file)
            )?;
            io::copy(&mut File::open(&file)?, &mut form)?;
            form.write_all(b"\r\n")?;
        }
        write!(form, "--{boundary}--\r\n")?;
        let media_type = format!("multipart/form-data; boundary={boundary}");
        Ok((form.finish()?, HeaderValue::try_from(media_type).map_err(io::Error::other)?))
    }
}

/// Whether a host is this machine, by its name.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

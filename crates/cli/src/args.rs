//! The command line. Help texts live here and nowhere else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed for a reason not listed here
  2  command line, configuration or a file named there is wrong
  3  the other side could not be reached or broke off
  4  the intermediary answered, and refused
  5  nothing found: empty mailbox, no such process card or log entry
  6  a signature, a proof or the log does not hold";

/// OSCI-Transport 1.2 intermediary, client and auditor's tool.
#[derive(Debug, Parser)]
#[command(name = "rohrpost", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Args {
    /// Print JSON for machines instead of text for people.
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Two authorities, their intermediary and one message between them, on this machine.
    Demo(DemoArgs),
    /// Run the intermediary until SIGTERM or Ctrl-C.
    Serve(ConfigArgs),
    /// Store a delivery at an intermediary.
    Send(SendArgs),
    /// Fetch a delivery from a mailbox.
    Fetch(FetchArgs),
    /// List process cards.
    Cards(CardsArgs),
    /// Take deliveries that an intermediary hands over (passive recipient), until SIGTERM or Ctrl-C.
    ///
    /// Each delivery becomes a folder with its files and a `delivery.json`, complete and on the disk before it is accepted. A
    /// delivery that comes once more, because its answer got lost, is accepted again and neither kept nor processed twice.
    Receive(ReceiveArgs),
    /// Inspect and prove the message log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make test certificates, look at certificates.
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Examine configuration, keys, certificates, clock, disk, ports and store, and say for each finding what to do.
    ///
    /// Works beside a running server and before the first start; changes nothing. Ends with 0 if all is well, with 1 if there
    /// are warnings, with 2 if there are problems.
    Doctor(DoctorArgs),
    /// Look at configurations.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Try every answer an intermediary can give to every order, and report where it gives another one.
    ///
    /// For intermediaries under test, also others than ours: it stores deliveries there. Each case is an order, a feedback code and a
    /// way to send it; what the profile does not provide for is skipped. Ends with 0 if nothing failed.
    Conformance(ConformanceArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConformanceArgs {
    /// Address of the intermediary, e.g. `http://127.0.0.1:4080/osci`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Keys and circumstances (TOML); config/conformance.toml is one with every key explained.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: PathBuf,
    /// Only cases whose name contains this, e.g. `StoreDelivery/`, `/9801/`, `+explicit`. May be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Vec<String>,
    /// Also write the report as a page (HTML) to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Language of the page.
    #[arg(long, value_parser = ["de", "en"], default_value = "de")]
    pub(crate) language: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where certificates, configuration and data go, to stay; without it, to a temporary folder that goes with the demo.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// End after the message has travelled instead of staying up.
    #[arg(long)]
    pub(crate) once: bool,
    /// Address to listen on for OSCI; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(crate) listen: String,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML); `rohrpost config print-default` prints one with every key explained.
    #[arg(long, short, value_name = "FILE", env = "ROHRPOST_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Override one key, e.g. `--set http.listen='["127.0.0.1:8080"]'`. May be repeated.
    ///
    /// Environment variables do the same: ROHRPOST__HTTP__LISTEN='["127.0.0.1:8080"]'. A value is read as TOML if it is
    /// TOML, as text otherwise. What comes later wins: defaults, file, environment, --set.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Language of the report; without it, that of the environment (LC_ALL, LC_MESSAGES, LANG).
    #[arg(long, value_parser = ["de", "en"])]
    pub(crate) language: Option<String>,
}

/// Who we are and whom we talk to.
#[derive(Debug, clap::Args)]
pub(crate) struct PartyArgs {
    /// Address of the intermediary, e.g. `http://127.0.0.1:4080/osci`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Cipher certificate of the intermediary (PEM or DER).
    #[arg(long, value_name = "FILE")]
    pub(crate) intermediary_cipher: PathBuf,
    /// Signature certificate the intermediary must use (PEM or DER); without it any certificate it sends is taken.
    #[arg(long, value_name = "FILE")]
    pub(crate) intermediary_signature: Option<PathBuf>,
    /// Our cipher key pair (PKCS#12).
    #[arg(long, value_name = "FILE")]
    pub(crate) cipher: PathBuf,
    /// Our signature key pair (PKCS#12); without it requests are not signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// File whose first line is the PIN of the PKCS#12 files.
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: PathBuf,
    /// Authorities (PEM) whose certificates are trusted: judges authors of content, and the intermediary. May be repeated.
    #[arg(long = "anchor", value_name = "FILE")]
    pub(crate) anchors: Vec<PathBuf>,
    /// Certificates between authority and end entity (PEM). May be repeated.
    #[arg(long = "intermediate", value_name = "FILE", requires = "anchors")]
    pub(crate) intermediates: Vec<PathBuf>,
    /// Authorities (PEM) to trust for an https address.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_authorities: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Cipher certificate of the addressee: the mailbox (PEM or DER).
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Have it forwarded to the passive recipient that listens here, instead of storing it in a mailbox.
    #[arg(long, value_name = "URL")]
    pub(crate) forward: Option<String>,
    /// Have it forwarded to the passive recipient that listens here, and keep what that replies.
    #[arg(long, value_name = "URL", requires = "reply", conflicts_with = "forward")]
    pub(crate) mediate: Option<String>,
    /// Folder for the reply.
    #[arg(long, value_name = "DIR", requires = "mediate")]
    pub(crate) reply: Option<PathBuf>,
    /// Subject, readable for the intermediary.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Go on with this message id instead of asking for one: to send again what got no answer. It is stored once at most.
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// Store it in chunks, and keep the finished message in this file until it is stored: the same command goes on where an earlier
    /// one was interrupted. The file holds the whole delivery.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["forward", "mediate"])]
    pub(crate) resume: Option<PathBuf>,
    /// File with the content; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) content: PathBuf,
    /// File to attach. May be repeated.
    #[arg(long = "attach", value_name = "FILE")]
    pub(crate) attachments: Vec<PathBuf>,
    /// Key pair (PKCS#12) of the author who signs the content.
    #[arg(long, value_name = "FILE")]
    pub(crate) author: Option<PathBuf>,
    /// Cipher certificate of a reader; the content is sealed for all readers given. May be repeated.
    #[arg(long = "reader", value_name = "FILE")]
    pub(crate) readers: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Folder for contents and attachments.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Only the delivery with this message id.
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    pub(crate) message_id: Option<String>,
    /// The oldest delivery accepted at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Fetch until the mailbox is empty.
    #[arg(long, conflicts_with_all = ["message_id", "since"])]
    pub(crate) all: bool,
    /// Key pair (PKCS#12) of a reader that opens sealed content; our own cipher key is always tried. May be repeated.
    #[arg(long = "reader", value_name = "FILE")]
    pub(crate) readers: Vec<PathBuf>,
    /// Fetch one delivery in chunks, and keep the chunks in this file until it is there: the same command goes on where an earlier one was
    /// interrupted.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub(crate) resume: Option<PathBuf>,
    /// Leave the delivery unacknowledged: it will be handed out again.
    #[arg(long)]
    pub(crate) no_acknowledge: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReceiveArgs {
    /// Address to listen on; the path is /osci. Port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:4081", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Folder that gets a folder per delivery, named after its message id.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Program to run for each delivery before it is accepted, with the folder as its argument.
    ///
    /// 0 accepts, 75 means that something failed (9811), anything else declines (9805). While it runs, the folder has a temporary
    /// name; ROHRPOST_FOLDER says the one it will have. Where ROHRPOST_REPLY is set, the sender waits for an answer: the file
    /// `content` (any ending) in that folder becomes the content of the reply, all others its attachments; the reply is signed by us
    /// and sealed for the sender. After a crash the program may be run again for the same delivery.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) exec: Option<PathBuf>,
    /// Address of an application that decides instead: each delivery is posted to it as a form (multipart/form-data) with one `file`
    /// per file of the folder, `delivery.json` among them.
    ///
    /// A status of 2xx accepts; then, if the sender waits for an answer (`wants_reply`), the body becomes the content of the reply. 4xx
    /// declines; anything else, redirects too, means that something failed. https, or http on this machine.
    #[arg(long, value_name = "URL", conflicts_with = "exec")]
    pub(crate) http: Option<String>,
    /// Authorities (PEM) to trust for the application's https address.
    #[arg(long, value_name = "FILE", requires = "http")]
    pub(crate) http_authorities: Option<PathBuf>,
    /// Seconds that program or application may take; what takes longer is not accepted.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Our cipher key pair (PKCS#12). May be repeated, for a change of keys; replies bear the first one.
    #[arg(long = "cipher", value_name = "FILE", required = true)]
    pub(crate) ciphers: Vec<PathBuf>,
    /// Our signature key pair (PKCS#12); without it answers are not signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// File whose first line is the PIN of the PKCS#12 files.
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: PathBuf,
    /// Signature certificate of an intermediary that may hand over deliveries (PEM or DER). May be repeated.
    #[arg(long = "intermediary", value_name = "FILE", required_unless_present = "dangerous_unsigned_requests")]
    pub(crate) intermediaries: Vec<PathBuf>,
    /// Take unsigned deliveries too: anybody who reaches the address can hand over anything.
    #[arg(long)]
    pub(crate) dangerous_unsigned_requests: bool,
    /// Authorities (PEM) whose certificates are trusted: judges authors of content, and intermediaries. May be repeated.
    #[arg(long = "anchor", value_name = "FILE")]
    pub(crate) anchors: Vec<PathBuf>,
    /// Certificates between authority and end entity (PEM). May be repeated.
    #[arg(long = "intermediate", value_name = "FILE", requires = "anchors")]
    pub(crate) intermediates: Vec<PathBuf>,
    /// Certificate chain (PEM) for https instead of http.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Key (PEM, PKCS#8) of the TLS certificate.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CardsArgs {
    #[command(flatten)]
    pub(crate) party: PartyArgs,
    /// Only these message ids. May be repeated.
    #[arg(long = "message-id", value_name = "ID", conflicts_with_all = ["since", "modified_since"])]
    pub(crate) message_ids: Vec<String>,
    /// Deliveries accepted at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME", conflicts_with = "modified_since")]
    pub(crate) since: Option<String>,
    /// Cards changed at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) modified_since: Option<String>,
    /// Only deliveries we sent (`originator`) or that were sent to us (`addressee`); with a time only.
    #[arg(long, value_parser = ["originator", "addressee"])]
    pub(crate) role: Option<String>,
    /// Only deliveries that were not received yet; with a time only.
    #[arg(long)]
    pub(crate) unreceived: bool,
    /// At most this many.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check an exported log: every entry, tile and checkpoint. Needs only the files and the public key.
    Verify {
        /// Folder of an export, or a file with a single proof.
        path: PathBuf,
        /// File with the public key, as written by `audit checkpoint --key-to`.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// A checkpoint kept from earlier, which the export must continue. May be repeated.
        #[arg(long, value_name = "FILE")]
        since: Vec<PathBuf>,
    },
    /// Prove what the log says about one message.
    Prove {
        /// The message id.
        message_id: String,
        /// Also write each proof to a file in this folder, for handing on.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the newest signed checkpoint.
    Checkpoint {
        #[command(flatten)]
        config: ConfigArgs,
        /// Also write the public key to this file.
        #[arg(long, value_name = "FILE")]
        key_to: Option<PathBuf>,
    },
    /// Write the log as plain files (C2SP tlog-tiles) for auditors.
    Export {
        #[command(flatten)]
        config: ConfigArgs,
        /// Folder to write to; an earlier export there is continued.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Make a test authority with key pairs for an intermediary and named parties. Never for production.
    ///
    /// Standard output is the configuration that uses them, for `> rohrpost.toml`: the party called "intermediary", or the
    /// first one, becomes the intermediary.
    Generate(GenerateArgs),
    /// Say what a certificate is and what it is good for.
    Inspect(InspectArgs),
    /// Show which key pair the intermediary uses from when to when, and what to do in time.
    ///
    /// Ends with 1 if something has to be done now.
    Rollover(ConfigArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// Folder to write to.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Name of a party that gets a cipher and a signature key pair. May be repeated.
    #[arg(long = "party", value_name = "NAME", default_values = ["intermediary", "alice", "bob"])]
    pub(crate) parties: Vec<String>,
    /// Length of the RSA keys in bits.
    #[arg(long, default_value_t = 3072, value_parser = clap::value_parser!(u32).range(2048..=8192))]
    pub(crate) bits: u32,
    /// Days the certificates are valid.
    #[arg(long, default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// Certificate (PEM or DER) or, with --pin-file, PKCS#12 file. Further certificates in it count as intermediates.
    pub(crate) file: PathBuf,
    /// Trusted authorities (PEM). May be repeated.
    #[arg(long = "anchor", value_name = "FILE")]
    pub(crate) anchors: Vec<PathBuf>,
    /// Certificates between authority and end entity (PEM). May be repeated.
    #[arg(long = "intermediate", value_name = "FILE")]
    pub(crate) intermediates: Vec<PathBuf>,
    /// File whose first line is the PIN of a PKCS#12 file.
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Judge as of this time (RFC 3339, e.g. 2026-05-01T12:00:00Z) instead of now.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read a configuration and every file it names, and say what is wrong.
    Check(ConfigArgs),
    /// Print the commented default configuration.
    PrintDefault,
}

//! Deliveries for measuring the store alone, and the log that it is compared with.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rohrpost_crypto::sha256;
use rohrpost_osci::ids::MessageId;
use rohrpost_store::{BodySource, Delivery, Fingerprint};
use time::Duration;

use crate::NOW;

const BODY: usize = 10_000;

/// Mailboxes, and as many senders: about as many as there are authorities in a country.
const PARTIES: u64 = 20_000;

/// A delivery of 10 KB, as large as the usual one. Its number decides everything about it.
pub fn delivery(number: u64) -> Delivery {
    let mut delivery = small_delivery(number);
    delivery.body = BodySource::Inline(vec![0x5a; BODY]);
    delivery.certificates = Some("x".repeat(4_000));
    delivery
}

/// The same with a short body, for filling a store.
pub fn small_delivery(number: u64) -> Delivery {
    // A hundred per second: 10^6 take three hours.
    let at = NOW + Duration::milliseconds(i64::try_from(number).unwrap_or(i64::MAX) * 10);
    let body = BodySource::Inline(vec![0x5a; 100]);
    let mut delivery = Delivery::new(message_id(number), addressee(number), at, body);
    delivery.originator = Some(party(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40));
    delivery.subject = Some("Rückmeldung".to_owned());
    delivery.leaf.algorithms = vec!["http://www.w3.org/2009/xmlenc11#aes256-gcm".to_owned()];
    delivery
}

/// The id of the delivery of this number. They sort by age, as those of GetMessageId do.
pub fn message_id(number: u64) -> MessageId {
    MessageId::new(format!("{number:016}X{:016X}", number.wrapping_mul(0xbf58_476d_1ce4_e5b9)))
        .expect("digits make an id")
}

/// The mailbox of the delivery of this number.
pub fn addressee(number: u64) -> Fingerprint {
    party(number.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 40)
}

fn party(number: u64) -> Fingerprint {
    sha256(&(number % PARTIES).to_le_bytes()).into()
}

/// A file to which everybody appends 10 KB, and whose one writer asks the disk once for all who wait.
pub struct BareLog {
    queue: Sender<Sender<()>>,
}

impl BareLog {
    /// A new one in `folder`.
    ///
    /// # Panics
    /// If the folder is not writable.
    pub fn new(folder: &Path) -> Self {
        let file = File::create(folder.join("group-log")).expect("the folder is writable");
        let (queue, waiting) = channel();
        thread::spawn(move || Self::write(file, &waiting));
        Self { queue }
    }

    fn write(mut file: File, waiting: &Receiver<Sender<()>>) {
        while let Ok(first) = waiting.recv() {
            let all: Vec<Sender<()>> = [first].into_iter().chain(waiting.try_iter()).collect();
            for _ in &all {
                file.write_all(&[0x5a; BODY]).expect("the disk has room");
            }
            file.sync_data().expect("the disk works");
            // Who went away needs no answer.
            all.iter().for_each(|caller| {
                let _ = caller.send(());
            });
        }
    }

    /// Returns when the disk is sure.
    ///
    /// # Panics
    /// If the disk fails.
    pub fn append(&self) {
        let (reply, answer) = channel();
        self.queue.send(reply).expect("the writer lives as long as the log");
        answer.recv().expect("the writer answers everybody");
    }
}

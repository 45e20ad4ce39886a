//! `rohrpost config`.

use anyhow::Result;
use serde_json::json;

use crate::args::ConfigArgs;
use crate::config::{self, DEFAULT};
use crate::output::Output;

/// Prints the commented defaults.
pub(crate) fn print_default(output: Output) -> Result<()> {
    output.result(&json!({ "toml": DEFAULT }), || DEFAULT.to_owned())
}

/// Reads a configuration with everything it names.
pub(crate) fn check(args: &ConfigArgs, output: Output) -> Result<()> {
    let config = config::load(args)?;
    let dangerous = config.dangerous();
    let report = json!({
        "valid": true,
        "data_directory": config.data_directory,
        "cipher_certificate": config.keys.current_cipher().map(|pair| pair.certificate.fingerprint().to_string()),
        "signature_certificate": config.keys.signature().map(|pair| pair.certificate.fingerprint().to_string()),
        "anchors": config.anchors.certificates().len(),
        "dangerous": dangerous,
    });
    output.result(&report, || {
        let mut text = String::from("The configuration is valid.\n");
        for key in &dangerous {
            text.push_str(&format!("warning: {key} weakens security\n"));
        }
        text
    })
}

//! A private key in the form that the driver takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::settings::PASSPHRASE;

pub(super) const PLAIN: &str = "PRIVATE KEY";
pub(super) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// `text` as the driver takes a key: PKCS #8 PEM. Secrets are often kept with `\n` for line ends, or
/// as the bare base64 that dbt takes too.
pub(super) fn pem(text: &str, has_passphrase: bool) -> Result<String, String> {
    let text = text.replace("\\n", "\n").replace('\r', "");
    let text = text.trim();
    let begin = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
    let label = begin.map_or(if has_passphrase { ENCRYPTED } else { PLAIN }, |(label, _)| label);
    let body = begin.map_or(text, |(_, rest)| rest.split("-----").next().unwrap_or_default());
    match label {
        PLAIN if has_passphrase => return Err(format!("is not encrypted, so unset {PASSPHRASE}")),
        ENCRYPTED if !has_passphrase => return Err(format!("is encrypted, and {PASSPHRASE} is not set")),
        PLAIN | ENCRYPTED => {}
        other => {
            return Err(format!(
                "holds a {other:?}; convert it with `openssl pkcs8 -topk8 -in OLD -out rsa_key.p8` (-nocrypt for \
                 one without passphrase)"
            ));
        }
    }
    let body: String = body.split_whitespace().collect();
    if body.is_empty() || STANDARD.decode(&body).is_err() {
        return Err(
            "holds no private key in PEM; make one with `openssl genrsa 2048 | openssl pkcs8 -topk8`".into(),
        );
    }
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    Ok(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")))
}

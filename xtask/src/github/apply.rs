//! Makes the calls that the reviews ask for, one after the other, and counts what GitHub refused.
//!
//! A refusal does not end it: the rest of the set-up is of use without it. What belongs to something that could not be
//! made is not tried.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::review::{Body, Hidden, Step};
use crate::system::console;
use crate::system::github::{Error, GitHub};

/// The key that secrets of one place are encrypted for.
#[derive(Deserialize)]
struct Key {
    key_id: String,
    key: String,
}

/// Returns the steps that were not done, each with the reason.
pub(super) fn apply(github: &GitHub, steps: &[Step]) -> std::io::Result<Vec<String>> {
    let mut keys: HashMap<Vec<String>, Key> = HashMap::new();
    let mut refused: Vec<&[String]> = Vec::new();
    let mut problems = Vec::new();
    for step in steps {
        let belongs = |to: &&[String]| step.path.len() > to.len() && step.path.starts_with(to);
        if refused.iter().any(belongs) {
            problems.push(format!("{}: not tried, since what it belongs to was refused", step.title));
            continue;
        }
        match send(github, step, &mut keys) {
            Ok(()) => console::print(&step.title)?,
            Err(error) => {
                // Only this makes something that others belong to.
                if step.method == Method::PUT {
                    refused.push(&step.path);
                }
                problems.push(format!("{}: {error}", step.title));
            }
        }
    }
    Ok(problems)
}

fn send(github: &GitHub, step: &Step, keys: &mut HashMap<Vec<String>, Key>) -> Result<(), Error> {
    match &step.body {
        Body::Empty => github.change(step.method.clone(), &step.path, None),
        Body::Json(body) => github.change(step.method.clone(), &step.path, Some(body)),
        Body::Secret(value) => {
            let place = step.path[..step.path.len() - 1].to_vec();
            if !keys.contains_key(&place) {
                let path: Vec<&str> = place.iter().map(String::as_str).chain(["public-key"]).collect();
                keys.insert(place.clone(), github.read(&path)?);
            }
            let key = &keys[&place];
            let body = json!({"encrypted_value": sealed(value, &key.key)?, "key_id": key.key_id});
            github.change(step.method.clone(), &step.path, Some(&body))
        }
    }
}

/// The value in a sealed box of libsodium, which only the holder of the private key opens.
fn sealed(value: &Hidden, key: &str) -> Result<String, Error> {
    let wrong = |what: &str| Error::Malformed(format!("the public key for secrets {what}"));
    let key = STANDARD.decode(key).map_err(|_| wrong("is not Base64"))?;
    let key = PublicKey::from_slice(&key).map_err(|_| wrong("has not 32 bytes"))?;
    let boxed = key.seal(&mut OsRng, value.0.as_bytes()).map_err(|_| wrong("does not encrypt"))?;
    Ok(STANDARD.encode(boxed))
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn a_sealed_value_is_opened_by_the_private_key_only() {
        let key = SecretKey::generate(&mut OsRng);
        let public = STANDARD.encode(key.public_key().as_bytes());
        let text = sealed(&Hidden("größe\n".to_owned()), &public).expect("sealed");
        let bytes = STANDARD.decode(&text).expect("Base64");
        assert_eq!(key.unseal(&bytes).expect("opened"), "größe\n".as_bytes());
        assert!(SecretKey::generate(&mut OsRng).unseal(&bytes).is_err());
        assert_ne!(text, sealed(&Hidden("größe\n".to_owned()), &public).expect("sealed"), "never the same");
        assert!(sealed(&Hidden(String::new()), "AAAA").is_err());
    }
}

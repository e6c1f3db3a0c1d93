//! Signed text and claims (RFC 7515, compact form). One algorithm and one key: what the token's head says decides nothing but
//! whether it can be one of ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use super::key::SigningKey;

const ALGORITHM: &str = "ES256";

/// Why a token can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not three parts of base64 with JSON inside.
    #[error("it is no JSON web token")]
    Form,
    /// Signed in another way, or with another key.
    #[error("it isn't signed with the key of this server")]
    Signature,
}

/// The claims as a token.
pub(super) fn sign(claims: &impl Serialize, key: &SigningKey) -> String {
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let head = encode(json!({"alg": ALGORITHM, "kid": key.id}).to_string());
    let body = encode(serde_json::to_string(claims).expect("claims have only string keys"));
    let message = format!("{head}.{body}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The claims of a token of ours. Nothing of it is looked into before its signature is known to be good, but for the head.
pub(super) fn verify(token: &str, key: &SigningKey) -> Result<Value, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
    let (head, body) = message.split_once('.').ok_or(TokenError::Form)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form);
    let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).map_err(|_| TokenError::Form);
    let head = json(decode(head)?)?;
    let is_ours = head["alg"] == ALGORITHM && head["kid"] == key.id.as_str() && head.get("crit").is_none();
    if !is_ours || !key.verifies(message.as_bytes(), &decode(signature)?) {
        return Err(TokenError::Signature);
    }
    json(decode(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_can_be_read() {
        let key = SigningKey::ephemeral();
        let claims = json!({"sub": "x"});
        let token = sign(&claims, &key);
        assert_eq!(verify(&token, &key), Ok(claims));
        assert_eq!(verify(&token, &SigningKey::ephemeral()), Err(TokenError::Signature));
    }

    #[test]
    fn what_was_changed_is_refused() {
        let key = SigningKey::ephemeral();
        let token = sign(&json!({"sub": "x"}), &key);
        let parts: Vec<&str> = token.split('.').collect();
        let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let none = encoded(json!({"alg": "none", "kid": key.id}));
        let mac = encoded(json!({"alg": "HS256", "kid": key.id}));
        let body = encoded(json!({"sub": "y"}));
        for (changed, error) in [
            (format!("{}.{body}.{}", parts[0], parts[2]), TokenError::Signature),
            (format!("{none}.{}.", parts[1]), TokenError::Signature),
            (format!("{mac}.{}.{}", parts[1], parts[2]), TokenError::Signature),
            (format!("{}.{}", parts[0], parts[1]), TokenError::Form),
            (format!("{token}.x"), TokenError::Form),
            (format!("{}.{}.", parts[0], parts[1]), TokenError::Signature),
            (String::new(), TokenError::Form),
            ("..".into(), TokenError::Form),
            ("é.é.é".into(), TokenError::Form),
        ] {
            assert_eq!(verify(&changed, &key), Err(error), "{changed}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in ".*") {
            proptest::prop_assert!(verify(&text, &SigningKey::ephemeral()).is_err());
        }
    }
}

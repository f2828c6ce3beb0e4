//! Reading HighLevel's public keys from configuration.
//!
//! A key may be PEM (with real or escaped line breaks; several blocks one after the other), base64
//! of its SubjectPublicKeyInfo, or, for Ed25519, the raw 32 bytes in base64 or hexadecimal. Keys
//! that are not PEM may be listed with commas.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410 §4).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// `rsaEncryption` with its NULL parameters (RFC 8017 appendix A.1).
const RSA_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// The smallest RSA key that is accepted: 2048 bits.
const SMALLEST_MODULUS_BYTES: usize = 256;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// An Ed25519 public key: 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ed25519Key(pub(super) Vec<u8>);

/// An RSA public key: the DER of its `RSAPublicKey` (RFC 8017 appendix A.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaKey(pub(super) Vec<u8>);

/// Why a text is not a list of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no key in it.
    #[error("holds no key")]
    Empty,
    /// A PEM block has no end, or its content is not base64.
    #[error("must be a PEM public key, or base64 of one")]
    Encoding,
    /// The bytes are not an Ed25519 public key.
    #[error("must be an Ed25519 public key")]
    NotEd25519,
    /// The bytes are not an RSA public key of at least 2048 bits.
    #[error("must be an RSA public key of at least 2048 bits")]
    NotRsa,
}

impl Ed25519Key {
    /// Reads one or more keys.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn parse_all(text: &str) -> Result<Vec<Self>, KeyError> {
        encoded_keys(text)?
            .iter()
            .map(|encoded| Self::parse(encoded))
            .collect()
    }

    fn parse(encoded: &str) -> Result<Self, KeyError> {
        if encoded.len() == 64
            && let Ok(raw) = hex::decode(encoded)
        {
            return Ok(Self(raw));
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Encoding)?;
        let raw = bytes
            .strip_prefix(ED25519_PREFIX.as_slice())
            .unwrap_or(&bytes);
        if raw.len() == 32 {
            Ok(Self(raw.to_vec()))
        } else {
            Err(KeyError::NotEd25519)
        }
    }
}

impl RsaKey {
    /// Reads one or more keys.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn parse_all(text: &str) -> Result<Vec<Self>, KeyError> {
        encoded_keys(text)?
            .iter()
            .map(|encoded| {
                let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Encoding)?;
                rsa_public_key(&bytes).map(Self).ok_or(KeyError::NotRsa)
            })
            .collect()
    }
}

/// The base64 or hexadecimal text of each key.
fn encoded_keys(text: &str) -> Result<Vec<String>, KeyError> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    const END: &str = "-----END PUBLIC KEY-----";
    let text = text.replace("\\n", "\n").replace("\\r", "");
    let without_space = |part: &str| part.split_whitespace().collect::<String>();
    let keys: Vec<String> = if text.contains("-----BEGIN") {
        text.split(BEGIN)
            .skip(1)
            .map(|block| {
                block
                    .split_once(END)
                    .map(|(content, _)| without_space(content))
            })
            .collect::<Option<_>>()
            .ok_or(KeyError::Encoding)?
    } else {
        text.split(',')
            .map(without_space)
            .filter(|key| !key.is_empty())
            .collect()
    };
    if keys.is_empty() {
        Err(KeyError::Empty)
    } else {
        Ok(keys)
    }
}

/// Unwraps `SubjectPublicKeyInfo { algorithm, subjectPublicKey BIT STRING }` to the `RSAPublicKey`.
fn rsa_public_key(spki: &[u8]) -> Option<Vec<u8>> {
    let (content, rest) = element(spki, SEQUENCE)?;
    let bits = content.strip_prefix(RSA_ALGORITHM.as_slice())?;
    let (bits, after_bits) = element(bits, BIT_STRING)?;
    let (no_unused_bits, key) = bits.split_first()?;
    let (numbers, after_key) = element(key, SEQUENCE)?;
    let (modulus, _) = element(numbers, INTEGER)?;
    let significant = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let complete = rest.is_empty() && after_bits.is_empty() && after_key.is_empty();
    (complete && *no_unused_bits == 0 && significant.len() >= SMALLEST_MODULUS_BYTES)
        .then(|| key.to_vec())
}

/// The content of a DER element with this tag, and what follows it (X.690 §8.1.3).
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                bytes
                    .iter()
                    .fold(0, |length, &byte| length << 8 | usize::from(byte)),
                rest,
            )
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::{Ed25519Key, KeyError, RsaKey};

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA2FUVjcl4oShP8B9koorVaF/67q1BlcGbzlBLSJQdkIg=\n\
        -----END PUBLIC KEY-----\n";
    const SPKI: &str = "MCowBQYDK2VwAyEA2FUVjcl4oShP8B9koorVaF/67q1BlcGbzlBLSJQdkIg=";
    const RAW: &str = "2FUVjcl4oShP8B9koorVaF/67q1BlcGbzlBLSJQdkIg=";
    const HEX: &str = "d855158dc978a1284ff01f64a28ad5685ffaeead4195c19bce504b48941d9088";

    #[test]
    fn every_way_to_write_an_ed25519_key_gives_the_same_key() {
        let expected = hex::decode(HEX).unwrap();
        let escaped = PEM.replace('\n', "\\n");
        for form in [PEM, escaped.as_str(), SPKI, RAW, HEX] {
            let keys = Ed25519Key::parse_all(form).unwrap();
            assert_eq!(keys, [Ed25519Key(expected.clone())], "{form}");
        }
    }

    #[test]
    fn several_keys_can_be_given_for_rotation() {
        assert_eq!(
            Ed25519Key::parse_all(&format!("{PEM}{PEM}")).unwrap().len(),
            2
        );
        assert_eq!(
            Ed25519Key::parse_all(&format!("{PEM},{PEM}"))
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            Ed25519Key::parse_all(&format!("{SPKI}, {HEX}"))
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(Ed25519Key::parse_all(" , "), Err(KeyError::Empty));
        assert_eq!(Ed25519Key::parse_all("not base64"), Err(KeyError::Encoding));
        assert_eq!(Ed25519Key::parse_all("AAAA"), Err(KeyError::NotEd25519));
        let cut = PEM.split("-----END").next().unwrap();
        assert_eq!(Ed25519Key::parse_all(cut), Err(KeyError::Encoding));
        assert_eq!(RsaKey::parse_all(PEM), Err(KeyError::NotRsa));
    }
}

//! JSON Web Signature (RFC 7515), compact form. Our own, because every refresh signs and a key that
//! is prepared once signs twice as fast (`docs/decisions/jose.md`). The tests verify our tokens
//! with independent libraries.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How ID tokens can be signed (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// The longest header of a token, in base64url: an algorithm of 5 letters and a thumbprint of 43.
pub const LONGEST_HEADER: usize = 108;
/// The longest signature, in base64url: that of an RSA key of 2048 bits.
pub const LONGEST_SIGNATURE: usize = 342;

impl Algorithm {
    /// Every algorithm that a client may choose, the default first.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::Ps256, Self::EdDsa];

    /// Its name in a JOSE header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the {alg} key {problem}")]
pub struct KeyError {
    alg: Algorithm,
    problem: &'static str,
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static signature::RsaSignatureEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key, prepared for signing, with its public half.
pub struct SigningKey {
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// What it signs with.
    pub alg: Algorithm,
    /// The encoded header of every token that this key signs. It names the key, so a token belongs
    /// to the key whose header it has.
    header: String,
    pair: Pair,
    public: ParsedPublicKey,
    jwk: serde_json::Value,
    random: SystemRandom,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.alg, self.kid)
    }
}

/// A new private key for `alg`, as PKCS#8.
///
/// # Errors
/// [`KeyError`] where the library fails.
pub fn generate(alg: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError { alg, problem: "could not be made" };
    let pkcs8 = match alg {
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair)
                .map_err(failed)?
                .as_ref()
                .to_vec()
        }
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        Algorithm::EdDsa => {
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?.as_ref().to_vec()
        }
    };
    Ok(Zeroizing::new(pkcs8))
}

impl SigningKey {
    /// Prepares the private key `pkcs8` for signing with `alg`.
    ///
    /// # Errors
    /// [`KeyError`] where `pkcs8` is no such key.
    pub fn from_pkcs8(alg: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let unreadable = || KeyError { alg, problem: "is not readable" };
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa = |encoding, verifying: &'static signature::RsaParameters| {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| unreadable())?;
            let public = ParsedPublicKey::new(verifying, pair.public_key().as_ref())
                .map_err(|_| unreadable())?;
            let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
            let jwk = [
                ("e", b64(e.big_endian_without_leading_zero())),
                ("kty", "RSA".into()),
                ("n", b64(n.big_endian_without_leading_zero())),
            ];
            Ok((Pair::Rsa(Box::new(pair), encoding), public, jwk.to_vec()))
        };
        let (pair, public, members) = match alg {
            Algorithm::Rs256 => {
                rsa(&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256)?
            }
            Algorithm::Ps256 => {
                rsa(&signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256)?
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                        .map_err(|_| unreadable())?;
                let point = pair.public_key().as_ref();
                let public = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .map_err(|_| unreadable())?;
                // An uncompressed point: 0x04, then x and y of 32 bytes each.
                let (x, y) = point.get(1..33).zip(point.get(33..65)).ok_or_else(unreadable)?;
                let jwk = vec![
                    ("crv", "P-256".into()),
                    ("kty", "EC".into()),
                    ("x", b64(x)),
                    ("y", b64(y)),
                ];
                (Pair::Ecdsa(pair), public, jwk)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| unreadable())?;
                let point = pair.public_key().as_ref();
                let public =
                    ParsedPublicKey::new(&signature::ED25519, point).map_err(|_| unreadable())?;
                let jwk = vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", b64(point))];
                (Pair::Ed25519(pair), public, jwk)
            }
        };
        let mut jwk: serde_json::Map<_, _> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        // RFC 7638 section 3: only the required members, in lexicographic order, as serde_json's
        // map keeps them.
        let thumbprint = digest::digest(
            &digest::SHA256,
            serde_json::Value::from(jwk.clone()).to_string().as_bytes(),
        );
        // One key is never shared by two algorithms, so the thumbprint is enough to name it.
        let kid = b64(thumbprint.as_ref());
        jwk.extend(
            [("alg", alg.name()), ("kid", &kid), ("use", "sig")]
                .map(|(name, value)| (name.to_owned(), value.into())),
        );
        let header = b64(format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#).as_bytes());
        Ok(Self { kid, alg, header, pair, public, jwk: jwk.into(), random: SystemRandom::new() })
    }

    /// The public key as a JSON Web Key (RFC 7517).
    pub fn jwk(&self) -> &serde_json::Value {
        &self.jwk
    }

    /// `payload` signed, in compact form.
    ///
    /// # Errors
    /// [`KeyError`] where the library refuses to sign, which no valid key makes it do.
    pub fn sign(&self, payload: &[u8]) -> Result<String, KeyError> {
        let failed = |_| KeyError { alg: self.alg, problem: "could not sign" };
        let mut token = String::with_capacity(self.header.len() + payload.len() * 4 / 3 + 360);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let append = |token: &mut String, signature: &[u8]| {
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(signature, token);
        };
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = [0; 1024];
                let signature = &mut signature[..pair.public_modulus_len()];
                pair.sign(*encoding, &self.random, token.as_bytes(), signature).map_err(failed)?;
                append(&mut token, signature);
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&self.random, token.as_bytes()).map_err(failed)?;
                append(&mut token, signature.as_ref());
            }
            Pair::Ed25519(pair) => {
                let signature = pair.sign(token.as_bytes());
                append(&mut token, signature.as_ref());
            }
        }
        Ok(token)
    }

    /// Whether `token` names this key in its header.
    pub fn is_named_by(&self, token: &Compact<'_>) -> bool {
        token.header == self.header
    }

    /// The payload of `token`, if this key signed it. The header must be this key's own byte for
    /// byte: we verify only our own tokens, so no header is ever parsed and none can choose an
    /// algorithm.
    pub fn verify(&self, token: &Compact<'_>) -> Option<Vec<u8>> {
        if !self.is_named_by(token) {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(token.signature).ok()?;
        self.public.verify_sig(token.signed.as_bytes(), &signature).ok()?;
        URL_SAFE_NO_PAD.decode(token.payload).ok()
    }
}

/// A token in compact form, split but not verified.
#[derive(Clone, Copy, Debug)]
pub struct Compact<'a> {
    text: &'a str,
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits `text`; `None` where it does not have exactly three parts.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Self { text, signed, header, payload, signature })
    }

    /// The whole token.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The decoded header and payload, to show them. Nothing may be decided by the result.
    pub fn unauthenticated(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        URL_SAFE_NO_PAD.decode(self.header).ok().zip(URL_SAFE_NO_PAD.decode(self.payload).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_and_verifies() {
        for alg in Algorithm::ALL {
            let key = SigningKey::from_pkcs8(alg, &generate(alg).unwrap()).unwrap();
            let other = SigningKey::from_pkcs8(alg, &generate(alg).unwrap()).unwrap();
            let token = key.sign(b"{}").unwrap();
            assert_eq!(
                key.verify(&Compact::parse(&token).unwrap()).as_deref(),
                Some(&b"{}"[..]),
                "{alg}"
            );
            assert_eq!(other.verify(&Compact::parse(&token).unwrap()), None);
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let forged = format!("{}.e30x.{signature}", signed.split_once('.').unwrap().0);
            assert_eq!(key.verify(&Compact::parse(&forged).unwrap()), None);
        }
    }

    #[test]
    fn a_key_is_read_only_as_what_it_is() {
        let pkcs8 = generate(Algorithm::Es256).unwrap();
        assert!(SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).is_err());
        assert!(SigningKey::from_pkcs8(Algorithm::Es256, b"junk").is_err());
    }

    #[test]
    fn compact_forms() {
        for bad in ["", "a", "a.b", "a.b.c.d", "...."] {
            assert!(Compact::parse(bad).is_none(), "{bad}");
        }
    }
}

//! The key file of a service account.

use std::path::Path;

use serde::Deserialize;

use crate::{
    Secret,
    error::{ClientError, Provider},
};

/// The fields of a service account's key file that are used.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceAccountKey {
    /// The account; files and folders are shared with this address.
    pub client_email: String,
    /// RSA, PKCS #8, PEM.
    pub private_key: Secret,
    /// Names the key to Google.
    pub private_key_id: String,
    /// Where access tokens are given out.
    pub token_uri: String,
}

impl ServiceAccountKey {
    /// Reads the file that `GOOGLE_APPLICATION_CREDENTIALS` names.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let fault = |what: String| {
            ClientError::set_up(
                Provider::Google,
                "read the service account's key file",
                format!("{}: {what}", path.display()),
            )
        };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        // The text of a parse error can quote the key.
        serde_json::from_str(&text).map_err(|error| {
            fault(format!(
                "not the JSON key of a service account (line {}, column {}); it needs \
                 client_email, private_key, private_key_id and token_uri",
                error.line(),
                error.column()
            ))
        })
    }
}

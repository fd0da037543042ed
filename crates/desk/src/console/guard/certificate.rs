//! TLS: a given certificate, or one of our own making that stays the same from start to start.

use super::credentials::{FOLDER, write_secret};
use super::secret::hex;
use crate::console::{ConsoleError, ConsoleSettings, Tls};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the largest certificate or key file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The self-made pair, in `DIR/console`.
const MADE: (&str, &str) = ("certificate.pem", "key.pem");

/// What TLS needs.
#[derive(Clone, Debug)]
pub struct Transport {
    /// For [`super::super::server::serve`].
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    pub fingerprint: String,
    /// Whether we made it, so that a browser must be told to trust it.
    pub self_made: bool,
}

/// What the settings ask for: nothing where there is no TLS. Makes a certificate in `DIR/console` where one
/// is wanted and none is there; where that cannot be written, it lasts until the end of this process.
pub fn transport(settings: &ConsoleSettings, dir: &Path) -> Result<Option<Transport>, ConsoleError> {
    let private = settings.listen.address().is_none_or(|address| address.ip().to_canonical().is_loopback());
    let given = settings.certificate.as_deref().zip(settings.key.as_deref());
    match (settings.tls, given) {
        (Tls::Off, _) => Ok(None),
        (_, Some((certificate, key))) => {
            let read = |path: &Path| read(path).map_err(|what| closed(path, what));
            transport_of(&read(certificate)?, &read(key)?, false)
                .map_err(|what| closed(certificate, what))
                .map(Some)
        }
        (Tls::Auto, None) if private => Ok(None),
        (Tls::Auto | Tls::SelfMade, None) => own(settings, dir).map(Some),
    }
}

fn closed(path: &Path, what: String) -> ConsoleError {
    ConsoleError::Closed(format!("{}: {what}", path.display()))
}

fn own(settings: &ConsoleSettings, dir: &Path) -> Result<Transport, ConsoleError> {
    let path = |name: &str| -> PathBuf { dir.join(FOLDER).join(name) };
    let (certificate, key) = (path(MADE.0), path(MADE.1));
    if certificate.exists() && key.exists() {
        let read = |path: &Path| read(path).map_err(|what| closed(path, what));
        return transport_of(&read(&certificate)?, &read(&key)?, true)
            .map_err(|what| closed(&certificate, what));
    }
    let (made, made_key) = make(settings).map_err(|what| closed(&certificate, what))?;
    // The key first: a certificate without its key would be taken for a broken pair.
    let kept = write_secret(dir, MADE.1, made_key.as_bytes());
    match kept.and_then(|()| write_secret(dir, MADE.0, made.as_bytes())) {
        Ok(()) => {}
        // A copy of somebody's evidence is looked at as it is.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
        }
        Err(error) => return Err(closed(&certificate, error.to_string())),
    }
    transport_of(made.as_bytes(), made_key.as_bytes(), true).map_err(|what| closed(&certificate, what))
}

/// A certificate for the names and addresses that the settings know, and its key, both as PEM.
fn make(settings: &ConsoleSettings) -> Result<(String, String), String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let address = settings.listen.address().map(|address| address.ip().to_canonical());
    names.extend(address.filter(|address| !address.is_unspecified()).map(|address| address.to_string()));
    names.extend(settings.hosts.iter().map(|host| host.trim_matches(['[', ']']).to_owned()));
    names.sort();
    names.dedup();
    let failed = |error: rcgen::Error| error.to_string();
    let mut about = rcgen::CertificateParams::new(names).map_err(failed)?;
    about.distinguished_name = rcgen::DistinguishedName::new();
    about.distinguished_name.push(rcgen::DnType::CommonName, "Roridula console");
    about.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let made = about.self_signed(&key).map_err(failed)?;
    Ok((made.pem(), key.serialize_pem()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let is_key = bytes.windows(11).any(|window| window == b"PRIVATE KEY");
    if is_key && meta.mode() & 0o007 != 0 {
        return Err(format!("everybody may read this key (mode {:04o}); chmod 600 it", meta.mode() & 0o7777));
    }
    Ok(bytes)
}

fn transport_of(certificate: &[u8], key: &[u8], self_made: bool) -> Result<Transport, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| format!("no certificate (PEM): {error}"))?;
    let Some(first) = chain.first() else { return Err("holds no certificate (PEM)".to_owned()) };
    let pairs: Vec<String> =
        hex(&Sha256::digest(first)).to_uppercase().as_bytes().chunks(2).map(text).collect();
    let fingerprint = pairs.join(":");
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("its key cannot be read (PEM): {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key do not fit: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Transport { config: Arc::new(config), fingerprint, self_made })
}

fn text(pair: &[u8]) -> String {
    String::from_utf8_lossy(pair).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn at(listen: &str) -> ConsoleSettings {
        let hosts = vec!["console.example.org".to_owned()];
        ConsoleSettings { listen: listen.parse().unwrap(), hosts, ..ConsoleSettings::default() }
    }

    #[test]
    fn the_self_made_one_stays_and_its_key_is_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        assert!(transport(&at("127.0.0.1:1"), dir.path()).unwrap().is_none());
        let first = transport(&at("0.0.0.0:1"), dir.path()).unwrap().unwrap();
        assert!(first.self_made && first.fingerprint.len() == 95, "{}", first.fingerprint);
        let again = transport(&at("192.0.2.1:1"), dir.path()).unwrap().unwrap();
        assert_eq!(first.fingerprint, again.fingerprint);
        let key = dir.path().join(FOLDER).join(MADE.1);
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        let off = ConsoleSettings { tls: Tls::Off, ..at("0.0.0.0:1") };
        assert!(transport(&off, dir.path()).unwrap().is_none());
        let given = ConsoleSettings {
            certificate: Some(dir.path().join(FOLDER).join(MADE.0)),
            key: Some(key.clone()),
            ..at("127.0.0.1:1")
        };
        let given_transport = transport(&given, dir.path()).unwrap().unwrap();
        assert!(!given_transport.self_made && given_transport.fingerprint == first.fingerprint);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(transport(&given, dir.path()).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pem");
        fs::write(&file, "nothing").unwrap();
        let given = ConsoleSettings {
            certificate: Some(file.clone()),
            key: Some(file.clone()),
            ..ConsoleSettings::default()
        };
        let error = transport(&given, dir.path()).unwrap_err().to_string();
        assert!(error.contains("x.pem") && error.contains("no certificate"), "{error}");
    }
}

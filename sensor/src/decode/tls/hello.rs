//! The fields of ClientHello and ServerHello, borrowed from the message.

use super::is_grease;
use crate::decode::Malformed;

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// A ClientHello in the order of the wire.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// `legacy_version`.
    pub version: u16,
    ciphers: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads the body of the handshake message.
    ///
    /// # Errors
    /// The part before the extensions is cut or its lengths contradict each other.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let version = reader.u16()?;
        reader.take(32)?;
        reader.vector8()?;
        let ciphers = reader.vector16()?;
        reader.vector8()?;
        Ok(Self {
            version,
            ciphers,
            extensions: reader.extensions(),
        })
    }

    /// Cipher suites with GREASE.
    pub fn ciphers(&self) -> impl Iterator<Item = u16> + use<'a> {
        numbers(self.ciphers)
    }

    /// Types and bodies of the extensions with GREASE.
    pub fn extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        Extensions(Reader(self.extensions))
    }

    /// First host name of the server name extension (RFC 6066 §3).
    #[must_use]
    pub fn server_name(&self) -> Option<&'a [u8]> {
        let mut list = Reader(Reader(self.find(SERVER_NAME)?).vector16().ok()?);
        while let Ok(kind) = list.take(1) {
            let name = list.vector16().ok()?;
            if kind == [0] {
                return Some(name);
            }
        }
        None
    }

    /// There is a server name extension, readable or not.
    #[must_use]
    pub fn has_server_name(&self) -> bool {
        self.find(SERVER_NAME).is_some()
    }

    /// Protocol names of the ALPN extension (RFC 7301) as far as they are readable.
    pub fn alpn(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        alpn(self.find(ALPN))
    }

    /// Highest version offered, GREASE left out.
    #[must_use]
    pub fn highest_version(&self) -> u16 {
        self.find(SUPPORTED_VERSIONS)
            .and_then(|body| Reader(body).vector8().ok())
            .and_then(|list| numbers(list).filter(|version| !is_grease(*version)).max())
            .unwrap_or(self.version)
    }

    /// Groups of the supported groups extension with GREASE.
    pub fn groups(&self) -> impl Iterator<Item = u16> + use<'a> {
        numbers(self.vector16_of(SUPPORTED_GROUPS))
    }

    #[must_use]
    pub fn point_formats(&self) -> &'a [u8] {
        self.find(POINT_FORMATS)
            .and_then(|body| Reader(body).vector8().ok())
            .unwrap_or(&[])
    }

    /// Signature algorithms with GREASE.
    pub fn signature_algorithms(&self) -> impl Iterator<Item = u16> + use<'a> {
        numbers(self.vector16_of(SIGNATURE_ALGORITHMS))
    }

    fn vector16_of(&self, extension: u16) -> &'a [u8] {
        self.find(extension)
            .and_then(|body| Reader(body).vector16().ok())
            .unwrap_or(&[])
    }

    fn find(&self, extension: u16) -> Option<&'a [u8]> {
        find(self.extensions, extension)
    }
}

/// A ServerHello in the order of the wire.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    /// `legacy_version`.
    pub version: u16,
    pub cipher: u16,
    extensions: &'a [u8],
}

impl<'a> ServerHello<'a> {
    /// Reads the body of the handshake message.
    ///
    /// # Errors
    /// The part before the extensions is cut.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        let version = reader.u16()?;
        reader.take(32)?;
        // The drafts of TLS 1.3 before 22 have neither session id nor compression here.
        let draft = version >> 8 == 0x7f;
        if !draft {
            reader.vector8()?;
        }
        let cipher = reader.u16()?;
        if !draft {
            reader.take(1)?;
        }
        Ok(Self {
            version,
            cipher,
            extensions: reader.extensions(),
        })
    }

    /// Types and bodies of the extensions.
    pub fn extensions(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        Extensions(Reader(self.extensions))
    }

    /// The version that both will speak.
    #[must_use]
    pub fn chosen_version(&self) -> u16 {
        find(self.extensions, SUPPORTED_VERSIONS)
            .and_then(|body| Reader(body).u16().ok())
            .unwrap_or(self.version)
    }

    #[must_use]
    pub fn alpn(&self) -> Option<&'a [u8]> {
        alpn(find(self.extensions, ALPN)).next()
    }
}

fn find(extensions: &[u8], wanted: u16) -> Option<&[u8]> {
    Extensions(Reader(extensions)).find_map(|(kind, body)| (kind == wanted).then_some(body))
}

fn alpn<'a>(body: Option<&'a [u8]>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let mut list = Reader(body.and_then(|body| Reader(body).vector16().ok()).unwrap_or(&[]));
    std::iter::from_fn(move || list.vector8().ok())
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u16> + use<'_> {
    bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|chunk| u16::from_be_bytes(*chunk))
}

/// Ends at the first extension that runs over the end.
struct Extensions<'a>(Reader<'a>);

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.u16().ok()?, self.0.vector16().ok()?))
    }
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn vector8(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// What stands in the extension block; its length may promise more than there is.
    fn extensions(&mut self) -> &'a [u8] {
        match self.u16() {
            Ok(length) => &self.0[..self.0.len().min(usize::from(length))],
            Err(Malformed) => &[],
        }
    }
}

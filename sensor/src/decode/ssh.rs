//! SSH identification lines (RFC 4253 §4.2) and key exchange offers (§7.1) with their HASSH.

use lynceus_model::app::{AppEvent, SshBanner, SshKeyExchange};
use md5::{Digest as _, Md5};

use super::{Malformed, Read};

/// The identification line with its end.
const MAX_BANNER: usize = 255;
/// Longest packet that every implementation takes (RFC 4253 §6.1).
const MAX_PACKET: usize = 35_000;
const KEXINIT: u8 = 20;

/// Reads the identification line, from `SSH-` to the line feed.
///
/// # Errors
/// No such line, or one that is longer than 255 bytes.
pub fn read_banner(bytes: &[u8]) -> Result<Read<AppEvent>, Malformed> {
    let prefix = &bytes[..bytes.len().min(4)];
    if !b"SSH-".starts_with(prefix) {
        return Err(Malformed);
    }
    let Some(end) = bytes.iter().take(MAX_BANNER).position(|byte| *byte == b'\n') else {
        return if bytes.len() < MAX_BANNER {
            Ok(Read::NeedMore)
        } else {
            Err(Malformed)
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    Ok(Read::Done {
        value: AppEvent::Ssh(SshBanner {
            banner: String::from_utf8_lossy(line).into_owned(),
        }),
        consumed: end + 1,
    })
}

/// Reads the binary packet that follows the identification line. `client` says whose offer it is.
///
/// # Errors
/// It is no key exchange offer (version 1 of SSH, or a broken one).
pub fn read_key_exchange(bytes: &[u8], client: bool) -> Result<Read<AppEvent>, Malformed> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Ok(Read::NeedMore);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if !(2 + 16 + 40..=MAX_PACKET).contains(&length) {
        return Err(Malformed);
    }
    let Some(packet) = rest.get(..length) else {
        return Ok(Read::NeedMore);
    };
    if packet[1] != KEXINIT {
        return Err(Malformed);
    }
    // Behind padding length, message number and cookie: key exchange, host key, then for each direction cipher, MAC
    // and compression.
    let mut lists = packet.get(18..).ok_or(Malformed)?;
    let mut names: [&[u8]; 8] = [&[]; 8];
    for list in &mut names {
        let (length, rest) = lists.split_first_chunk().ok_or(Malformed)?;
        let (name, rest) = rest
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or(Malformed)?;
        (*list, lists) = (name, rest);
    }
    let [
        key,
        _,
        cipher_out,
        cipher_in,
        mac_out,
        mac_in,
        compression_out,
        compression_in,
    ] = names;
    let hashed = if client {
        [key, cipher_out, mac_out, compression_out]
    } else {
        [key, cipher_in, mac_in, compression_in]
    };
    let hassh = super::hex(&Md5::digest(hashed.join(&b';')));
    Ok(Read::Done {
        value: AppEvent::SshKeyExchange(SshKeyExchange { hassh }),
        consumed: 4 + length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(lists: [&str; 8]) -> Vec<u8> {
        let mut packet = vec![4, KEXINIT];
        packet.extend([7; 16]);
        for list in lists.iter().chain(&["", ""]) {
            packet.extend((list.len() as u32).to_be_bytes());
            packet.extend(list.bytes());
        }
        packet.extend([0; 5]);
        let mut bytes = (packet.len() as u32).to_be_bytes().to_vec();
        bytes.extend(packet);
        bytes
    }

    #[test]
    fn banners() {
        let Ok(Read::Done { value, consumed }) = read_banner(b"SSH-2.0-OpenSSH_9.6 x\r\n\0\0") else {
            panic!("not read");
        };
        assert_eq!(consumed, 23);
        let AppEvent::Ssh(ssh) = value else {
            panic!("no banner");
        };
        assert_eq!(ssh.banner, "SSH-2.0-OpenSSH_9.6 x");
        assert_eq!(read_banner(b"SSH-2.0"), Ok(Read::NeedMore));
        assert_eq!(read_banner(b"220 ftp\r\n"), Err(Malformed));
        assert_eq!(
            read_banner(&[b"SSH-".as_slice(), &[b'a'; 300]].concat()),
            Err(Malformed)
        );
    }

    #[test]
    fn hassh_takes_the_senders_direction() {
        let bytes = offer(["kex", "host", "c-out", "c-in", "m-out", "m-in", "z-out", "z-in"]);
        let hassh = |client| match read_key_exchange(&bytes, client) {
            Ok(Read::Done {
                value: AppEvent::SshKeyExchange(keys),
                ..
            }) => keys.hassh,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            hassh(true),
            super::super::hex(&Md5::digest("kex;c-out;m-out;z-out"))
        );
        assert_eq!(
            hassh(false),
            super::super::hex(&Md5::digest("kex;c-in;m-in;z-in"))
        );
        assert_eq!(read_key_exchange(&bytes[..50], true), Ok(Read::NeedMore));
        assert_eq!(read_key_exchange(&[0, 0, 0, 200, 1, 2], true), Ok(Read::NeedMore));
        assert_eq!(read_key_exchange(&[255; 90], true), Err(Malformed));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), client: bool) {
            let _ = (read_banner(&bytes), read_key_exchange(&bytes, client));
            let framed = [&[0, 0, 1, 0, 4, KEXINIT], bytes.as_slice()].concat();
            let _ = read_key_exchange(&framed, client);
        }
    }
}

//! A 32-byte secret in a file: a private key file or a preshared key file, base64 in one line.
//!
//! The file must be a regular one that nobody but its owner can touch. The text and the decoded bytes
//! are zeroised wherever they were.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use data_encoding::BASE64;
use whalescale_core::entropy::Entropy;
use zeroize::Zeroizing;

use super::entropy::OsEntropy;

/// Base64 of 32 bytes, and what its decoding may write.
const TEXT_LEN: usize = 44;
const DECODED_LEN: usize = 33;
/// The text, its line end, and one byte to notice that there is more.
const READ_LEN: usize = TEXT_LEN + 3;

/// Why a file gives no secret.
#[derive(Debug)]
pub enum SecretFileError {
    /// Not a regular file.
    NotAFile,
    /// Group or others may access it; carries the permission bits. The remedy is `chmod 600`.
    Exposed(u32),
    /// Not the base64 of 32 bytes.
    Malformed,
    /// The system refused; carries its error.
    Io(io::Error),
}

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("is not a regular file"),
            Self::Exposed(mode) => {
                write!(f, "has mode {mode:04o}, so others can access it; set 0600")
            }
            Self::Malformed => f.write_str("does not hold the base64 of 32 bytes"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SecretFileError {}

impl From<io::Error> for SecretFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the secret in the open file `fd`; checks the mode of what is open, not of a path.
pub fn read_secret(fd: OwnedFd) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
    let file = File::from(fd);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    let permissions = metadata.mode() & 0o7777;
    if permissions & 0o077 != 0 {
        return Err(SecretFileError::Exposed(permissions));
    }
    // By position, so that the descriptor's offset does not matter and it can be read again.
    let mut text = Zeroizing::new([0; READ_LEN]);
    let mut len = 0;
    while let Some(rest) = text.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, len as u64)? {
            0 => break,
            more => len += more,
        }
    }
    let text = text.get(..len).unwrap_or_default();
    decode(text).ok_or(SecretFileError::Malformed)
}

/// Makes a new random secret in a new file of mode 0600 at `path`.
///
/// Fails with EEXIST when there is a file: a key is never overwritten.
pub fn create(path: &Path) -> io::Result<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0; 32]);
    OsEntropy::new()?.fill(&mut *secret);
    let text = Zeroizing::new(BASE64.encode(&*secret) + "\n");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}

fn decode(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let (text, end) = text.split_at_checked(TEXT_LEN)?;
    if !matches!(end, b"" | b"\n" | b"\r\n") {
        return None;
    }
    let mut decoded = Zeroizing::new([0; DECODED_LEN]);
    let len = BASE64.decode_mut(text, decoded.as_mut_slice()).ok()?;
    let (secret, rest) = decoded.split_first_chunk::<32>()?;
    (len == secret.len() && !rest.is_empty()).then(|| Zeroizing::new(*secret))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &[u8], mode: u32) -> Result<Zeroizing<[u8; 32]>, SecretFileError> {
        // SAFETY: the name is NUL-terminated; memfd_create returns a new descriptor, owned here.
        let mut file = unsafe {
            let fd = libc::memfd_create(c"secret".as_ptr(), libc::MFD_CLOEXEC);
            <File as std::os::fd::FromRawFd>::from_raw_fd(fd)
        };
        io::Write::write_all(&mut file, text).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file.set_permissions(PermissionsExt::from_mode(mode))
            .unwrap();
        read_secret(file.into())
    }

    #[test]
    fn a_key_as_wg_genkey_writes_it_is_read() {
        let secret: [u8; 32] = std::array::from_fn(|n| n as u8);
        for end in ["", "\n", "\r\n"] {
            let text = BASE64.encode(&secret) + end;
            assert_eq!(*read(text.as_bytes(), 0o600).unwrap(), secret);
            assert_eq!(*read(text.as_bytes(), 0o400).unwrap(), secret);
        }
    }

    #[test]
    fn a_file_that_others_may_access_is_refused_with_its_mode() {
        let text = BASE64.encode(&[1; 32]);
        for mode in [0o640, 0o604, 0o620, 0o601] {
            assert!(
                matches!(read(text.as_bytes(), mode), Err(SecretFileError::Exposed(got)) if got == mode)
            );
        }
    }

    #[test]
    fn anything_but_base64_of_32_bytes_is_refused() {
        let good = BASE64.encode(&[1; 32]);
        let texts = [
            String::new(),
            BASE64.encode(&[1; 31]),
            BASE64.encode(&[1; 33]),
            good.replace('=', "A"),
            good.replacen('A', "!", 1),
            good.clone() + "\n\n",
            good.clone() + "x",
            good + &" ".repeat(100_000),
        ];
        for text in texts {
            assert!(
                matches!(
                    read(text.as_bytes(), 0o600),
                    Err(SecretFileError::Malformed)
                ),
                "{text:.60}"
            );
        }
    }

    #[test]
    fn a_directory_is_refused() {
        let directory = File::open("/").unwrap();
        assert!(matches!(
            read_secret(directory.into()),
            Err(SecretFileError::NotAFile)
        ));
    }
}

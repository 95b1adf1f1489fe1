//! One file from one of several addresses, whole and as it should be, or not at all.
//!
//! What has come so far stands in `NAME.part` beside the file's place, and the next attempt, in this run or a later
//! one, asks for the rest. An address is tried again as long as it brings something new; then comes the next. Only
//! what has the right length and digest takes the file's name. A server is not believed: not how long the file is,
//! nor which part it sends, nor that anything will come at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use super::digest::sha256;
use crate::{Failure, named};

/// What is to be fetched.
pub struct Wanted<'a> {
    /// Where it may be, the best address first.
    pub addresses: &'a [String],
    /// How long it is, if that is known.
    pub bytes: Option<u64>,
    /// Its SHA-256.
    pub sha256: &'a str,
}

/// Attempts at one address, however much each brings.
const ATTEMPTS: usize = 50;
/// Redirections that are followed.
const REDIRECTIONS: u32 = 5;

/// What fetches.
pub struct Client(Agent);

impl Client {
    /// One that waits no longer than `patience` for a connection, an answer or the next bytes.
    pub fn new(patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .max_redirects(REDIRECTIONS)
            .http_status_as_error(false)
            .user_agent(concat!("striate/", env!("CARGO_PKG_VERSION")))
            .build();
        Client(config.into())
    }

    /// Fetches a file to `target`.
    ///
    /// # Errors
    ///
    /// If no address has it; the error says what each did. What has come of it is kept for the next time, unless
    /// it is wrong.
    pub fn fetch(&self, wanted: &Wanted, target: &Path, bar: &ProgressBar) -> Result<(), Failure> {
        let mut part = Part::open(target)?;
        let mut problems = Vec::new();
        for address in wanted.addresses {
            for _ in 0..ATTEMPTS {
                let before = part.len()?;
                match self.attempt(wanted, address, &mut part, bar) {
                    Ok(()) => return part.complete(target),
                    Err(Trouble::Here(failure)) => return Err(failure),
                    Err(Trouble::There(problem)) => problems.push(format!("{address}: {problem}")),
                }
                let after = part.len()?;
                // Wrong bytes from an earlier time are worth an attempt from the start.
                let leftover = after == 0 && before > 0;
                if after <= before && !leftover {
                    break;
                }
            }
        }
        part.tidy()?;
        problems.dedup();
        Err(problems.join("; ").into())
    }

    /// Fetches what is missing and checks the whole.
    fn attempt(
        &self,
        wanted: &Wanted,
        address: &str,
        part: &mut Part,
        bar: &ProgressBar,
    ) -> Result<(), Trouble> {
        let complete = |part: &Part| Ok::<_, Failure>(Some(part.len()?) == wanted.bytes);
        if !complete(part)? {
            self.receive(wanted, address, part, bar)?;
        }
        if let Some(expected) = wanted.bytes
            && !complete(part)?
        {
            let found = part.len()?;
            return Err(Trouble::There(format!("ended after {found} of {expected} bytes")));
        }
        let found = part.sha256()?;
        if found != wanted.sha256 {
            part.clear()?;
            let expected = wanted.sha256;
            let problem = format!("expected a file with SHA-256 {expected}, got {found}");
            return Err(Trouble::There(problem));
        }
        Ok(())
    }

    /// Appends what the server sends to what there is.
    fn receive(
        &self,
        wanted: &Wanted,
        address: &str,
        part: &mut Part,
        bar: &ProgressBar,
    ) -> Result<(), Trouble> {
        let start = part.len()?;
        let mut request = self.0.get(address);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let mut response = request.call().map_err(|error| Trouble::There(error.to_string()))?;
        match response.status() {
            StatusCode::OK => part.clear()?,
            StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(start) => {}
            StatusCode::PARTIAL_CONTENT => {
                return Err(Trouble::There(format!("sends another part than that from {start}")));
            }
            // There is nothing more; the digest tells whether what there is is the file.
            StatusCode::RANGE_NOT_SATISFIABLE if wanted.bytes.is_none() => return Ok(()),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.clear()?;
                return Err(Trouble::There(format!("has less than {start} bytes")));
            }
            status => return Err(Trouble::There(format!("answers {status}"))),
        }
        let announced = response.body().content_length().map(|rest| part.position + rest);
        if let (Some(announced), Some(expected)) = (announced, wanted.bytes)
            && announced != expected
        {
            let problem = format!("announces {announced} bytes, expected {expected}");
            return Err(Trouble::There(problem));
        }
        if let Some(length) = wanted.bytes.or(announced) {
            bar.set_length(length);
        }
        part.append(response.body_mut().as_reader(), wanted.bytes, bar)
    }
}

/// The first byte that `Content-Range: bytes 5-9/10` announces.
fn range_start<B>(response: &Response<B>) -> Option<u64> {
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// What ends an attempt.
enum Trouble {
    /// The other side, or the way there: another attempt may help.
    There(String),
    /// This side, such as a full disk: nothing will help.
    Here(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Here(failure)
    }
}

/// The beginning of a file, locked against other processes.
struct Part {
    path: PathBuf,
    file: File,
    /// Where the next bytes go.
    position: u64,
}

impl Part {
    fn open(target: &Path) -> Result<Self, Failure> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let path = target.with_file_name(name);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(named(&path))?;
        match file.try_lock() {
            // Some file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!("{}: another process is fetching this", path.display()).into());
            }
        }
        let position = file.seek(SeekFrom::End(0)).map_err(named(&path))?;
        Ok(Part { path, file, position })
    }

    fn len(&self) -> Result<u64, Failure> {
        Ok(self.file.metadata().map_err(named(&self.path))?.len())
    }

    fn clear(&mut self) -> Result<(), Failure> {
        self.position = 0;
        self.file.set_len(0).map_err(named(&self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(named(&self.path))?;
        Ok(())
    }

    /// Appends all that `body` gives, but no more than a file of `limit` bytes takes.
    fn append(
        &mut self,
        mut body: impl Read,
        limit: Option<u64>,
        bar: &ProgressBar,
    ) -> Result<(), Trouble> {
        let mut buffer = vec![0; 1 << 16];
        bar.set_position(self.position);
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(Trouble::There(error.to_string())),
            };
            if let Some(limit) = limit
                && self.position + read as u64 > limit
            {
                self.clear()?;
                return Err(Trouble::There(format!("sends more than {limit} bytes")));
            }
            self.file.write_all(&buffer[..read]).map_err(named(&self.path))?;
            self.position += read as u64;
            bar.set_position(self.position);
        }
    }

    fn sha256(&mut self) -> Result<String, Failure> {
        self.file.seek(SeekFrom::Start(0)).map_err(named(&self.path))?;
        let digest = sha256(&mut self.file).map_err(named(&self.path))?;
        self.file.seek(SeekFrom::End(0)).map_err(named(&self.path))?;
        Ok(digest)
    }

    /// Leaves nothing behind if nothing has come.
    fn tidy(self) -> Result<(), Failure> {
        let (empty, Part { path, file, .. }) = (self.len()? == 0, self);
        drop(file);
        match empty {
            true => fs::remove_file(&path).map_err(named(&path)),
            false => Ok(()),
        }
    }

    /// Gives the file its name, once it is on the disk.
    fn complete(self, target: &Path) -> Result<(), Failure> {
        let Part { path, file, .. } = self;
        file.sync_all().map_err(named(&path))?;
        // Not every system renames a file that is open.
        drop(file);
        fs::rename(&path, target).map_err(named(target))
    }
}

#[cfg(test)]
mod tests;

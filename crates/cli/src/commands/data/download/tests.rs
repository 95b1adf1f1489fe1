//! Against a server that keeps to the rules, and against one that does not.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::*;

/// Answers requests one after another by a script, and notes the paths and ranges asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What the server does with a connection, given the first byte that was asked for.
type Answer = fn(&mut TcpStream, usize);

impl Server {
    /// One that answers by `script`, and by its last part for ever after.
    fn start(script: &'static [Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = asked.clone();
        thread::spawn(move || {
            for (count, stream) in listener.incoming().enumerate() {
                let (mut stream, notes) = (stream.unwrap(), notes.clone());
                let answer = script[count.min(script.len() - 1)];
                // One that stalls does not keep the next from being answered.
                thread::spawn(move || {
                    let start = request(&stream, &notes);
                    answer(&mut stream, start);
                });
            }
        });
        Server { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a request, notes its first line and its range, and returns the first byte that it asks for.
fn request(stream: &TcpStream, notes: &Mutex<Vec<String>>) -> usize {
    let mut start = 0;
    let lines = BufReader::new(stream).lines();
    for line in lines.map(Result::unwrap).take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().unwrap();
        }
        if line.starts_with("get ") || line.starts_with("range:") {
            notes.lock().unwrap().push(line);
        }
    }
    start
}

fn content() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Headers, then `body`. What the client does not want to hear is not sent.
fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn send_part(stream: &mut TcpStream, start: usize, bytes: usize) {
    let all = content();
    let (rest, total) = (all.len() - start, all.len());
    let head = match start {
        0 => format!("200 OK\r\nContent-Length: {rest}"),
        _ => format!(
            "206 Partial Content\r\nContent-Length: {rest}\r\nContent-Range: bytes {start}-{}/{total}",
            total - 1
        ),
    };
    send(stream, &head, &all[start..(start + bytes).min(total)]);
}

const HONEST: Answer = |stream, start| send_part(stream, start, usize::MAX / 2);
const TRUNCATED: Answer = |stream, start| send_part(stream, start, 100_000);
const NOTHING: Answer = |_, _| {};
const NO_RANGES: Answer = |stream, _| send_part(stream, 0, usize::MAX / 2);
const STALLED: Answer = |stream, start| {
    send_part(stream, start, 50_000);
    thread::sleep(Duration::from_secs(60));
};
const SILENT: Answer = |_, _| thread::sleep(Duration::from_secs(60));
const MISSING: Answer = |stream, _| send(stream, "404 Not Found\r\nContent-Length: 0", b"");
const NO_LENGTH: Answer = |stream, _| send(stream, "200 OK", &content());
const ENDLESS: Answer = |stream, _| {
    send(stream, "200 OK", &[]);
    while stream.write_all(&[7; 4096]).is_ok() {}
};
const LONGER: Answer = |stream, _| send(stream, "200 OK\r\nContent-Length: 300001", &content());
const SHORTER: Answer = |stream, _| send(stream, "200 OK\r\nContent-Length: 299999", &content());
const SHORTER_PART: Answer = |stream, _| send(stream, "200 OK", &content()[..299_999]);
const OTHER_BYTES: Answer = |stream, _| {
    let mut bytes = content();
    bytes[200_000] ^= 1;
    send(stream, "200 OK\r\nContent-Length: 300000", &bytes);
};
const OTHER_PART: Answer = |stream, start| match start {
    0 => TRUNCATED(stream, 0),
    _ => {
        let head = "206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/300000";
        send(stream, head, &content()[5..15]);
    }
};
const UNSATISFIABLE: Answer = |stream, _| {
    send(stream, "416 Range Not Satisfiable\r\nContent-Length: 0", b"");
};
const REDIRECTED: Answer = |stream, _| {
    let here = stream.local_addr().unwrap();
    let head = format!("302 Found\r\nLocation: http://{here}/elsewhere\r\nContent-Length: 0");
    send(stream, &head, b"");
};
const NOISE: Answer = |stream, _| {
    let _ = stream.write_all(b"\x16\x03\x01\x02 this is no HTTP\r\n\r\n");
};

struct Fetched {
    folder: tempfile::TempDir,
    target: PathBuf,
    seconds: f64,
    result: Result<(), String>,
}

impl Fetched {
    /// What is left in the folder besides the file.
    fn part(&self) -> usize {
        fs::read(self.folder.path().join("file.part")).map_or(0, |part| part.len())
    }

    #[track_caller]
    fn succeeded(&self) {
        assert_eq!(self.result, Ok(()));
        assert!(fs::read(&self.target).unwrap() == content());
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[track_caller]
    fn failed(&self, problem: &str) {
        let error = self.result.as_ref().unwrap_err();
        assert!(error.contains(problem), "expected {problem}, got {error}");
        assert!(!self.target.exists());
    }
}

/// Fetches into `folder`, with or without knowing the length.
fn fetch_into(folder: tempfile::TempDir, servers: &[&Server], bytes: Option<u64>) -> Fetched {
    let target = folder.path().join("file");
    let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let sha256 = sha256(&content()[..]).unwrap();
    let wanted = Wanted { addresses: &addresses, bytes, sha256: &sha256 };
    let start = Instant::now();
    let client = Client::new(Duration::from_millis(300));
    let result = client.fetch(&wanted, &target, &ProgressBar::hidden());
    let result = result.map_err(|failure| failure.to_string());
    Fetched { folder, target, seconds: start.elapsed().as_secs_f64(), result }
}

fn fetch(script: &'static [Answer]) -> (Server, Fetched) {
    let server = Server::start(script);
    let fetched = fetch_into(tempfile::tempdir().unwrap(), &[&server], Some(300_000));
    (server, fetched)
}

#[test]
fn an_honest_server_is_asked_once() {
    let (server, fetched) = fetch(&[HONEST]);
    fetched.succeeded();
    assert_eq!(server.asked(), ["get /file http/1.1"]);
    fetch(&[NO_LENGTH]).1.succeeded();
    let server = Server::start(&[HONEST]);
    fetch_into(tempfile::tempdir().unwrap(), &[&server], None).succeeded();
}

#[test]
fn what_is_cut_short_is_continued() {
    let (server, fetched) = fetch(&[TRUNCATED]);
    fetched.succeeded();
    let ranges = server.asked().into_iter().filter(|line| !line.starts_with("get"));
    assert_eq!(ranges.collect::<Vec<_>>(), ["range: bytes=100000-", "range: bytes=200000-"]);
}

#[test]
fn a_later_fetch_continues_an_earlier_one() {
    let (_, fetched) = fetch(&[TRUNCATED, NOTHING]);
    fetched.failed("file: ");
    assert_eq!(fetched.part(), 100_000);
    let server = Server::start(&[HONEST]);
    fetch_into(fetched.folder, &[&server], Some(300_000)).succeeded();
    assert!(server.asked()[1].ends_with("bytes=100000-"), "{:?}", server.asked());
}

#[test]
fn a_server_without_ranges_starts_again() {
    fetch(&[TRUNCATED, NO_RANGES]).1.succeeded();
}

#[test]
fn a_stalled_server_is_left_after_a_while() {
    let (_, fetched) = fetch(&[STALLED, SILENT]);
    fetched.failed("timeout");
    assert_eq!(fetched.part(), 50_000);
    assert!(fetched.seconds < 5.0, "{}", fetched.seconds);
    fetch(&[STALLED, HONEST]).1.succeeded();
}

#[test]
fn the_next_address_takes_over() {
    let servers =
        [Server::start(&[MISSING]), Server::start(&[TRUNCATED, NOTHING]), Server::start(&[HONEST])];
    let servers = servers.each_ref();
    let fetched = fetch_into(tempfile::tempdir().unwrap(), &servers, Some(300_000));
    fetched.succeeded();
    // What the second had sent was not fetched again.
    assert!(servers[2].asked()[1].ends_with("bytes=100000-"));
    let none = fetch_into(tempfile::tempdir().unwrap(), &servers[..1], Some(300_000));
    none.failed("answers 404 Not Found");
    assert_eq!(servers[0].asked().len(), 2, "once each time");
}

#[test]
fn lengths_are_not_believed() {
    fetch(&[LONGER]).1.failed("announces 300001 bytes, expected 300000");
    fetch(&[SHORTER]).1.failed("announces 299999 bytes, expected 300000");
    fetch(&[SHORTER_PART]).1.failed("ended after 299999 of 300000 bytes");
    fetch(&[ENDLESS]).1.failed("sends more than 300000 bytes");
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let (server, fetched) = fetch(&[OTHER_BYTES]);
    fetched.failed("expected a file with SHA-256 ");
    assert_eq!((fetched.part(), server.asked().len()), (0, 1));
    // A wrong beginning from an earlier time does not spoil a right file.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.part"), [1; 1000]).unwrap();
    let server = Server::start(&[HONEST]);
    fetch_into(folder, &[&server], Some(300_000)).succeeded();
}

#[test]
fn another_part_than_asked_for_is_refused() {
    let (_, fetched) = fetch(&[OTHER_PART]);
    fetched.failed("sends another part than that from 100000");
    assert_eq!(fetched.part(), 100_000);
}

#[test]
fn a_part_that_is_too_long_is_begun_again() {
    for bytes in [Some(300_000), None] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file.part"), [1; 400_000]).unwrap();
        let server = Server::start(&[UNSATISFIABLE, HONEST]);
        fetch_into(folder, &[&server], bytes).succeeded();
    }
}

#[test]
fn a_part_that_is_complete_needs_no_server() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.part"), content()).unwrap();
    let server = Server::start(&[MISSING]);
    fetch_into(folder, &[&server], Some(300_000)).succeeded();
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn redirections_are_followed_but_not_for_ever() {
    let (server, fetched) = fetch(&[REDIRECTED, HONEST]);
    fetched.succeeded();
    assert_eq!(server.asked(), ["get /file http/1.1", "get /elsewhere http/1.1"]);
    let (server, fetched) = fetch(&[REDIRECTED]);
    fetched.failed("redirect");
    assert_eq!(server.asked().len(), 1 + REDIRECTIONS as usize);
}

#[test]
fn what_is_no_http_or_no_server_is_an_error() {
    fetch(&[NOISE]).1.failed("protocol");
    fetch(&[NOTHING]).1.failed("file: ");
    let mut nobody = Server::start(&[HONEST]);
    nobody.address = "http://127.0.0.1:1/file".into();
    let fetched = fetch_into(tempfile::tempdir().unwrap(), &[&nobody], None);
    fetched.failed("127.0.0.1:1/file: ");
    assert_eq!(fs::read_dir(fetched.folder.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn two_at_once_do_not_write_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Part::open(&folder.path().join("file")).unwrap();
    let server = Server::start(&[HONEST]);
    fetch_into(folder, &[&server], Some(300_000)).failed("another process is fetching this");
}

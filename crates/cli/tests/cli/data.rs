//! `striate data`, and the names that it gives to `--data`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::photos::kennel;
use super::*;

/// A command whose fetched sets lie below `home`, and that asks no proxy.
fn at_home(home: &TempDir, arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    command.env("XDG_DATA_HOME", home.path());
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command.output().unwrap()
}

fn succeeds_at_home(home: &TempDir, arguments: &[&str]) -> String {
    let output = at_home(home, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails_at_home(home: &TempDir, arguments: &[&str], message: &str) {
    let output = at_home(home, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.contains(message), "{arguments:?}: expected {message}, got {stderr}");
}

/// A folder of `$STRIATE_DATA/datasets`, if it is there; says so if it is not.
fn dataset(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("STRIATE_DATA").map(PathBuf::from);
    let folder = root.map(|root| root.join("datasets").join(name)).filter(|at| at.is_dir());
    if folder.is_none() {
        // Not by `eprintln!`, which the harness holds back.
        let line = format!("SKIP: no folder datasets/{name} in STRIATE_DATA\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    folder
}

/// Serves the files of `folder` to whoever asks, and returns its address.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let name = lines[0].split(' ').nth(1).unwrap().trim_start_matches('/');
            let content = fs::read(folder.join(name)).unwrap_or_default();
            let status = if content.is_empty() { "404 Not Found" } else { "200 OK" };
            let length = content.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content));
        }
    });
    address
}

#[test]
fn sets_are_listed_with_their_place() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("striate/mnist");
    fs::create_dir_all(&folder).unwrap();
    let list = succeeds_at_home(&home, &["data", "list"]);
    // A folder that a broken fetch left holds no data set.
    assert_eq!(list.matches("not fetched").count(), 4, "{list}");
    for name in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        fs::write(folder.join(format!("{name}-ubyte.gz")), b"").unwrap();
    }
    let list = succeeds_at_home(&home, &["data", "list"]);
    for set in ["mnist", "cifar10", "vgg16", "dogs"] {
        assert!(list.lines().any(|line| line.split(' ').next() == Some(set)), "{list}");
    }
    assert!(list.contains(text(&folder)), "{list}");
    assert_eq!(list.matches("not fetched").count(), 3, "{list}");
    fails(&["data", "fetch", "imagenet"], "no data set is called imagenet; there are mnist, ");
}

#[test]
fn a_fetched_set_is_found_by_its_name() {
    let (home, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let arguments = ["train", "mnist-mlp", "--epochs", "1", "--out", text(&run), "--data", "mnist"];
    fails_at_home(&home, &arguments, "`striate data fetch mnist` does that");
    assert!(!run.exists());
    fs::create_dir(home.path().join("striate")).unwrap();
    let fetched = home.path().join("striate/mnist");
    fs::rename(digits().keep(), &fetched).unwrap();
    let printed = succeeds_at_home(&home, &arguments);
    assert!(
        printed.contains(&format!("200 images to train on, 50 held out, from {}", text(&fetched)))
    );
    // The run remembers the place, not the name.
    let result = json(&["evaluate", text(&run), "--json"]);
    assert_eq!(result["samples"], 50);
    succeeds_at_home(&home, &["evaluate", text(&run), "--data", "mnist"]);
    fails_at_home(&home, &["evaluate", text(&run), "--data", "cifar10"], "data fetch cifar10");
    // A folder of that name comes first.
    let here = out.path().join("mnist");
    fs::rename(digits().keep(), &here).unwrap();
    let output = command(&["evaluate", text(&run), "--data", "mnist"]).current_dir(&out).output();
    assert!(output.unwrap().status.success());
}

/// Photos as they come from Kaggle, in an archive with others.
pub fn zipped(photos: &Path, archive: &Path) {
    let mut zip = zip::ZipWriter::new(fs::File::create(archive).unwrap());
    let files = fs::read_dir(photos.join("train")).unwrap();
    let names = files.map(|photo| format!("train/{}", text(photo.unwrap().file_name().as_ref())));
    for name in names.chain(["labels.csv".into()]) {
        zip.start_file(&name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&fs::read(photos.join(name)).unwrap()).unwrap();
    }
    zip.start_file("test/unlabelled.jpg", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
}

#[test]
fn a_set_that_needs_an_account_takes_its_archive() {
    let (data, home) = (kennel(), tempfile::tempdir().unwrap());
    let page =
        "dogs needs an account: fetch dog-breed-identification.zip from https://www.kaggle.com/";
    fails_at_home(&home, &["data", "fetch", "dogs"], page);
    let archive = home.path().join("dogs.zip");
    zipped(data.path(), &archive);
    let arguments = ["data", "fetch", "dogs", "--archive", text(&archive)];
    let printed = succeeds_at_home(&home, &arguments);
    assert!(printed.contains("30 photos of 3 classes can be read"), "{printed}");
    let folder = home.path().join("striate/dogs");
    assert!(!folder.join("test").exists());
    assert!(archive.exists(), "the archive is its owner's");
    // What is there is only looked at.
    succeeds_at_home(&home, &["data", "fetch", "dogs"]);
    fs::write(folder.join("train/dog7.jpg"), b"no photo").unwrap();
    fails_at_home(&home, &["data", "verify", "dogs"], "1 of 30 photos are wrong");
}

#[test]
fn archives_and_files_that_differ_are_refused() {
    let (data, home) = (digits(), tempfile::tempdir().unwrap());
    let archive = data.path().join("cifar-10-binary.tar.gz");
    fs::write(&archive, b"short").unwrap();
    let arguments = ["data", "fetch", "cifar10", "--archive", text(&archive)];
    fails_at_home(&home, &arguments, "expected 170052171 bytes, got 5");
    let arguments = ["data", "fetch", "mnist", "--archive", text(&archive)];
    fails_at_home(&home, &arguments, "mnist does not come in an archive");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let verify = ["data", "verify", "mnist", text(data.path())];
    fails_at_home(&home, &verify, "4 of 4 files of mnist are wrong");
    fails_at_home(&home, &["data", "verify", "cifar10"], "6 of 6 files of cifar10 are wrong");
}

#[test]
fn a_server_that_has_nothing_is_one_line() {
    let (empty, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = serve(empty.path().into());
    let arguments = ["data", "fetch", "mnist", "--from", &address];
    fails_at_home(&home, &arguments, "train-images-idx3-ubyte.gz: answers 404 Not Found");
    let arguments = ["data", "fetch", "vgg16", "--patience", "1", "--from", "http://127.0.0.1:1"];
    fails_at_home(&home, &arguments, "http://127.0.0.1:1/model.safetensors: ");
    let into = empty.path().join("file");
    fs::write(&into, b"").unwrap();
    let arguments = ["data", "fetch", "mnist", "--from", &address, "--into", text(&into)];
    fails_at_home(&home, &arguments, text(&into));
}

/// The whole of MNIST, from a server of its own.
#[test]
fn mnist_is_fetched_verified_and_read() {
    let Some(folder) = dataset("mnist") else { return };
    let (home, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = serve(folder.clone());
    let into = text(out.path());
    let arguments = ["data", "fetch", "mnist", "--from", &address, "--into", into];
    let printed = succeeds_at_home(&home, &arguments);
    assert!(printed.ends_with("mnist is complete\n"), "{printed}");
    for file in fs::read_dir(out.path().join("mnist")).unwrap() {
        let file = file.unwrap();
        assert!(fs::read(file.path()).unwrap() == fs::read(folder.join(file.file_name())).unwrap());
    }
    // Again, from nowhere: it is there.
    let again = ["data", "fetch", "mnist", "--from", "http://127.0.0.1:1", "--into", into];
    assert_eq!(succeeds_at_home(&home, &again), printed);
    let train = out.path().join("mnist/train-labels-idx1-ubyte.gz");
    let mut bytes = fs::read(&train).unwrap();
    bytes[100] ^= 1;
    fs::write(&train, bytes).unwrap();
    let verify = ["data", "verify", "mnist", text(train.parent().unwrap())];
    fails_at_home(&home, &verify, "1 of 4 files of mnist are wrong");
    // And is mended.
    assert_eq!(succeeds_at_home(&home, &arguments), printed);
}

//! The page that a run leaves: whole, by itself, and readable by a browser.

use super::*;

/// The elements that a page opens and closes, by a parser that knows no more than this page needs: tags nest, attributes
/// are quoted, and elements without content are known by name.
fn elements(html: &str) -> Vec<&str> {
    const EMPTY: [&str; 9] =
        ["!DOCTYPE", "meta", "img", "line", "circle", "path", "br", "hr", "input"];
    let (mut open, mut found) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag that ends");
        let tag = rest[start + 1..end].trim_end_matches('/');
        let name = tag.split([' ', '\n']).next().unwrap();
        rest = &rest[end + 1..];
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "closed before {:.60}", rest),
            None if EMPTY.contains(&name) => found.push(tag),
            None => {
                open.push(name);
                found.push(tag);
            }
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    found
}

/// The bytes of a page's pictures of a kind.
fn embedded(html: &str, kind: &str) -> Vec<Vec<u8>> {
    use base64::Engine;
    let decode = |address: &str| {
        let code = address.split('"').next().unwrap();
        base64::engine::general_purpose::STANDARD.decode(code).unwrap()
    };
    html.split(&format!("src=\"data:image/{kind};base64,")).skip(1).map(decode).collect()
}

const SECTIONS: [&str; 9] = [
    "curves",
    "configuration",
    "layers",
    "fields",
    "confusion",
    "samples",
    "kernels",
    "activations",
    "receipt",
];

fn count(html: &str, part: &str) -> usize {
    html.matches(part).count()
}

fn trained(data: &TempDir, out: &TempDir, arguments: &[&str]) -> (PathBuf, String) {
    let run = out.path().join("run");
    let folders = ["--data", text(data.path()), "--out", text(&run), "--quiet"];
    prints(&[arguments, &folders].concat());
    let html = fs::read_to_string(run.join("report.html")).unwrap();
    (run, html)
}

#[test]
fn a_run_leaves_a_report_with_all_its_parts() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let (run, html) = trained(&data, &out, &["train", "mnist-cnn", "--epochs", "2"]);
    let elements = elements(&html);
    for section in SECTIONS {
        assert!(elements.contains(&&*format!("section id=\"{section}\"")), "{section}");
        assert!(elements.contains(&&*format!("a href=\"#{section}\"")), "{section}");
    }
    // Nothing comes from elsewhere.
    for foreign in ["http:", "https:", "<script", "<link", "url(", "@import"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let photos = embedded(&html, "png");
    assert!(photos.len() > 16 && photos.iter().all(|png| image::load_from_memory(png).is_ok()));
    // What the table says, the page says.
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let last: Vec<f64> =
        table.lines().last().unwrap().split(',').map(|field| field.parse().unwrap()).collect();
    assert!(html.contains(&format!("valid accuracy</dt><dd>{:.2} %", 100.0 * last[4])), "{last:?}");
    assert!(html.contains("<td>conv2.0</td><td>Conv2d</td><td>32 × 14 × 14</td>"));
    assert!(html.contains("28,938"));
    // The last map's field: 16 pixels, four from one cell's to the next one's, the first around 1.5; and a panel for each of
    // four layers.
    let numbers =
        ["16", "4", "1.5", "no"].map(|n| format!("<td class=\"number\">{n}</td>")).concat();
    let row = format!("<td>conv2.2 MaxPool2d</td><td>2 stride 2</td>{numbers}");
    assert!(html.contains(&row), "{row}");
    assert!(html.contains("closed form: 1 + 4 + 1 + 4·2 + 1·2 = 16"));
    let [fields] = &embedded(&html, "svg+xml")[..] else { panic!("expected one drawing") };
    assert_eq!(count(&String::from_utf8_lossy(fields), " → field "), 4);
    // The matrix counts every sample once.
    let matrix = html.split("class=\"matrix\"").nth(1).unwrap().split("</table>").next().unwrap();
    let cells = matrix
        .split("<td")
        .skip(1)
        .map(|cell| cell.split(['>', '<']).nth(1).unwrap().parse::<usize>().unwrap());
    assert_eq!(cells.clone().count(), 100);
    assert_eq!(cells.sum::<usize>(), 50);
    let digest = fs::read_to_string(run.join("receipt.csv")).unwrap();
    assert!(html.contains(digest.trim().rsplit(',').next().unwrap()));

    // The same page once more, for an old run.
    fs::remove_file(run.join("report.html")).unwrap();
    assert!(prints(&["report", text(&run)]).contains("report.html"));
    assert_eq!(fs::read_to_string(run.join("report.html")).unwrap(), html);
    fails(&["report", text(out.path())], "expected the folder of a run");
}

#[test]
fn published_curves_stand_beside_ours() {
    let (data, out) = (super::cifar::photos(32), tempfile::tempdir().unwrap());
    let (_, html) = trained(&data, &out, &["train", "vgg4", "--epochs", "2"]);
    elements(&html);
    // Two curves of losses and one of accuracies, of thirty epochs each, and ours of two.
    assert_eq!(count(&html, "class=\"line train published\""), 1);
    assert_eq!(count(&html, "class=\"line valid published\""), 2);
    assert_eq!(count(&html, "class=\"line train\"") + count(&html, "class=\"line valid\""), 4);
    assert!(html.contains(">test accuracy</dt>") && html.contains("airplane"));
    // A network without convolutions and without published epochs has fewer parts.
    let out = tempfile::tempdir().unwrap();
    let (_, html) = trained(&digits(), &out, &["train", "mnist-mlp", "--epochs", "1"]);
    elements(&html);
    assert_eq!(count(&html, "published\" d="), 0);
    for section in ["fields", "kernels", "activations"] {
        assert!(!html.contains(&format!("id=\"{section}\"")), "{section}");
    }
}

/// Chromium without a window, where there is one.
fn chromium() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let works = |name: &&&str| {
        let version = Command::new(name).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    };
    names.iter().find(works).copied()
}

#[test]
fn a_browser_reads_the_report() {
    let Some(chromium) = chromium() else {
        println!("SKIP: there is no Chromium on this machine");
        return;
    };
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let (run, _) = trained(&data, &out, &["train", "mnist-cnn", "--epochs", "2"]);
    let profile = format!("--user-data-dir={}", text(&out.path().join("profile")));
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args([&profile, "--dump-dom", &format!("file://{}", text(&run.join("report.html")))])
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for section in SECTIONS {
        assert!(dom.contains(&format!("<section id=\"{section}\">")), "{section}: {dom:.500}");
    }
    assert!(count(&dom, "<img") > 16 && count(&dom, "<svg class=\"chart\"") == 2);
    assert_eq!(count(&dom, "<path class=\"line"), 4);
}

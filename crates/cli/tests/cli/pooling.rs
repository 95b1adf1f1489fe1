//! What pooling changes, as document 4 counts it.

use super::*;

#[test]
fn layers_and_shifts_are_the_documents() {
    let out = tempfile::tempdir().unwrap();
    let file = text(&out.path().join("shifts.png")).to_owned();
    let report = prints(&["pooling", "--draw", &file]);
    for line in [
        "without pooling: 199 convolutions from 400x400 to 2x2",
        "pooled after every 5: 27 convolutions from 400x400 to 1x1",
        "shift from column 2 to 3: seen",
        "shift from column 3 to 4: hidden",
        "shift from column 4 to 5: seen",
        "column 5: [0.0, 0.0, 0.0, 0.0]",
    ] {
        assert!(report.lines().any(|found| found == line), "{line}: {report}");
    }
    // The document's rows: 864 to 2,359,296 parameters, the last of which it calls 23 million.
    let rows = report.lines().filter(|line| line.contains("(3x3x"));
    let parameters: Vec<&str> = rows.filter_map(|row| row.split_whitespace().last()).collect();
    assert_eq!(parameters[..6], ["864", "18432", "73728", "294912", "1179648", "2359296"]);
    assert_eq!(image::image_dimensions(file).unwrap(), (5 * 122 + 2, 2 * 122 + 2));
    let odd = prints(&["pooling", "--input", "401"]);
    assert!(odd.starts_with("without pooling: 200 convolutions from 401x401 to 1x1"), "{odd}");
    assert!(prints(&["pooling", "--input", "2"]).starts_with("without pooling: 0 convolutions"));
    fails(&["pooling", "--every", "0"], "--every");
}

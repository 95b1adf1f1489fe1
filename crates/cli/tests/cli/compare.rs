//! Networks in one table.

use super::*;

#[test]
fn networks_are_compared_by_their_own_recipes_and_by_one() {
    let data = digits();
    let folder = ["--data", text(data.path())];
    let arguments = ["compare", "mnist-mlp", "mnist-cnn", "--recipe", "mnist-mlp", "--seeds", "2"];
    let table = prints(&[&arguments, &folder[..], &["--epochs", "2"]].concat());
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    let firsts: Vec<&[&str]> = rows.iter().map(|row| &row[..2]).collect();
    let own = [["mnist-mlp", "its"], ["mnist-cnn", "its"]];
    let common = [["mnist-mlp", "mnist-mlp's"], ["mnist-cnn", "mnist-mlp's"]];
    assert_eq!(firsts[1..], [own, common].concat());
    // The perceptron's recipe is its own: the same accuracies, from which `train` does not differ.
    assert_eq!(rows[1][3..8], rows[3][2..7], "{table}");
    let run = tempfile::tempdir().unwrap();
    let accuracies = ["1", "2"].map(|seed| {
        let path = train(&data, &run, seed, &["--epochs", "2", "--seed", seed]);
        json(&["evaluate", text(&path), "--json"])["accuracy"].as_f64().unwrap()
    });
    let mean = (accuracies[0] + accuracies[1]) / 2.0;
    assert_eq!(rows[3][5], format!("{mean:.4}"), "{table}");
    assert_eq!(rows[1][4..6], ["397,510", "397,000"]);
}

#[test]
fn a_comparison_can_be_put_on_a_page() {
    let data = digits();
    let arguments = ["compare", "mnist-mlp", "--epochs", "1", "--markdown", "--data"];
    let table = prints(&[&arguments[..], &[text(data.path())]].concat());
    let rows: Vec<&str> = table.lines().collect();
    assert!(
        rows[0].starts_with("| network | recipe |") && rows[1].starts_with("| --- | --- | ---: |")
    );
    assert!(rows[2].starts_with("| mnist-mlp | its own | 1 | 397,510 | 397,000 | "), "{table}");
    let bars = |row: &&str| row.matches('|').count();
    assert!(rows.len() == 3 && rows.iter().all(|row| bars(row) == 9), "{table}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    fails(&["compare", "mnist-mlp", "vgg16"], "vgg16 has no recipe here; `striate photos` trains");
    let arguments = ["compare", "mnist-mlp", "--recipe", "vgg4"];
    fails(&arguments, "mnist-mlp and vgg4 are not for the same data");
    fails(&["compare"], "MODELS");
}

/// The last row of a run's table.
fn last_row(run: &Path) -> Vec<f64> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    table.lines().last().unwrap().split(',').map(|field| field.parse().unwrap()).collect()
}

#[test]
fn runs_that_differ_in_their_seed_are_one_row() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let seeds = ["1", "2"].map(|s| train(&data, &out, s, &["--epochs", "2", "--seed", s]));
    let longer = train(&data, &out, "longer", &["--epochs", "3"]);
    let runs: Vec<&str> = [&seeds[0], &longer, &seeds[1]].iter().map(|run| text(run)).collect();
    let table = prints(&[&["runs"], &runs[..]].concat());
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert_eq!(rows[1][..5], ["mnist-mlp", "2", "2", "397,510", "397,000"], "{table}");
    assert_eq!(rows[2][..3], ["mnist-mlp", "1", "3"], "{table}");
    let last = seeds.each_ref().map(|run| last_row(run));
    let mean = |column: usize| format!("{:.4}", (last[0][column] + last[1][column]) / 2.0);
    assert_eq!(rows[1][5..8], [mean(1), mean(3), mean(4)], "{table}");
    let ends = [last[0][4].min(last[1][4]), last[0][4].max(last[1][4])];
    assert_eq!(rows[1][8], format!("{:.4}-{:.4}", ends[0], ends[1]), "{table}");
    assert_eq!(rows[1].len(), 10, "digits are tested on what is held out: {table}");
    let receipts = prints(&["runs", runs[0], runs[1], "--receipts"]);
    for (row, run) in receipts.lines().skip(1).zip(&runs) {
        let receipt = fs::read_to_string(Path::new(run).join("receipt.csv")).unwrap();
        let line = receipt.lines().last().unwrap().replace(',', " ");
        let found = row.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(found, format!("mnist-mlp 1 {line}"));
    }
    assert_eq!(receipts.lines().count(), 3);
    fails(&["runs", text(out.path())], "expected the folder of a run");
    fails(&["runs"], "arguments were not provided: <RUN>");
    // A table that was cut short is not taken for a shorter run.
    let table = seeds[1].join("metrics.csv");
    let whole = fs::read_to_string(&table).unwrap();
    fs::write(&table, &whole[..whole.len() - 12]).unwrap();
    fails(&["runs", text(&seeds[1])], "metrics.csv: line ");
    fs::write(&table, "garbage\n").unwrap();
    fails(&["runs", text(&seeds[1])], "metrics.csv: line 1: expected epoch,train_loss,");
    fs::remove_file(table).unwrap();
    fails(&["runs", text(&seeds[1])], "no epoch has ended yet");
}

#[test]
fn published_figures_stand_below_ours() {
    let (data, out) = (super::cifar::photos(16), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let folders = ["--data", text(data.path()), "--out", text(&run), "--quiet"];
    prints(&[&["train", "vgg4", "--epochs", "1"], &folders[..]].concat());
    let drawing = out.path().join("accuracy.svg");
    let arguments = ["runs", text(&run), "--markdown", "--test", "--draw", text(&drawing)];
    let table = prints(&arguments);
    let rows: Vec<Vec<&str>> =
        table.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.len(), 4, "{table}");
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{table}");
    assert_eq!(rows[2][1..6], ["vgg4", "1", "1", "25,474", "1,991,136"], "{table}");
    let tested = json(&["evaluate", text(&run), "--json"])["accuracy"].as_f64().unwrap();
    assert_eq!(rows[2][10], format!("{tested:.4}"), "{table}");
    assert_eq!(rows[3][1..4], ["vgg4, published", "", "30"], "{table}");
    assert_eq!(rows[3][6..9], ["0.1933", "0.8141", "0.7671"], "{table}");
    assert_eq!(rows[3][11], "1681", "{table}");
    // Ours is one dot, theirs a line of dashes in the same colour; both are named.
    let svg = fs::read_to_string(drawing).unwrap();
    assert_eq!(svg.matches("<circle").count(), 1);
    assert!(svg.contains("\nvgg4\n</text>") && svg.contains("\nvgg4, published\n</text>"), "{svg}");
    assert!(svg.matches("stroke=\"#0072B2\"").count() > 20, "{svg}");
}

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
    assert_eq!(rows[1][4..6], ["397510", "397000"]);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    fails(&["compare", "mnist-mlp", "vgg16"], "vgg16 cannot be trained from here yet");
    let arguments = ["compare", "mnist-mlp", "--recipe", "vgg4"];
    fails(&arguments, "mnist-mlp and vgg4 are not for the same data");
    misused(&["compare"], "MODELS");
}

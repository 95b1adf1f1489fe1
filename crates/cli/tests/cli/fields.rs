//! Receptive fields, of networks and of layers given on the command line.

use super::*;

#[test]
fn fields_of_networks_are_the_documents() {
    let table = prints(&["receptive-field", "vgg4-dilation"]);
    for line in [
        "model.0 Conv2d  3 padding 1               3     1       0     no",
        "model.9 Conv2d  3 padding 1 dilation 8    31     1      11     no",
        "closed form: 1 + 2 + 4 + 8 + 16 = 31",
        "model.12 AdaptiveAvgPool2d sees the whole map, and so does what comes after",
    ] {
        let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(table.lines().any(|found| plain(found) == plain(line)), "{line}: {table}");
    }
    let sizes = [("vgg4", 46), ("vgg4-large-filter", 21), ("vgg16", 212), ("mnist-net", 40)];
    for (model, size) in sizes {
        let field = json(&["receptive-field", model, "--json"]);
        assert_eq!(field["closed_form"], serde_json::json!([size, size]), "{model}");
        let last = field["layers"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["axes"][0]["size"], &last["axes"][1]["holes"]),
            (&size.into(), &false.into())
        );
    }
    fails(&["receptive-field", "mnist-mlp"], "mnist-mlp has no layer with windows over a map");
    fails(&["receptive-field", "vgg17"], "no model is called vgg17");
}

#[test]
fn fields_of_given_layers_are_followed() {
    let table = prints(&["receptive-field", "--layers", "3x5s2,2p1d3,3d2x1"]);
    assert!(table.contains("closed form: 1 + 2 + 3·2 + 4·2 = 17\n"), "{table}");
    assert!(table.contains("closed form: 1 + 4 + 3·2 + 2·2 = 15\n"), "{table}");
    assert!(table.contains("17x15") && table.contains("yesxno"), "{table}");
    let holes = json(&["receptive-field", "--layers", "3d2,3d4", "--json"]);
    assert_eq!(holes["layers"][1]["axes"][0]["holes"], true);
    fails(&["receptive-field", "--layers", "3s0"], "expected at least 1");
    fails(&["receptive-field", "--layers", "16384,16384,16384,16384,16384"], "within 65536 pixels");
    for layer in ["", "s2", "3q1", "3s", "3x", "-1", "3s2x", "99999", "3é", "é"] {
        fails(&["receptive-field", &format!("--layers={layer}")], "--layers");
    }
    fails(&["receptive-field"], "MODEL");
    fails(&["receptive-field", "vgg4", "--layers", "3"], "cannot be used");
}

#[test]
fn fields_are_drawn() {
    let out = tempfile::tempdir().unwrap();
    let file = text(&out.path().join("fields.svg")).to_owned();
    prints(&["receptive-field", "vgg16", "--draw", &file]);
    let svg = fs::read_to_string(&file).unwrap();
    assert_eq!(svg.matches("Conv2d</text>").count(), 13);
    assert!(svg.contains("2 stride 2 → field 212</text>"), "{svg}");
    let taken = out.path().join("taken.svg");
    fs::create_dir(&taken).unwrap();
    fails(&["receptive-field", "vgg4", "--draw", text(&taken)], "taken.svg: ");
}

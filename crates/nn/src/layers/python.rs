//! Settings as PyTorch prints them, so that a tree of modules can be laid beside its own.

/// `(3, 3)`, or `(3,)` for a single one.
pub(super) fn tuple(values: &[usize]) -> String {
    let texts: Vec<String> = values.iter().map(usize::to_string).collect();
    match &texts[..] {
        [text] => format!("({text},)"),
        texts => format!("({})", texts.join(", ")),
    }
}

/// `3` if all axes agree, otherwise a tuple.
pub(super) fn one_or_tuple(values: &[usize]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.to_string(),
        values => tuple(values),
    }
}

pub(super) fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// The shortest digits that tell the number from its neighbours; with an exponent of two digits below 1e-4 and from 1e16.
pub(super) fn float(value: f64) -> String {
    if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text.to_lowercase() };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

//! Schedules against PyTorch's values, and one cycle against fastai's formula.

// What is expected may come from the system.
#![allow(clippy::disallowed_methods)]

use std::f64::consts::PI;

use serde::Deserialize;
use striate_nn::schedule::{Anneal, Goal, OneCycle, Plateau, Schedule, Settings, Threshold};

/// PyTorch multiplies from step to step where this has a closed form: a few roundings.
const TOLERANCE: f64 = 1e-12;

/// What `fixtures/make_optim.py` wrote.
#[derive(Deserialize)]
struct Fixture {
    schedules: Vec<Case>,
    plateaus: Vec<PlateauCase>,
}

#[derive(Deserialize)]
struct Case {
    schedule: Schedule,
    /// Factor and momentum; the optimizer's own is 0.5.
    rows: Vec<[f64; 2]>,
}

#[derive(Deserialize)]
struct PlateauCase {
    plateau: Plateau,
    values: Vec<f64>,
    factors: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/schedules.json")).unwrap()
}

fn assert_close(got: Settings, [factor, momentum]: [f64; 2], what: &str) {
    let momentum_error = got.momentum.unwrap_or(0.5) - momentum;
    assert!(
        (got.factor - factor).abs() <= TOLERANCE && momentum_error.abs() <= TOLERANCE,
        "{what}: got {got:?}, expected {factor} and {momentum}"
    );
}

#[test]
fn every_schedule_is_pytorchs() {
    let cases = fixture().schedules;
    assert_eq!(cases.len(), 20);
    for Case { schedule, rows } in cases {
        for (step, row) in rows.into_iter().enumerate() {
            assert_close(schedule.at(step), row, &format!("{schedule:?} at {step}"));
        }
    }
}

#[test]
fn builders_start_from_pytorchs_defaults() {
    let cases = fixture().schedules;
    let has = |cycle: OneCycle| {
        let schedule = Schedule::from(cycle);
        assert!(cases.iter().any(|case| case.schedule == schedule), "{schedule:?}");
    };
    has(OneCycle::new(24));
    has(OneCycle::new(24).anneal(Anneal::Linear).three_phase().constant_momentum());
    let cycle = OneCycle::new(24).pct_start(0.4).div_factor(10.0).final_div_factor(50.0);
    has(cycle.momentum(0.8, 0.99));
}

#[test]
fn one_cycle_is_fastais() {
    // combined_cos(0.25, lr / 25, lr, lr / 1e5) and combined_cos(0.25, 0.95, 0.85, 0.95) at step / total.
    let cosine =
        |from: f64, to: f64, x: f64| from + (1.0 + (PI * (1.0 - x)).cos()) * (to - from) / 2.0;
    let combined = |from: f64, middle: f64, to: f64, x: f64| match x < 0.25 {
        true => cosine(from, middle, x / 0.25),
        false => cosine(middle, to, (x - 0.25) / 0.75),
    };
    for total in [18_750, 101, 4, 1] {
        let cycle = OneCycle::fastai(total);
        for step in (0..total).step_by(total / 50 + 1).chain([total / 4, total - 1]) {
            let x = step as f64 / total as f64;
            let expected = [combined(1.0 / 25.0, 1.0, 1e-5, x), combined(0.95, 0.85, 0.95, x)];
            assert_close(cycle.at(step), expected, &format!("{step} of {total}"));
        }
    }
}

#[test]
fn values_stay_after_the_end() {
    let cosine = Schedule::Cosine { period: 10, floor: 0.25 };
    assert_eq!(cosine.at(10), cosine.at(1_000));
    assert_eq!(cosine.at(10).factor, 0.25);
    let cycle = OneCycle::new(10).three_phase();
    assert_eq!(cycle.at(9), cycle.at(usize::MAX));
}

#[test]
fn empty_spans_are_no_panic() {
    let empty = [
        Schedule::Step { size: 0, gamma: 0.5 },
        Schedule::Cosine { period: 0, floor: 0.0 },
        OneCycle::new(0).into(),
        OneCycle::new(4).pct_start(0.25).into(), // the first phase ends where it begins
        Schedule::Constant.warm_up(0, 0.1),
    ];
    for schedule in empty {
        for step in 0..4 {
            let factor = schedule.at(step).factor;
            assert!((0.0..=1.0).contains(&factor), "{schedule:?} at {step}: {factor}");
        }
    }
    assert_eq!(OneCycle::new(4).pct_start(0.25).at(0).factor, 1.0);
}

#[test]
fn warm_up_keeps_the_momentum_of_what_follows() {
    let schedule = Schedule::from(OneCycle::new(10)).warm_up(4, 0.5);
    let first = OneCycle::new(10).at(0);
    assert_eq!(schedule.at(2).momentum, first.momentum);
    assert!((schedule.at(2).factor - 0.75 * first.factor).abs() < 1e-15);
    assert_eq!(schedule.at(4), first);
}

#[test]
fn plateau_is_pytorchs_also_when_interrupted() {
    let cases = fixture().plateaus;
    assert_eq!(cases.len(), 64);
    for case in cases {
        let mut plateau = case.plateau;
        let what = format!("{plateau:?}");
        for (value, factor) in case.values.into_iter().zip(case.factors) {
            let got = plateau.observe(value).factor;
            assert!((got - factor).abs() <= TOLERANCE, "{what}: got {got}, expected {factor}");
            let saved = serde_json::to_string(&plateau).unwrap();
            plateau = serde_json::from_str(&saved).unwrap();
        }
    }
}

#[test]
fn plateau_options_and_values_that_are_not_finite() {
    let json = r#"{"goal":"Max","factor":0.5,"patience":2,"threshold":{"Absolute":0.05},"cooldown":2,"min_factor":0.1,
        "best":null,"bad_epochs":0,"cooldown_left":0,"current":1.0}"#;
    let threshold = Threshold::Absolute(0.05);
    let built = Plateau::new(Goal::Max).factor(0.5).patience(2).threshold(threshold);
    let mut plateau = built.cooldown(2).min_factor(0.1);
    assert_eq!(plateau, serde_json::from_str(json).unwrap());
    let factors = [f64::NAN, f64::INFINITY, f64::NAN].map(|value| plateau.observe(value).factor);
    assert_eq!(factors, [1.0, 1.0, 0.5]);
    assert_eq!(plateau.settings(), Settings::scaled(0.5));
}

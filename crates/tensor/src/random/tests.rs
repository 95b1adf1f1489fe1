//! Published vectors, the layout pinned bit for bit, and the distributions.
//!
//! The pinned numbers of this crate's own layout come from a separate program that follows the
//! module's documentation, so code and documentation cannot drift apart unnoticed. The
//! statistical bounds are five standard errors or more, on fixed seeds.

use rand::{Rng, RngExt};
use rayon::ThreadPoolBuilder;

use super::{Key, Purpose, fnv1a, philox4x32};

fn init() -> Key {
    Key::new(1, Purpose::Init).path("w")
}

fn uniforms<T: striate_conv::Float>(key: Key, len: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; len];
    key.fill_uniform(&mut out, 0.0, 1.0);
    out
}

fn normals<T: striate_conv::Float>(key: Key, len: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; len];
    key.fill_normal(&mut out, 0.0, 1.0);
    out
}

/// The sum of (observed - expected)^2 / expected over equally likely cells.
fn chi_square(counts: &[usize]) -> f64 {
    let expected = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let square = |&n: &usize| (n as f64 - expected).powi(2) / expected;
    counts.iter().map(square).sum()
}

/// `kat_vectors` of Random123, the lines `philox4x32 10`.
#[test]
fn philox_gives_the_published_known_answers() {
    let ones = u32::MAX;
    let pi_counter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
    let cases = [
        ([0; 4], [0; 2], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([ones; 4], [ones; 2], "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (pi_counter, [0xa4093822, 0x299f31d0], "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ];
    for (counter, key, expected) in cases {
        let words = philox4x32(counter, key).map(|word| format!("{word:08x}"));
        assert_eq!(words.join(" "), expected);
    }
}

/// The vectors of Noll's reference page.
#[test]
fn paths_hash_by_fnv1a() {
    assert_eq!(fnv1a(b""), 0xcbf29ce484222325);
    assert_eq!(fnv1a(b"a"), 0xaf63dc4c8601ec8c);
    assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
}

#[test]
fn a_key_expands_as_documented() {
    let key = Key::new(0x0123456789abcdef, Purpose::Dropout)
        .step(0x1_0000_0007)
        .path("features.3.weight");
    assert_eq!(key.block(0), [0xa9f09322, 0xf3cfe9f6, 0xf1d20f79, 0xb1aed757]);
    assert_eq!(key.block(5), [0xb0dce541, 0x34d765ce, 0x3d30ac0c, 0xe0c781e3]);
    assert_eq!(key.block((1 << 63) + 5), [0x7a3e881e, 0x16f729ac, 0xe82045af, 0x41a1294b]);
    assert_eq!(
        Key::new(9, Purpose::Other(12)).block(1),
        [0x6e12190d, 0xbb0f9ae8, 0x003b9118, 0xb50da7cb]
    );
}

#[test]
fn every_part_of_a_key_matters() {
    let key = Key::new(1, Purpose::Init);
    let keys = [
        key,
        Key::new(2, Purpose::Init),
        Key::new(1 << 32 | 1, Purpose::Init),
        Key::new(1, Purpose::Dropout),
        Key::new(1, Purpose::Other(1)),
        key.step(1),
        key.step(1 << 32),
        key.stream(1),
        key.stream(1 << 32),
        key.path("w"),
    ];
    let blocks = keys.map(|key| key.block(0));
    for (i, block) in blocks.iter().enumerate() {
        assert!(!blocks[..i].contains(block), "{:?}", keys[i]);
    }
}

#[test]
fn uniform_and_normal_numbers_are_pinned() {
    let expected =
        [0.5301532978156994, 0.8059926204784321, 0.10360198025930978, 0.5276604804289496];
    assert_eq!(uniforms::<f64>(init(), 4), expected);
    let expected =
        [0.38821812172827563, -1.0575749789690756, -2.097333906298237, -0.36822296343007965];
    for (z, e) in normals::<f64>(init(), 4).into_iter().zip(expected) {
        // The last bits are those of the system's ln, sin and cos.
        assert!((z - e).abs() < 1e-14, "{z} against {e}");
    }
    let expected = expected.map(|z| z as f32);
    assert_eq!(normals::<f32>(init(), 4), expected);
}

#[test]
fn element_by_element_is_the_same_as_filling() {
    let all = uniforms::<f64>(init(), 1001);
    assert!((0..1001).all(|i| init().uniform(i) == all[i as usize]));
    assert_eq!(uniforms::<f64>(init(), 6), all[..6]);

    let mut mask = [false; 1001];
    init().fill_bernoulli(&mut mask, 0.3);
    assert!((0..1001).all(|i| init().bernoulli(i, 0.3) == mask[i as usize]));
}

#[test]
fn single_precision_is_double_precision_with_fewer_bits() {
    let (single, double) = (uniforms::<f32>(init(), 5000), uniforms::<f64>(init(), 5000));
    let scale = f64::from(1 << 24);
    for (s, d) in single.into_iter().zip(double) {
        assert_eq!(f64::from(s), (d * scale).floor() / scale);
    }
    let (single, double) = (normals::<f32>(init(), 5000), normals::<f64>(init(), 5000));
    assert!(single.into_iter().zip(double).all(|(s, d)| s == d as f32));
}

#[test]
fn any_number_of_threads_draws_the_same_bits() {
    let draw = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let mut mask = vec![false; 100_003];
        pool.expect("a small pool starts").install(|| {
            init().fill_bernoulli(&mut mask, 0.5);
            let bits = |z: f32| z.to_bits();
            let normal: Vec<u32> = normals(init(), 100_003).into_iter().map(bits).collect();
            (mask, normal, uniforms::<f64>(init(), 100_003))
        })
    };
    let one = draw(1);
    assert!([2, 4].into_iter().all(|threads| draw(threads) == one));
}

#[test]
fn uniform_numbers_fill_their_interval_evenly() {
    let mut out = vec![0f32; 200_000];
    init().fill_uniform(&mut out, -3.0, 5.0);
    let mut counts = [0; 64];
    for x in out {
        assert!((-3.0..5.0).contains(&x));
        counts[((x + 3.0) * 8.0) as usize] += 1;
    }
    // 63 degrees of freedom: mean 63, standard deviation 11.2.
    assert!(chi_square(&counts) < 63.0 + 5.0 * 11.2);
}

#[test]
fn normal_numbers_have_normal_moments() {
    let n = 400_000;
    let mut out = vec![0f64; n];
    init().fill_normal(&mut out, 2.0, 0.5);
    let z: Vec<f64> = out.into_iter().map(|x| (x - 2.0) / 0.5).collect();
    let moment = |p| z.iter().map(|z| z.powi(p)).sum::<f64>() / n as f64;
    // The k-th sample moment has variance (E z^2k - (E z^k)^2) / n: 1, 2, 15, 96 over n.
    let error = |variance: f64| 5.0 * (variance / n as f64).sqrt();
    assert!(moment(1).abs() < error(1.0));
    assert!((moment(2) - 1.0).abs() < error(2.0));
    assert!(moment(3).abs() < error(15.0));
    assert!((moment(4) - 3.0).abs() < error(96.0));

    let inside = z.iter().filter(|z| z.abs() < 1.0).count() as f64 / n as f64;
    let expected = 0.682_689_492_137_086;
    assert!((inside - expected).abs() < error(expected * (1.0 - expected)));

    // The two numbers of a Box-Muller pair are independent: no correlation, nor of squares.
    let pairs = z.chunks(2).map(|pair| (pair[0], pair[1]));
    let product = pairs.clone().map(|(a, b)| a * b).sum::<f64>() / (n / 2) as f64;
    let squares = pairs.map(|(a, b)| a * a * b * b).sum::<f64>() / (n / 2) as f64;
    assert!(product.abs() < error(2.0));
    assert!((squares - 1.0).abs() < error(2.0 * 8.0));
}

#[test]
fn bernoulli_meets_its_probability_and_its_limits() {
    let hits = |p| {
        let mut mask = vec![false; 100_000];
        init().fill_bernoulli(&mut mask, p);
        mask.into_iter().filter(|&hit| hit).count()
    };
    assert_eq!((hits(0.0), hits(-1.0), hits(f64::NAN)), (0, 0, 0));
    assert_eq!((hits(1.0), hits(7.0)), (100_000, 100_000));
    for p in [0.01, 0.3, 0.5, 0.9] {
        let bound = 5.0 * (p * (1.0 - p) * 1e5f64).sqrt();
        assert!((hits(p) as f64 - p * 1e5).abs() < bound, "p = {p}");
    }
}

#[test]
fn permutations_are_pinned_and_complete() {
    let key = Key::new(42, Purpose::Shuffle).step(7);
    let pinned = [9, 11, 10, 4, 0, 6, 7, 2, 1, 5, 3, 8];
    assert_eq!(key.permutation(12), pinned);
    assert_eq!(key.permutation(0), []);
    assert_eq!(key.permutation(1), [0]);
    let mut order = key.permutation(60_000);
    order.sort_unstable();
    assert!(order.into_iter().eq(0..60_000));
}

#[test]
fn all_orders_are_equally_likely() {
    let mut counts = [0; 24];
    for step in 0..24_000 {
        let order = Key::new(3, Purpose::Shuffle).step(step).permutation(4);
        let mut rest = vec![0, 1, 2, 3];
        let rank = order.into_iter().fold(0, |rank, x| {
            let place = rest.iter().position(|&r| r == x).expect("each once");
            rest.remove(place);
            rank * (rest.len() + 1) + place
        });
        counts[rank] += 1;
    }
    // 23 degrees of freedom: mean 23, standard deviation 6.8.
    assert!(chi_square(&counts) < 23.0 + 5.0 * 6.8);
}

/// With the bound 5/8 * 2^64 and no rejection, eight words in a row would give 0, 0, 1, 1, 2, 3,
/// 3, 4 modulo 5.
#[test]
fn bounded_integers_are_unbiased_where_rejection_matters() {
    let bound = (1 << 63) + (1 << 61);
    let mut rng = init().rng();
    let mut counts = [0; 5];
    for _ in 0..50_000 {
        let x = rng.below(bound);
        assert!(x < bound);
        counts[(x % 5) as usize] += 1;
    }
    // 4 degrees of freedom: mean 4, standard deviation 2.8.
    assert!(chi_square(&counts) < 4.0 + 6.0 * 2.8);
    assert_eq!(rng.below(1), 0);
}

#[test]
fn the_generator_hands_out_the_words_in_order() {
    let (mut rng, key) = (init().rng(), init());
    let words: Vec<u32> = (0..3).flat_map(|block| key.block(block)).collect();
    assert_eq!(rng.next_u32(), words[0]);
    let pair = u64::from(words[2]) << 32 | u64::from(words[1]);
    assert_eq!(rng.next_u64(), pair);
    let mut bytes = [0; 10];
    rng.fill_bytes(&mut bytes);
    let expected: Vec<u8> = words[3..].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(bytes, expected[..10]);
    assert!((0.0..1.0).contains(&rng.random::<f64>()));
}

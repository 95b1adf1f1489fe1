//! Buffers: what they hold, and where.

use std::panic::catch_unwind;

use striate_conv::buffer::{ALIGNMENT, NoMemory, guarded};
use striate_conv::{Buffer, DType};

#[test]
fn every_size_is_aligned() {
    for len in [0, 1, 3, 64, 1000, 12_345, 1 << 20] {
        let (floats, flags) =
            (Buffer::<f64>::for_overwrite(len), Buffer::<bool>::for_overwrite(len));
        assert_eq!((floats.len(), flags.len()), (len, len));
        assert_eq!(floats.as_ptr().addr() % ALIGNMENT, 0);
        assert_eq!(flags.as_ptr().addr() % ALIGNMENT, 0);
    }
}

#[test]
fn constructors_fill_every_element() {
    assert_eq!(Buffer::filled(5, 7i64)[..], [7; 5]);
    assert_eq!(Buffer::from_slice(&[true, false, true])[..], [true, false, true]);
    assert_eq!(Buffer::from_fn(4, |i| i as f32)[..], [0.0, 1.0, 2.0, 3.0]);
    assert!(Buffer::<f32>::from_slice(&[]).is_empty());
}

#[test]
fn a_clone_is_apart() {
    let original = Buffer::filled(100, 1.0f32);
    let mut copy = original.clone();
    assert_eq!(copy, original);
    copy[99] = 2.0;
    assert_ne!(copy, original);
    assert_eq!(original[99], 1.0);
    assert_eq!(format!("{:?}", Buffer::from_slice(&[1i64, 2])), "[1, 2]");
}

#[test]
fn recycled_memory_is_valid_for_bool() {
    for _ in 0..10 {
        drop(Buffer::filled(512, f64::NAN));
        assert!(Buffer::<bool>::for_overwrite(4096).iter().all(|&flag| !flag));
    }
}

#[test]
fn buffers_cross_threads() {
    let buffer = Buffer::filled(1000, 3i64);
    let sum = std::thread::scope(|scope| {
        let shared = scope.spawn(|| buffer.iter().sum::<i64>());
        shared.join().unwrap()
    });
    assert_eq!(std::thread::spawn(move || buffer[0] + sum).join().unwrap(), 3003);
}

#[test]
fn a_size_beyond_the_address_space_panics_as_a_vector_does() {
    assert!(catch_unwind(|| Buffer::<f64>::for_overwrite(usize::MAX)).is_err());
    assert!(catch_unwind(|| Buffer::<bool>::for_overwrite(usize::MAX)).is_err());
}

/// From whichever thread, and none of it reaches the panic hook.
#[test]
fn missing_memory_is_returned_to_who_waits_for_it() {
    use rayon::prelude::*;
    let refused = guarded(|| {
        (0..8).into_par_iter().for_each(|i| {
            let len = if i == 5 { 1 << 60 } else { 1 };
            drop(Buffer::filled(len, 1i64));
        });
    });
    assert_eq!(refused, Err(NoMemory { len: 1 << 60, dtype: DType::I64 }));
    assert_eq!(guarded(|| 7), Ok(7));
    let other = catch_unwind(|| guarded(|| panic!("of its own")));
    assert_eq!(other.unwrap_err().downcast_ref(), Some(&"of its own"));
    assert!(catch_unwind(|| Buffer::<f32>::for_overwrite(1 << 61)).is_err());
}

//! The matrix product against three loops, on integers, where it is exact.

use striate_conv::gemm::{Matrix, MatrixMut, Update, gemm, reference};

use crate::common::{integers, on_threads, reals};

/// Element `(row, column)` of a slice with strides.
fn at(values: &[f32], strides: [usize; 2], row: usize, column: usize) -> f32 {
    values[row * strides[0] + column * strides[1]]
}

fn expected(a: (&[f32], [usize; 2]), b: (&[f32], [usize; 2]), [m, k, n]: [usize; 3]) -> Vec<f32> {
    let sum = |i, j| (0..k).map(|l| at(a.0, a.1, i, l) * at(b.0, b.1, l, j)).sum();
    (0..m * n).map(|i| sum(i / n, i % n)).collect()
}

/// Small ones stay on one thread; the others are cut along rows, columns or both.
const DIMS: [[usize; 3]; 9] = [
    [1, 1, 1],
    [3, 5, 2],
    [17, 4, 9],
    [1, 300, 900],
    [900, 300, 1],
    [201, 40, 203],
    [64, 20, 1000],
    [1000, 3, 130],
    [97, 1000, 10],
];

#[test]
fn every_combination_of_transposes() {
    for [m, k, n] in DIMS {
        let (a, b) = (integers::<f32>(m * k, 1), integers::<f32>(k * n, 2));
        for (transpose_a, transpose_b) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let (matrix_a, strides_a) = if transpose_a {
                (Matrix::row_major(&a, [k, m]).transposed(), [1, m])
            } else {
                (Matrix::row_major(&a, [m, k]), [k, 1])
            };
            let (matrix_b, strides_b) = if transpose_b {
                (Matrix::row_major(&b, [n, k]).transposed(), [1, k])
            } else {
                (Matrix::row_major(&b, [k, n]), [n, 1])
            };
            let expected = expected((&a, strides_a), (&b, strides_b), [m, k, n]);
            let mut c = vec![f32::NAN; m * n];
            gemm(matrix_a, matrix_b, Update::Overwrite, &mut c);
            assert_eq!(c, expected, "{m} {k} {n}");
            gemm(matrix_a, matrix_b, Update::Add, &mut c);
            assert!(c.iter().zip(&expected).all(|(c, e)| *c == 2.0 * e), "{m} {k} {n} added");
        }
    }
}

#[test]
fn agrees_with_the_reference() {
    for [m, k, n] in DIMS {
        let (a, b) = (integers::<f64>(m * k, 3), integers::<f64>(k * n, 4));
        let (a, b) = (Matrix::row_major(&a, [m, k]), Matrix::row_major(&b, [k, n]));
        let (mut fast, mut plain) = (vec![f64::NAN; m * n], vec![f64::NAN; m * n]);
        for update in [Update::Overwrite, Update::Add] {
            gemm(a, b, update, &mut fast);
            reference(a, b, update, &mut plain);
            assert_eq!(fast, plain, "{m} {k} {n} {update:?}");
        }
    }
}

#[test]
fn strides_may_skip_and_repeat() {
    let values = integers::<f32>(64, 1);
    // Every other column of a wider matrix, and one row that stands for all.
    let a = Matrix::strided(&values, [3, 4], [10, 2]);
    let b = Matrix::strided(&values, [4, 5], [0, 1]);
    let mut c = [f32::NAN; 15];
    gemm(a, b, Update::Overwrite, &mut c);
    assert_eq!(c[..], expected((&values, [10, 2]), (&values, [0, 1]), [3, 4, 5])[..]);
}

#[test]
fn empty_products() {
    let empty: [f32; 0] = [];
    let mut c = [3.0f32; 6];
    let (a, b) = (Matrix::row_major(&empty, [2, 0]), Matrix::row_major(&empty, [0, 3]));
    gemm(a, b, Update::Add, &mut c);
    assert_eq!(c, [3.0; 6]);
    gemm(a, b, Update::Overwrite, &mut c);
    assert_eq!(c, [0.0; 6], "a sum of no products is zero");
    let values = [1.0f32; 6];
    let (a, b) = (Matrix::row_major(&empty, [0, 2]), Matrix::row_major(&values, [2, 3]));
    gemm(a, b, Update::Overwrite, &mut []);
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    for [m, k, n] in DIMS {
        let (a, b) = (reals::<f32>(m * k, 1), reals::<f32>(k * n, 2));
        let [one, two, five] = [1, 2, 5].map(|threads| {
            on_threads(threads, || {
                let mut c = vec![0.0; m * n];
                gemm(
                    Matrix::row_major(&a, [m, k]),
                    Matrix::row_major(&b, [k, n]),
                    Update::Overwrite,
                    &mut c,
                );
                c
            })
        });
        assert!(one == two && one == five, "{m} {k} {n}");
    }
}

#[test]
fn tiles_partition_a_matrix() {
    let mut values = vec![0; 7 * 10];
    for tile in MatrixMut::row_major(&mut values, [7, 10]).tiles([3, 4]) {
        let mut matrix = tile.matrix;
        assert_eq!(matrix.dims(), [tile.rows.len(), tile.columns.len()]);
        for (row, i) in tile.rows.enumerate() {
            for (element, j) in matrix.row_mut(row).iter_mut().zip(tile.columns.clone()) {
                *element += 10 * i + j;
            }
        }
    }
    assert!(values.iter().enumerate().all(|(i, &value)| value == i));
}

#[test]
#[should_panic(expected = "reaches beyond")]
fn a_matrix_must_lie_in_its_slice() {
    Matrix::strided(&[0.0f32; 10], [2, 4], [7, 1]);
}

#[test]
#[should_panic(expected = "does not make")]
fn inner_dimensions_must_agree() {
    let values = [0.0f32; 6];
    let a = Matrix::row_major(&values, [2, 3]);
    gemm(a, a, Update::Overwrite, &mut [0.0; 6]);
}

//! Functions of one argument. Most cannot be refused: any number is an argument.

use crate::registry::{Entry, any, case, entry, huge, positive, wide, zeros};

pub fn entries() -> Vec<Entry> {
    vec![
        entry("affine", [case!("affine", [any([3, 4])], |x| x[0].affine(1.5, -0.25))]),
        entry("abs", [case!("abs", [any([3, 4])], |x| x[0].abs())]),
        entry("exp", [case!("exp", [wide([3, 4])], |x| x[0].exp())]),
        entry("ln", [case!("ln", [positive([3, 4])], |x| x[0].ln())]),
        entry("sqrt", [case!("sqrt", [positive([3, 4])], |x| x[0].sqrt())]),
        entry("recip", [case!("recip", [positive([3, 4])], |x| x[0].recip())]),
        entry(
            "powf",
            [
                case!("powf square", [any([3, 4])], |x| x[0].powf(2.0)),
                case!("powf cube", [any([3, 4])], |x| x[0].powf(3.0)),
                case!("powf zero", [any([3, 4])], |x| x[0].powf(0.0)),
                // The gradient is multiplied with zero, so it has to be finite.
                case!("powf zero at zero", [any([3])], |x| x[0].affine(0.0, 0.0)?.powf(0.0)),
                case!("powf fraction", [positive([3, 4])], |x| x[0].powf(0.3)),
                case!("powf negative", [positive([3, 4])], |x| x[0].powf(-1.5)),
            ],
        ),
        entry("tanh", [case!("tanh", [wide([3, 4])], |x| x[0].tanh())]),
        entry(
            "sigmoid",
            [
                case!("sigmoid", [wide([3, 4])], |x| x[0].sigmoid()),
                case!("sigmoid huge", [huge([3, 4])], |x| x[0].affine(0.25, 0.0)?.sigmoid()),
            ],
        ),
        entry("relu", [case!("relu", [any([3, 4])], |x| x[0].relu())]),
        entry("leaky_relu", [case!("leaky_relu", [any([3, 4])], |x| x[0].leaky_relu(0.1))]),
        entry("elu", [case!("elu", [wide([3, 4])], |x| x[0].elu(0.7))]),
        entry(
            "gelu",
            [
                case!("gelu", [wide([3, 4])], |x| x[0].gelu()),
                case!("gelu huge", [huge([3, 4])], |x| x[0].gelu()),
            ],
        ),
        entry("gelu_tanh", [case!("gelu_tanh", [wide([3, 4])], |x| x[0].gelu_tanh())]),
        entry(
            "softplus",
            [
                case!("softplus", [wide([3, 4])], |x| x[0].softplus()),
                case!("softplus huge", [huge([3, 4])], |x| x[0].softplus()),
            ],
        ),
        entry(
            "silu",
            [
                case!("silu", [wide([3, 4])], |x| x[0].silu()),
                case!("silu huge", [huge([3, 4])], |x| x[0].silu()),
            ],
        ),
        entry(
            "clamp",
            [
                case!("clamp", [any([3, 4])], |x| x[0].clamp(-0.5, 0.25)),
                case!("clamp one side", [any([3, 4])], |x| x[0].clamp(0.0, f64::INFINITY)),
            ],
        )
        .refuses(|d| zeros([2], d).clamp(1.0, 0.0), "clamp: expected low <= high, got 1 and 0")
        .refuses(|d| zeros([2], d).clamp(f64::NAN, 0.0), "clamp: expected low <= high"),
    ]
}

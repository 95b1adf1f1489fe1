//! Every kernel against its definition, and every geometry that is refused.

mod common;
mod conv;
mod functions;
mod gemm;
mod geometry;
mod pooling;
mod unfold;

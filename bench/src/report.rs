//! Findings as a page: docs/BENCH.md between its marks, and pictures beside it.

pub mod markdown;
pub mod marks;
pub mod svg;

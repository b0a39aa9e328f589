//! quiz-projections

//! quiz-workers

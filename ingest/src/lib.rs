//! quiz-ingest

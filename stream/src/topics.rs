//! Topics: creating them, and telling where the cluster's differ from the table in `quiz_schemas`.

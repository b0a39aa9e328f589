use quiz_schemas::quiz::{Picks, QuestionKind, Response};

use crate::protocol::TEXT_CHARS_MAX;

/// The response as the log takes it, if it fits a question of this kind: picks in range, distinct,
/// ascending where their order does not matter.
pub(super) fn fitting(kind: QuestionKind, options: u8, response: Response) -> Option<Response> {
    match (kind, &response) {
        (QuestionKind::Single | QuestionKind::TrueFalse | QuestionKind::Poll, Response::Picks(picks)) => {
            let fits = matches!(picks.as_slice(), [pick] if *pick < options);
            fits.then_some(response)
        }
        (QuestionKind::Multiple, Response::Picks(picks)) => {
            let sorted = ascending(*picks)?;
            let fits = sorted.as_slice().last().is_some_and(|pick| *pick < options);
            fits.then_some(Response::Picks(sorted))
        }
        (QuestionKind::Order, Response::Picks(picks)) => {
            let sorted = ascending(*picks)?;
            let fits = sorted.as_slice().iter().copied().eq(0..options);
            fits.then_some(response)
        }
        (QuestionKind::Text, Response::Text(text)) => {
            let fits = !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
            fits.then_some(response)
        }
        (QuestionKind::Number, Response::Number(number)) => number.is_finite().then_some(response),
        _ => None,
    }
}

/// The picks ascending, or none when one comes twice.
fn ascending(picks: Picks) -> Option<Picks> {
    let mut sorted = picks.as_slice().to_vec();
    sorted.sort_unstable();
    let distinct = sorted.windows(2).all(|pair| pair[0] < pair[1]);
    distinct.then(|| Picks::new(&sorted).expect("as many as there were"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(items: &[u8]) -> Response {
        Response::Picks(Picks::new(items).unwrap())
    }

    #[test]
    fn a_response_fits_its_kind_or_not() {
        use QuestionKind as Kind;
        let text = |text: &str| Response::Text(text.into());
        let fits = [
            (Kind::Single, 4, picks(&[3]), picks(&[3])),
            (Kind::TrueFalse, 2, picks(&[0]), picks(&[0])),
            (Kind::Poll, 3, picks(&[2]), picks(&[2])),
            (Kind::Multiple, 4, picks(&[3, 0]), picks(&[0, 3])),
            (Kind::Order, 3, picks(&[2, 0, 1]), picks(&[2, 0, 1])),
            (Kind::Text, 0, text("Zürich"), text("Zürich")),
            (Kind::Number, 0, Response::Number(-1.5), Response::Number(-1.5)),
        ];
        for (kind, options, response, logged) in fits {
            assert_eq!(fitting(kind, options, response), Some(logged), "{kind:?}");
        }
        let misfits = [
            (Kind::Single, 4, picks(&[4])),
            (Kind::Single, 4, picks(&[])),
            (Kind::Single, 4, picks(&[0, 1])),
            (Kind::Single, 4, text("0")),
            (Kind::Poll, 3, picks(&[3])),
            (Kind::Multiple, 4, picks(&[])),
            (Kind::Multiple, 4, picks(&[1, 1])),
            (Kind::Multiple, 4, picks(&[0, 4])),
            (Kind::Order, 3, picks(&[0, 1])),
            (Kind::Order, 3, picks(&[0, 1, 1])),
            (Kind::Order, 3, picks(&[1, 2, 3])),
            (Kind::Text, 0, text("  ")),
            (Kind::Text, 0, text(&"x".repeat(TEXT_CHARS_MAX + 1))),
            (Kind::Text, 0, Response::Number(1.0)),
            (Kind::Number, 0, Response::Number(f64::NAN)),
            (Kind::Number, 0, text("1")),
            (Kind::Unknown, 4, picks(&[1])),
        ];
        for (kind, options, response) in misfits {
            assert_eq!(fitting(kind, options, response.clone()), None, "{kind:?} {response:?}");
        }
    }
}

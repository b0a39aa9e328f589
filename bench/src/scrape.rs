//! Asks a process's admin port, with as little as it takes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::BenchError;

/// How long an admin port may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The longest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Status and body of a page.
///
/// # Errors
/// When nobody answers in time, or not in HTTP.
pub async fn get(addr: SocketAddr, path: &str) -> Result<(u16, String), BenchError> {
    let asked = async {
        let mut stream = TcpStream::connect(addr).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(ANSWER_WAIT, asked).await;
    let answer = answer.map_err(|_| BenchError::Late {
        what: format!("the answer of http://{addr}{path}"),
        wait_s: ANSWER_WAIT.as_secs(),
    })?;
    let answer = answer.map_err(|err| BenchError::server(format!("http://{addr}{path}"), err))?;
    split(&answer).ok_or_else(|| BenchError::server(format!("http://{addr}{path}"), "it does not speak HTTP"))
}

fn split(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_string()))
}

/// The sum of a metric over all its labels that hold `label`; all when it is empty.
pub fn sum(page: &str, metric: &str, label: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        labels.contains(label).then(|| value.trim().parse::<f64>().ok()).flatten()
    };
    page.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE records_total counter\n\
        records_total{group=\"a\"} 5\n\
        records_total{group=\"b\",kind=\"x\"} 7\n\
        records_total_more{group=\"a\"} 100\n\
        plain_total 3\n";

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        assert!((sum(PAGE, "records_total", "") - 12.0).abs() < 1e-9);
        assert!((sum(PAGE, "records_total", "group=\"a\"") - 5.0).abs() < 1e-9);
        assert!((sum(PAGE, "plain_total", "") - 3.0).abs() < 1e-9);
        assert!(sum(PAGE, "missing", "").abs() < 1e-9);
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nno\n";
        assert_eq!(split(answer), Some((503, "no\n".into())));
        assert_eq!(split("nonsense"), None);
    }
}

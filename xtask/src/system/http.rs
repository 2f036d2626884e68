//! Requests to web services: time-outs, bounded retries, and errors that never show the address.
//!
//! A webhook's address is a secret and a header holds a token, so neither ever appears in an error or a log.
//! All calls of one [`Http`] share one deadline: a service that is down delays a pipeline by less than a
//! minute, however many calls there are.

use std::error::Error as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::blocking::{Client, Request, RequestBuilder, Response};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, Url};
use thiserror::Error;

/// No answer that we read is near this size; one that is larger is a mistake or an attack.
const LARGEST_ANSWER: u64 = 8 * 1024 * 1024;

/// The time limits of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For one answer.
    pub(crate) answer: Duration,
    /// For all calls with their retries together.
    pub(crate) total: Duration,
    /// Before the first retry; each further one waits twice as long, unless the service says how long.
    pub(crate) first_pause: Duration,
    /// Calls of one request, the first included.
    pub(crate) attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            total: Duration::from_secs(45),
            first_pause: Duration::from_millis(500),
            attempts: 5,
        }
    }
}

/// Why there is no answer. None of these names the address.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("it is not an https address")]
    Address,
    #[error("there is no connection ({0})")]
    Unreachable(String),
    #[error("there was no answer in time")]
    TimedOut,
    #[error("the answer broke off ({0})")]
    BrokenOff(String),
    #[error("the answer is larger than {} MiB", LARGEST_ANSWER / 1024 / 1024)]
    TooLarge,
    #[error("TLS cannot be set up ({0})")]
    Tls(String),
}

/// An answer of any status, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the service asks to come back later; GitHub says so with 403 too.
    pub(crate) fn is_rate_limit(&self) -> bool {
        let spent = self.header("x-ratelimit-remaining") == Some("0");
        self.status == 429 || self.status == 403 && (spent || self.headers.contains_key(RETRY_AFTER))
    }
}

/// The address that a variable holds: https, or plain http to this machine. Requests carry secrets, which no
/// network between may read.
pub(crate) fn address(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text.trim()).map_err(|_| Failure::Address)?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err(Failure::Address),
    }
}

/// A client with its deadline.
pub(crate) struct Http {
    client: Client,
    patience: Patience,
    begun: Instant,
}

impl Http {
    /// The clock of [`Patience::total`] starts here.
    pub(crate) fn new(patience: Patience) -> Result<Self, Failure> {
        // The provider is one for the process: a second one is refused, and the first one stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.answer)
            // A redirect would send the request, with its secrets, to an address that was not intended.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::Tls(reason(&error)))?;
        Ok(Self { client, patience, begun: Instant::now() })
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Send, and retry if that may help and time is left. An answer of any status is a result.
    pub(crate) fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let mut request = request.build().map_err(|error| Failure::BrokenOff(reason(&error)))?;
        let may_repeat = *request.method() != Method::POST;
        for attempt in 1.. {
            let left = self.patience.total.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                return Err(Failure::TimedOut);
            }
            *request.timeout_mut() = Some(self.patience.answer.min(left));
            let result = self.once(&request);
            let left = self.patience.total.saturating_sub(self.begun.elapsed());
            match pause(&result, may_repeat, attempt, left, &self.patience, Timestamp::now()) {
                Some(pause) => {
                    tracing::debug!("trying again in {:.1} s", pause.as_secs_f64());
                    std::thread::sleep(pause);
                }
                None => return result,
            }
        }
        Err(Failure::TimedOut)
    }

    fn once(&self, request: &Request) -> Result<Answer, Failure> {
        let request =
            request.try_clone().ok_or_else(|| Failure::BrokenOff("the body is a stream".to_owned()))?;
        read(self.client.execute(request).map_err(|error| failure(&error))?)
    }
}

fn read(response: Response) -> Result<Answer, Failure> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    let read = response.take(LARGEST_ANSWER + 1).read_to_end(&mut body);
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err(Failure::TimedOut),
        Err(error) => Err(Failure::BrokenOff(error.kind().to_string())),
        Ok(_) if body.len() as u64 > LARGEST_ANSWER => Err(Failure::TooLarge),
        Ok(_) => Ok(Answer { status, headers, body }),
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::Unreachable(reason(error))
    } else if error.is_timeout() {
        Failure::TimedOut
    } else {
        Failure::BrokenOff(reason(error))
    }
}

/// The innermost cause: only the outer ones contain the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| "no reason given".to_owned(), ToString::to_string)
}

/// How long to wait before the next attempt; `None` if it would not help, or come too late.
///
/// A request that may have been executed (it was sent, and no answer came) is repeated only if executing it
/// twice does no harm: a message must not be sent twice.
fn pause(
    result: &Result<Answer, Failure>,
    may_repeat: bool,
    attempt: u32,
    left: Duration,
    patience: &Patience,
    now: Timestamp,
) -> Option<Duration> {
    let backoff = patience.first_pause.saturating_mul(1 << (attempt - 1).min(16));
    let pause = match result {
        Ok(answer) if answer.is_rate_limit() || matches!(answer.status, 500 | 502..=504) => {
            asked_pause(answer, now).unwrap_or(backoff)
        }
        Err(Failure::Unreachable(_)) => backoff,
        Err(Failure::TimedOut | Failure::BrokenOff(_)) if may_repeat => backoff,
        _ => return None,
    };
    (attempt < patience.attempts && pause < left).then_some(pause)
}

/// The pause that the service asks for: `Retry-After` in seconds or as a date, or the moment at which
/// GitHub's limit is lifted.
fn asked_pause(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let until = |moment: Timestamp| Duration::try_from(now.until(moment).ok()?).ok().or(Some(Duration::ZERO));
    if let Some(text) = answer.header(RETRY_AFTER.as_str()) {
        if let Ok(seconds) = text.trim().parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        return until(jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp());
    }
    if answer.header("x-ratelimit-remaining") != Some("0") {
        return None;
    }
    let reset = answer.header("x-ratelimit-reset")?.trim().parse().ok()?;
    until(Timestamp::from_second(reset).ok()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const QUICK: Patience = Patience {
        answer: Duration::from_millis(200),
        total: Duration::from_secs(5),
        first_pause: Duration::from_millis(1),
        attempts: 3,
    };

    /// A service that gives every connection the same bytes (none: it never answers), and counts them.
    fn service(answer: &'static str) -> (Url, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream.read(&mut [0; 4096]));
                if answer.is_empty() {
                    held.push(stream);
                } else {
                    drop(stream.write_all(answer.as_bytes()));
                }
            }
        });
        (Url::parse(&format!("http://{address}/secret-path")).expect("a URL"), asked)
    }

    fn send(method: Method, url: &Url) -> Result<Answer, Failure> {
        let http = Http::new(QUICK).expect("a client");
        http.send(http.request(method, url.clone()).bearer_auth("secret-token"))
    }

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            ((*name).parse().expect("a header's name"), value.parse().expect("a header's value"))
        });
        Answer { status, headers: headers.collect(), body: Vec::new() }
    }

    #[test]
    fn requests_that_may_have_been_executed_are_retried_only_if_idempotent() {
        let (url, asked) = service("");
        assert!(matches!(send(Method::POST, &url), Err(Failure::TimedOut)));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(matches!(send(Method::GET, &url), Err(Failure::TimedOut)));
        assert_eq!(asked.load(Ordering::SeqCst), 1 + QUICK.attempts);
    }

    #[test]
    fn a_service_that_is_down_is_retried_a_few_times() {
        let (url, asked) = service("HTTP/1.1 503 Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        assert_eq!(send(Method::POST, &url).expect("an answer").status, 503);
        assert_eq!(asked.load(Ordering::SeqCst), QUICK.attempts);
    }

    #[test]
    fn errors_contain_neither_address_nor_token() {
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            format!("http://{}/secret-path", listener.local_addr().expect("an address"))
        };
        let broken = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\nshort";
        for url in [Url::parse(&closed).expect("a URL"), service(broken).0, service("nonsense").0] {
            let error = send(Method::POST, &url).expect_err("no answer");
            let said = format!("{error} {error:?}");
            assert!(!said.contains("secret") && !said.contains("127.0.0.1"), "{said}");
        }
    }

    #[test]
    fn redirects_are_answers() {
        let (url, asked) = service(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
        assert_eq!(send(Method::GET, &url).expect("an answer").status, 302);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn secrets_travel_encrypted_or_not_at_all() {
        for text in ["https://hooks.example.com/x", "http://127.0.0.1:8080/x", " http://localhost/x\n"] {
            assert!(address(text).is_ok(), "{text}");
        }
        for text in ["http://hooks.example.com/x", "ftp://x/", "hooks.example.com", "", "http://127.0.0.1.x/"]
        {
            assert!(matches!(address(text), Err(Failure::Address)), "{text}");
        }
    }

    #[test]
    fn the_pause_that_a_service_requests_is_used_if_time_is_left() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let patience = Patience::default();
        let wait = |result: Result<Answer, Failure>, attempt| {
            pause(&result, false, attempt, Duration::from_secs(40), &patience, now)
                .map(|wait| wait.as_millis())
        };
        assert_eq!(wait(Ok(answer(429, &[("retry-after", "3")])), 1), Some(3000));
        assert_eq!(
            wait(Ok(answer(429, &[("retry-after", "3600")])), 1),
            None,
            "longer than the time that is left"
        );
        assert_eq!(wait(Ok(answer(429, &[])), 2), Some(1000));
        assert_eq!(wait(Ok(answer(429, &[("retry-after", "Tue, 14 Nov 2023 22:13:27 GMT")])), 1), Some(7000));
        assert_eq!(wait(Ok(answer(403, &[])), 1), None, "a refusal stays one");
        assert_eq!(wait(Ok(answer(403, &[("retry-after", "1")])), 1), Some(1000));
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000005")];
        assert_eq!(wait(Ok(answer(403, &spent)), 1), Some(5000));
        assert_eq!(wait(Ok(answer(502, &[])), 1), Some(500));
        assert_eq!(wait(Ok(answer(404, &[])), 1), None);
        assert_eq!(wait(Err(Failure::TimedOut), 1), None, "the message may have arrived");
        assert_eq!(wait(Ok(answer(503, &[])), patience.attempts), None);
        assert!(patience.total + patience.answer < Duration::from_mins(1));
    }
}

//! An OpenAI-compatible endpoint: asked patiently, within a budget, and never twice the same.
//!
//! A request that is refused for now (408, 429, 5xx), that takes too long or whose connection breaks is sent
//! again after 1, 2, 4, … seconds, or after as many as `Retry-After` says. Each that is sent counts. An answer that is
//! empty or was cut at its longest (`finish_reason` is `length`) is used, but not kept: it is asked for again next time.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use narrows::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::cache::{Cache, Kept};
use super::held;

/// Bytes of an answer, at most.
const LONGEST: u64 = 16 << 20;
/// Between two tries, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const GO_ON: &str = "what was answered is kept: the same command goes on from there";

/// Where and how is asked.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// What `/chat/completions` is put behind, such as `http://localhost:8000/v1`.
    pub url: String,
    /// The model that is asked.
    pub model: String,
    /// What is sent as bearer token.
    pub key: Option<String>,
    /// For one request.
    pub timeout: Duration,
    /// How often a request is sent before it is given up.
    pub tries: u32,
    /// Before the second try; twice as long before each further one.
    pub first_wait: Duration,
    /// Requests that are sent, at most.
    pub most_requests: Option<u64>,
    /// Tokens of requests and answers, at most: none is sent once so many are spent.
    pub most_tokens: Option<u64>,
    /// Tokens of an answer, at most; `None`: what an answer of its kind needs. Models that think before they answer
    /// need more.
    pub most_answer_tokens: Option<usize>,
    /// What is sent as `temperature`; `None`: nothing, for endpoints that refuse it.
    pub temperature: Option<f64>,
    /// What the tokens of an answer are limited by.
    pub limit: Limit,
}

/// What endpoints call the most tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// `max_tokens`, which all but the newest take.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which counts what is thought too.
    MaxCompletionTokens,
}

impl Limit {
    fn key(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

impl EndpointOptions {
    /// A request may take 2 minutes and is sent 6 times at most; no budget, temperature 0.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            key: None,
            timeout: Duration::from_secs(120),
            tries: 6,
            first_wait: Duration::from_secs(1),
            most_requests: None,
            most_tokens: None,
            most_answer_tokens: None,
            temperature: Some(0.0),
            limit: Limit::default(),
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Requests that were sent.
    pub requests: u64,
    /// Those of them that were sent again.
    pub retries: u64,
    /// Answers that were there already.
    pub from_cache: u64,
    /// Tokens of requests and answers, as the endpoint says; where it says nothing, a token for every 4 characters.
    pub tokens: u64,
    /// Answers that were empty or cut at their longest, and so not kept.
    pub cut: u64,
}

/// An endpoint and the answers that it gave.
pub struct Endpoint {
    options: EndpointOptions,
    url: String,
    agent: ureq::Agent,
    cache: Cache,
    spent: Mutex<Spent>,
}

/// What came of sending a request.
enum Sent {
    Answered(Kept),
    /// The answer is empty, or was cut at its longest.
    Cut(Kept),
    /// It may be sent again, after so long where the endpoint says so.
    Refused(String, Option<Duration>),
    /// Nobody answers at all.
    Unreachable(String),
}

impl Endpoint {
    /// Keeps its answers in `folder`. Nothing is sent yet.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn new(options: EndpointOptions, folder: &Path) -> Result<Self> {
        let base = options.url.trim_end_matches('/');
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        if host.is_none_or(str::is_empty) {
            return Err(Error::mistake(
                "ask an endpoint",
                "a URL that begins with http:// or https://, such as http://localhost:8000/v1",
                format!("'{}'", options.url),
                "give another --endpoint",
            ));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(options.timeout))
            .build();
        Ok(Self {
            url: format!("{base}/chat/completions"),
            options,
            agent: config.into(),
            cache: Cache::new(folder),
            spent: Mutex::new(Spent::default()),
        })
    }

    /// What was asked for so far.
    pub fn spent(&self) -> Spent {
        *held(&self.spent)
    }

    /// The answer to a system message and a user's message, in at most `most_tokens` tokens unless the options say
    /// otherwise; `None` if the budget is spent.
    ///
    /// # Errors
    /// If the endpoint cannot be reached, refuses, or answers what is no answer.
    pub fn ask(&self, system: &str, user: &str, most_tokens: usize) -> Result<Option<String>> {
        let request = self.request(system, user, most_tokens);
        let body = request.to_string();
        let there = self.cache.find(&self.url, &body);
        if let Some(kept) = there.filter(|kept| !is_empty(&kept.answer)) {
            held(&self.spent).from_cache += 1;
            return Ok(Some(kept.answer));
        }
        let mut wait = self.options.first_wait;
        let mut problem = String::new();
        for attempt in 0..self.options.tries.max(1) {
            if !self.reserve(attempt > 0) {
                return Ok(None);
            }
            let after = match self.send(&request, &body)? {
                Sent::Answered(kept) => {
                    held(&self.spent).tokens += kept.tokens;
                    self.cache.keep(&self.url, &body, &kept)?;
                    return Ok(Some(kept.answer));
                }
                Sent::Cut(kept) => {
                    let mut spent = held(&self.spent);
                    spent.tokens += kept.tokens;
                    spent.cut += 1;
                    return Ok(Some(kept.answer));
                }
                Sent::Refused(told, after) => {
                    problem = told;
                    after
                }
                Sent::Unreachable(told) => return Err(self.unreachable(&told)),
            };
            if attempt + 1 < self.options.tries {
                std::thread::sleep(after.unwrap_or(wait).min(LONGEST_WAIT));
                wait *= 2;
            }
        }
        Err(Error::failure(
            format!("ask {}", self.url),
            format!("{problem}, {} times in a row", self.options.tries.max(1)),
            GO_ON,
        ))
    }

    pub(super) fn request(&self, system: &str, user: &str, most_tokens: usize) -> Value {
        let mut request = json!({
            "model": self.options.model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ],
        });
        match self.options.temperature {
            // Written as it always was, so that answers that are kept are found again.
            Some(0.0) => request["temperature"] = json!(0),
            Some(other) => request["temperature"] = json!(other),
            None => {}
        }
        let most = self.options.most_answer_tokens.unwrap_or(most_tokens);
        request[self.options.limit.key()] = json!(most);
        request
    }

    fn unreachable(&self, problem: &str) -> Error {
        let remedy = "check --endpoint, and whether the server runs";
        Error::failure(
            format!("ask {}", self.url),
            format!("the host does not answer ({problem})"),
            remedy,
        )
    }

    /// Whether the budget allows one more request, which then counts.
    fn reserve(&self, again: bool) -> bool {
        let mut spent = held(&self.spent);
        let left = |most: Option<u64>, spent: u64| most.is_none_or(|most| spent < most);
        if !left(self.options.most_requests, spent.requests)
            || !left(self.options.most_tokens, spent.tokens)
        {
            return false;
        }
        spent.requests += 1;
        spent.retries += u64::from(again);
        true
    }

    fn send(&self, request: &Value, body: &str) -> Result<Sent> {
        let mut post = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(key) = &self.options.key {
            post = post.header("authorization", format!("Bearer {key}"));
        }
        let mut response = match post.send(body) {
            Ok(response) => response,
            Err(error) => return self.not_sent(error),
        };
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let text = match response.body_mut().with_config().limit(LONGEST).read_to_string() {
            Ok(text) => text,
            Err(error) => return self.not_sent(error),
        };
        match status {
            200..=299 => self.answer(request, &text),
            408 | 429 | 500..=599 => {
                Ok(Sent::Refused(format!("status {status}: {}", shortened(&text)), after))
            }
            _ => Err(self.refused(status, &text)),
        }
    }

    /// What is to be done about a request that had no answer.
    fn not_sent(&self, error: ureq::Error) -> Result<Sent> {
        let told = error.to_string();
        match error {
            ureq::Error::HostNotFound => Ok(Sent::Unreachable(told)),
            ureq::Error::Io(error)
                if error.kind() == ErrorKind::ConnectionRefused && self.spent().tokens == 0 =>
            {
                Ok(Sent::Unreachable(told))
            }
            ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::BodyStalled
            | ureq::Error::Protocol(_) => Ok(Sent::Refused(told, None)),
            _ => Err(Error::failure(format!("ask {}", self.url), told, "check --endpoint")),
        }
    }

    fn refused(&self, status: u16, text: &str) -> Error {
        let remedy = match status {
            401 | 403 => "name the variable that holds your key by --key-env",
            404 => "check --endpoint (it goes up to, and without, /chat/completions) and --model",
            400 if text.contains("max_completion_tokens") => {
                "give --limit-as max_completion_tokens"
            }
            400 if text.contains("temperature") => "give --no-temperature",
            _ => "see what the endpoint says",
        };
        Error::mistake(
            format!("ask {}", self.url),
            "an answer",
            format!("status {status}: {}", shortened(text)),
            remedy,
        )
    }

    /// The text of an answer.
    fn answer(&self, request: &Value, text: &str) -> Result<Sent> {
        let parsed: Value = serde_json::from_str(text).unwrap_or_default();
        let message = &parsed["choices"][0]["message"];
        if !message.is_object() {
            return Err(Error::mistake(
                format!("ask {}", self.url),
                "JSON with choices[0].message.content, as OpenAI's chat completions give it",
                format!("'{}'", shortened(text)),
                "give the URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1",
            ));
        }
        let answer = message["content"].as_str().unwrap_or_default().to_owned();
        let tokens = parsed["usage"]["total_tokens"].as_u64();
        let tokens = tokens.unwrap_or_else(|| estimated_tokens(request, &answer));
        let cut = is_empty(&answer) || parsed["choices"][0]["finish_reason"] == "length";
        let kept = Kept { request: request.clone(), answer, tokens };
        Ok(if cut { Sent::Cut(kept) } else { Sent::Answered(kept) })
    }
}

fn is_empty(answer: &str) -> bool {
    answer.trim().is_empty()
}

/// Tokens of a request and its answer where the endpoint does not count them, so that a budget ends all the same: one
/// for every 4 characters, as is usual of English.
fn estimated_tokens(request: &Value, answer: &str) -> u64 {
    let messages = request["messages"].as_array().into_iter().flatten();
    let asked = messages.filter_map(|message| message["content"].as_str());
    let characters: usize = asked.chain([answer]).map(|text| text.chars().count()).sum();
    characters.div_ceil(4) as u64
}

/// The beginning of what an endpoint said, on one line.
fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "no text".to_owned(),
        None => line,
    }
}

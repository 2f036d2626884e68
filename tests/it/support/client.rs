//! Statements by Snowflake's Python connector (`tests/snowflake/client.py`). A process that has imported it is kept for
//! the next test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::{environment, root};

/// The processes that no test uses at the moment. They end with this one, which closes their standard input.
static IDLE: Mutex<Vec<Client>> = Mutex::new(Vec::new());

/// The answer to a request: the first value of its last answer if that has a row, or what Snowflake says is wrong.
pub(super) fn ask(request: &Value) -> Result<Option<String>, String> {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut client = idle.unwrap_or_else(Client::start);
    let answer = client.answer(request);
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    match &answer["error"] {
        Value::String(error) => Err(error.clone()),
        _ => Ok(answer["value"].as_str().map(str::to_owned)),
    }
}

struct Client {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn start() -> Self {
        let mut command = Command::new(environment().join("bin/python"));
        command.arg(root().join("tests/snowflake/client.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the client starts");
        let requests = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, requests, answers }
    }

    fn answer(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").expect("the client reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the client answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?} of {:?}", self.process))
    }
}

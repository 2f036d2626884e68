//! A Snowflake endpoint for one test: `tests/snowflake/endpoint.py` on a free port, ended when it is dropped.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Checkout, Ended, client, environment, root};

/// The secret of the tests, which no output may hold.
pub(crate) const SECRET: &str = "not-a-real-secret-7f3a";

pub(crate) struct Endpoint {
    /// It ends when its standard input is closed.
    process: Child,
    port: u16,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// An endpoint that keeps its data in a DuckDB file, which is complete when the endpoint has ended. The account shows
    /// its own use too.
    pub(crate) fn keeping(data: &Path) -> Self {
        let databases = ["--database", "LOGISTICS_DEMO", "--database", "SNOWFLAKE"].map(OsStr::new);
        Self::with(&[&["--data".as_ref(), data.as_os_str()], &databases[..]].concat())
    }

    /// An account with these databases; the first one is where environments live.
    pub(crate) fn with_databases(databases: &[&str]) -> Self {
        let options: Vec<&OsStr> =
            databases.iter().flat_map(|database| ["--database".as_ref(), OsStr::new(database)]).collect();
        Self::with(&options)
    }

    /// An account that has only the roles of a new one, to which nothing is granted.
    pub(crate) fn bare() -> Self {
        Self::with(&["--bare".as_ref()])
    }

    fn with(options: &[&OsStr]) -> Self {
        let mut command = Command::new(environment().join("bin/python"));
        command.arg(root().join("tests/snowflake/endpoint.py")).args(["--port", "0"]).args(options);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the endpoint starts");
        let mut ready = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("the line that says it is ready");
        let ready: Value = serde_json::from_str(&ready).expect("a line of JSON");
        let port = ready["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        Self { process, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, and what every login needs beside its credentials.
    pub(crate) fn place(&self) -> Vec<(&'static str, String)> {
        [
            ("SNOWFLAKE_HOST", "127.0.0.1"),
            ("SNOWFLAKE_PORT", &self.port.to_string()),
            ("SNOWFLAKE_PROTOCOL", "http"),
            ("SNOWFLAKE_ACCOUNT", "ORG-ACCOUNT"),
            ("SNOWFLAKE_ROLE", "BUILDER"),
            ("SNOWFLAKE_WAREHOUSE", "SMALL_WH"),
            ("SNOWFLAKE_DATABASE", "logistics_demo"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }

    /// `cargo xtask …` in `checkout`, logged in here with a password.
    pub(crate) fn command(&self, checkout: &Checkout, args: &[&str]) -> Command {
        self.login(checkout.command(args))
    }

    /// A command of the toolkit, logged in here with a password.
    pub(crate) fn login(&self, mut command: Command) -> Command {
        command
            .env("XTASK_TARGET", "snowflake")
            .envs(self.place())
            .env("SNOWFLAKE_USER", "DEPLOYER")
            .env("SNOWFLAKE_PASSWORD", SECRET);
        command
    }

    pub(crate) fn run(&self, checkout: &Checkout, args: &[&str]) -> Ended {
        Ended::of(self.command(checkout, args))
    }

    pub(crate) fn create(&self, checkout: &Checkout, name: &str) -> Ended {
        self.run(checkout, &["schema", "create", "--schema", name])
    }

    /// A statement behind the toolkit's back, or several with `;;` between them, by the Python connector.
    pub(crate) fn sql(&self, statement: &str) {
        self.sql_as("BUILDER", statement);
    }

    /// The same as another role.
    #[track_caller]
    pub(crate) fn sql_as(&self, role: &str, statement: &str) {
        self.answer(role, statement);
    }

    /// Why a role may not run a statement; nothing if it may.
    pub(crate) fn refuses(&self, role: &str, statement: &str) -> String {
        self.refuses_user("u", role, statement)
    }

    /// The same for a user, who has only some roles if the account made it.
    pub(crate) fn refuses_user(&self, user: &str, role: &str, statement: &str) -> String {
        self.ask(user, role, statement).err().unwrap_or_default()
    }

    /// All files of sql/snowflake/bootstrap, as one person with ACCOUNTADMIN runs them.
    pub(crate) fn bootstrap(&self) {
        let folder = root().join("sql/snowflake/bootstrap");
        let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
        let mut files: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|it| it == "sql")).collect();
        files.sort();
        let scripts = files.iter().map(|file| fs::read_to_string(file).expect("a file"));
        let script = scripts.collect::<Vec<_>>().join("\n").replace("<% subject %>", "repo:o/r");
        client::ask(&json!({"login": self.as_user("u", "ACCOUNTADMIN"), "script": script}))
            .expect("a script that Snowflake runs");
    }

    /// The number that a query answers, by the Python connector.
    pub(crate) fn count(&self, query: &str) -> i64 {
        self.count_as("BUILDER", query)
    }

    /// The same as another role.
    pub(crate) fn count_as(&self, role: &str, query: &str) -> i64 {
        self.text_as(role, query).parse().expect("a number")
    }

    /// The text that a query answers.
    pub(crate) fn text(&self, query: &str) -> String {
        self.text_as("BUILDER", query)
    }

    fn text_as(&self, role: &str, query: &str) -> String {
        self.answer(role, query).expect("a row")
    }

    #[track_caller]
    fn answer(&self, role: &str, statement: &str) -> Option<String> {
        self.ask("u", role, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    fn ask(&self, user: &str, role: &str, statement: &str) -> Result<Option<String>, String> {
        let statements: Vec<&str> = statement.split(";;").collect();
        let mut login = self.as_user(user, role);
        login["database"] = "LOGISTICS_DEMO".into();
        client::ask(&json!({"login": login, "statements": statements}))
    }

    /// How the Python connector logs in here.
    fn as_user(&self, user: &str, role: &str) -> Value {
        json!({
            "host": "127.0.0.1", "port": self.port, "protocol": "http",
            "account": "a", "user": user, "password": "p", "role": role,
        })
    }

    /// Demand a fault.
    pub(crate) fn demand(&self, fault: &Value) {
        self.http("POST", "/__control", &fault.to_string());
    }

    /// Add queries that were not run to the history: the rows of a query in DuckDB's SQL.
    pub(crate) fn remember(&self, select: &str) {
        assert_eq!(self.http("POST", "/__control/history", select), "{}");
    }

    /// Every statement that arrived, oldest first, with its result.
    pub(crate) fn history(&self) -> Vec<Value> {
        serde_json::from_str(&self.http("GET", "/__control/statements", "")).expect("JSON")
    }

    pub(crate) fn statements(&self) -> Vec<String> {
        self.history().iter().map(|entry| entry["query_text"].as_str().expect("text").to_owned()).collect()
    }

    /// The statements that arrived and change something.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.statements().into_iter().filter(|sql| !sql.starts_with("select")).collect()
    }

    /// Who has logged in, and how.
    pub(crate) fn logins(&self) -> Vec<Value> {
        serde_json::from_str(&self.http("GET", "/__control/logins", "")).expect("JSON")
    }

    fn http(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the endpoint listens");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// A new RSA key as people have it, made by the library that the Python connector reads keys with.
pub(crate) struct PrivateKey {
    pub(crate) plain: String,
    pub(crate) encrypted: String,
    pub(crate) passphrase: String,
    /// As Snowflake shows it of the user's public key.
    pub(crate) fingerprint: String,
}

impl PrivateKey {
    pub(crate) fn new() -> Self {
        const MAKE: &str = "
import base64, hashlib, json, secrets
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
key, passphrase = rsa.generate_private_key(65537, 2048), secrets.token_hex(8)
pem = lambda e: key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, e).decode()
encrypted = pem(s.BestAvailableEncryption(passphrase.encode()))
public = key.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
fingerprint = 'SHA256:' + base64.b64encode(hashlib.sha256(public).digest()).decode()
print(json.dumps([pem(s.NoEncryption()), encrypted, passphrase, fingerprint]))
";
        let mut python = Command::new(environment().join("bin/python"));
        python.args(["-c", MAKE]);
        let parts: [String; 4] = serde_json::from_str(&Ended::of(python).expect(0).stdout).expect("a key");
        let [plain, encrypted, passphrase, fingerprint] = parts;
        Self { plain, encrypted, passphrase, fingerprint }
    }
}

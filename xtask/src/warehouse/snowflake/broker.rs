//! Fresh tokens for dbt: a broker on this machine that mints one for each connection that dbt opens.
//!
//! A token of workload identity lives for about five minutes, a build takes longer, and dbt opens a
//! connection whenever a thread needs one. A token in dbt's environment is expired by then, so dbt asks here
//! for a new one each time (see `dbt/guard.py`). Tokens travel through a socket in a folder that only this
//! user can enter; none is written to a file. The broker ends with the run.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use super::login::{Identity, Login, Way};
use super::oidc;
use super::send::LOGIN_SECONDS;

/// Where dbt finds the broker.
const VARIABLE: &str = "XTASK_TOKEN_BROKER";

/// The broker, which answers until it is dropped.
pub(crate) struct Broker {
    socket: PathBuf,
    stopped: Arc<AtomicBool>,
    /// Removed when the broker ends.
    _folder: TempDir,
}

impl Broker {
    /// Start a broker if the login's credentials expire and can be renewed; `None` for all others.
    pub(crate) fn start(login: &Login) -> Result<Option<Self>> {
        let Way::WorkloadIdentity(identity @ Identity::Actions { .. }) = &login.way else { return Ok(None) };
        let start = || -> std::io::Result<(Self, UnixListener)> {
            let private = std::fs::Permissions::from_mode(0o700);
            let folder = tempfile::Builder::new().prefix("xtask-").permissions(private).tempdir()?;
            let socket = folder.path().join("tokens");
            let listener = UnixListener::bind(&socket)?;
            Ok((Self { socket, stopped: Arc::default(), _folder: folder }, listener))
        };
        let (broker, listener) = start().with_context(|| {
            format!(
                "failed to start the broker of login tokens in {}; TMPDIR chooses another folder, whose path must be \
                 short",
                std::env::temp_dir().display()
            )
        })?;
        let (identity, stopped) = (identity.clone(), Arc::clone(&broker.stopped));
        std::thread::Builder::new()
            .name("tokens".to_owned())
            .spawn(move || serve(&listener, &identity, &stopped))
            .context("failed to start a thread for the broker of login tokens")?;
        Ok(Some(broker))
    }

    /// The variable by which dbt finds it. Not a secret: who may connect is decided by the folder.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        (VARIABLE, self.socket.to_string_lossy().into_owned())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the thread, which then sees that it is over.
        drop(UnixStream::connect(&self.socket));
    }
}

fn serve(listener: &UnixListener, identity: &Identity, stopped: &AtomicBool) {
    for stream in listener.incoming() {
        if stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let identity = identity.clone();
        // Several threads of dbt connect at the same time, and each mint is a request to GitHub.
        std::thread::spawn(move || answer(stream, &identity));
    }
}

fn answer(mut stream: UnixStream, identity: &Identity) {
    let answer = match oidc::token(identity, Duration::from_secs(LOGIN_SECONDS)) {
        Ok(token) => json!({"token": token.reveal()}),
        Err(error) => json!({"error": format!("{error:#}")}),
    };
    if let Err(error) = writeln!(stream, "{answer}") {
        tracing::debug!("dbt did not wait for its login token: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    use super::super::login::Secret;
    use super::*;
    use crate::core::environment::Identifier;

    fn login(way: Way) -> Login {
        Login {
            account: "A".into(),
            user: None,
            role: "R".into(),
            warehouse: "W".into(),
            database: Identifier::try_from("DB".to_owned()).expect("an identifier"),
            host: None,
            port: None,
            plain_http: false,
            way,
        }
    }

    #[test]
    fn every_connection_gets_a_token_of_its_own() {
        let github = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/mint?v=2", github.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for (number, stream) in github.incoming().flatten().enumerate() {
                let mut lines = BufReader::new(&stream).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let body = json!({"value": format!("token-{number}")}).to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                write!(&stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("answered");
            }
        });
        let identity = Identity::Actions { url, bearer: Secret::new("b") };
        let broker =
            Broker::start(&login(Way::WorkloadIdentity(identity))).expect("started").expect("a broker");
        let folder = broker.socket.parent().expect("a folder").to_path_buf();
        let mode = std::fs::metadata(&folder).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "no other user can ask");
        let ask = || {
            let mut text = String::new();
            let mut stream = UnixStream::connect(&broker.socket).expect("it listens");
            stream.read_to_string(&mut text).expect("an answer");
            text.trim().to_owned()
        };
        assert_eq!([ask(), ask()], [r#"{"token":"token-0"}"#, r#"{"token":"token-1"}"#]);
        drop(broker);
        assert!(!folder.exists(), "nothing is left");
    }

    #[test]
    fn what_cannot_be_renewed_has_no_broker() {
        let given = Identity::Given(Secret::new("t"));
        for way in
            [Way::WorkloadIdentity(given), Way::OAuth(Secret::new("t")), Way::Password(Secret::new("p"))]
        {
            assert!(Broker::start(&login(way)).expect("decided").is_none());
        }
    }
}

//! Whether Snowflake can be reached at all, checked in parallel with the login.
//!
//! The driver treats every network error as temporary and retries until the login's time limit. This check
//! reports an unknown host name or a closed port within a second or two instead. It does not delay a login:
//! the check runs on a separate thread, and only a failure is waited for.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::failure::Failure;
use super::login::Login;
use crate::core::context;

/// A way that is broken for a moment deserves so many looks.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// The proxies that the driver uses if they are set: the connection beyond them cannot be checked here.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// Check the connection in the background. The receiver gets the reason if Snowflake cannot be reached, and
/// nothing if it can.
pub(super) fn obstacle(login: &Login) -> Receiver<Failure> {
    let (sender, receiver) = channel();
    if PROXIES.iter().all(|name| context::variable(name).is_none()) {
        let (host, port) = address(login);
        let is_given = login.host.is_some();
        std::thread::spawn(move || look(&host, port, is_given, &sender));
    }
    receiver
}

fn look(host: &str, port: u16, is_given: bool, failures: &Sender<Failure>) {
    for left in (0..LOOKS).rev() {
        let failure = match (host, port).to_socket_addrs() {
            Ok(found) => match TcpStream::connect(found.collect::<Vec<_>>().as_slice()) {
                Ok(_) => return,
                Err(error) => Failure::unreachable(host, port, &error),
            },
            Err(error) if !is_passing(&error) => {
                drop(failures.send(Failure::unknown_host(host, is_given)));
                return;
            }
            Err(error) => Failure::unreachable(host, port, &error),
        };
        if left == 0 {
            drop(failures.send(failure));
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the lookup of a name failed, in contrast to the name not existing. The standard library does not expose
/// the resolver's error number, so this checks the message text (glibc and macOS, musl, Windows).
fn is_passing(error: &io::Error) -> bool {
    let words = error.to_string().to_ascii_lowercase();
    words.contains("temporar") || words.contains("try again")
}

/// The address that the driver connects to: the account's own if no other is given.
fn address(login: &Login) -> (String, u16) {
    let port = login.port.unwrap_or(if login.plain_http { 80 } else { 443 });
    let host = login.host.clone().unwrap_or_else(|| {
        // The region of the first accounts is not part of any address.
        let account = login.account.strip_suffix(".us-west-2").unwrap_or(&login.account);
        let region = account.split_once('.').map_or("", |(_, region)| region);
        let domain = if region.to_ascii_lowercase().starts_with("cn-") { "cn" } else { "com" };
        format!("{account}.snowflakecomputing.{domain}")
    });
    (host, port)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::login::{Secret, Way};
    use super::*;

    fn login(account: &str, host: Option<&str>) -> Login {
        Login {
            account: account.into(),
            user: None,
            role: "R".into(),
            warehouse: "W".into(),
            database: "DB".to_owned().try_into().expect("an identifier"),
            host: host.map(str::to_owned),
            port: None,
            plain_http: false,
            way: Way::OAuth(Secret::new("x")),
        }
    }

    #[test]
    fn an_account_has_its_own_address() {
        for (account, host) in [
            ("MYORG-ACC", "MYORG-ACC.snowflakecomputing.com"),
            ("xy1.eu-central-1", "xy1.eu-central-1.snowflakecomputing.com"),
            ("xy1.us-west-2", "xy1.snowflakecomputing.com"),
            ("xy1.cn-northwest-1", "xy1.cn-northwest-1.snowflakecomputing.cn"),
        ] {
            assert_eq!(address(&login(account, None)), (host.to_owned(), 443));
        }
        assert_eq!(address(&login("A", Some("private.example"))), ("private.example".to_owned(), 443));
    }

    #[test]
    fn only_what_may_pass_is_looked_for_again() {
        let said = |words: &str| is_passing(&io::Error::other(words));
        assert!(said("failed to lookup address information: Temporary failure in name resolution"));
        assert!(said("failed to lookup address information: Try again"));
        assert!(!said("failed to lookup address information: Name or service not known"));
    }

    #[test]
    fn a_port_where_nobody_listens_is_told() {
        let free =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|all| all.local_addr()).expect("a port");
        let (sender, receiver) = channel();
        let begun = Instant::now();
        look("127.0.0.1", free.port(), true, &sender);
        let failure = receiver.recv().expect("bad news");
        assert!(failure.message.contains(&format!("127.0.0.1:{}", free.port())), "{failure}");
        assert!(begun.elapsed() >= PAUSE * 2, "it was looked for again");
    }
}

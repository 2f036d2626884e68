//! A headless Chromium, controlled over its debugging pipe: messages of JSON, each ended by a NUL.
//!
//! There is no driver in between, so no package has to match the browser's version. The shell only connects
//! the pipes to the file descriptors that the browser uses.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may take to answer before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(5);
/// Set if the tests must not be skipped.
const REQUIRED: &str = "XTASK_REQUIRE_BROWSER";
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const CHECKS: &str = include_str!("../../browser/checks.js");
const AXE: &str = include_str!("../../browser/axe-core/axe.min.js");

pub(crate) struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    session: Option<String>,
    sent: u64,
    events: VecDeque<Value>,
    _profile: TempDir,
}

/// The browser of this machine.
fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    NAMES.iter().find_map(|name| std::env::split_paths(&folders).map(|f| f.join(name)).find(|p| p.is_file()))
}

impl Browser {
    /// `None`, with a message, if there is no browser and none is required.
    pub(crate) fn open() -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os(REQUIRED).is_none(),
                "{REQUIRED} is set and no Chromium is on PATH; `apt-get install chromium` puts one there"
            );
            println!("skipped: no Chromium on PATH (looked for {})", NAMES.join(", "));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "sh"])
            .arg(program)
            // Tests run as root in containers, where the sandbox does not work; the page is trusted.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-extensions", "--disable-background-networking"])
            .args(["--disable-component-update", "--hide-scrollbars", "--force-prefers-reduced-motion"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take();
        let from = listen(&mut child);
        let mut browser =
            Self { child, to, from, session: None, sent: 0, events: VecDeque::new(), _profile: profile };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let targets = self.call("Target.getTargets", &json!({}));
        let page = targets["targetInfos"].as_array().unwrap().iter().find(|t| t["type"] == "page").unwrap();
        let target = json!({"targetId": page["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", &target);
        self.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Send a command and wait for its answer; what happens meanwhile is kept.
    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = self.receive(method);
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.events.push_back(answer);
        }
    }

    #[track_caller]
    fn receive(&self, waiting_for: &str) -> Value {
        self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no {waiting_for}: {error}"))
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    pub(crate) fn prefers(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Open a file as a double click does, and wait until it is loaded.
    #[track_caller]
    pub(crate) fn visit(&mut self, page: &Path) {
        self.events.clear();
        let url = format!("file://{}", page.display());
        let begun = self.call("Page.navigate", &json!({"url": url}));
        assert!(begun["errorText"].is_null(), "{begun}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive("Page.loadEventFired");
            self.events.push_back(event);
        }
        // Errors that the page's own script runs into come up to here.
        self.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn ask(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The answer of one of `tests/browser/checks.js`.
    #[track_caller]
    pub(crate) fn check(&mut self, name: &str, argument: &str) -> Value {
        self.ask(&format!("{}.{name}({})", CHECKS.trim(), json!(argument)))
    }

    /// The violations that axe-core finds, and the number of rules that pass.
    #[track_caller]
    pub(crate) fn axe(&mut self) -> (Vec<Value>, u64) {
        self.ask(&format!("{AXE};0"));
        let found = self.check("axe", "");
        (found["broken"].as_array().unwrap().clone(), found["passed"].as_u64().unwrap())
    }

    /// A real click at the element's place on the screen.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let at = self.check("middle", selector);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", &json!({"type": kind, "key": key, "code": key}));
        }
    }

    /// Errors and warnings of the page since it was opened: exceptions, and the console's messages.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_complaint = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
            Some("Runtime.consoleAPICalled") => {
                ["error", "warning"].contains(&event["params"]["type"].as_str().unwrap())
            }
            Some("Log.entryAdded") => event["params"]["entry"]["level"] != "verbose",
            _ => false,
        };
        self.events.iter().filter(is_complaint).map(|event| event["params"].to_string()).collect()
    }

    /// Everything that the page asked for since it was opened, itself included.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Keep a picture of the whole page for people to look at.
    pub(crate) fn picture(&mut self, file: &Path) {
        let metrics = self.call("Page.getLayoutMetrics", &json!({}));
        let content = &metrics["cssContentSize"];
        let clip =
            json!({"x": 0, "y": 0, "width": content["width"], "height": content["height"], "scale": 1});
        let shot = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        self.keep("Page.captureScreenshot", &shot, file);
    }

    /// The page on paper; the bytes of the PDF.
    pub(crate) fn paper(&mut self, file: &Path) -> Vec<u8> {
        self.keep("Page.printToPDF", &json!({"printBackground": true, "preferCSSPageSize": true}), file)
    }

    fn keep(&mut self, method: &str, params: &Value, file: &Path) -> Vec<u8> {
        let made = self.call(method, params);
        let bytes = BASE64_STANDARD.decode(made["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, &bytes).unwrap();
        bytes
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser whose pipe is closed ends by itself; one that hangs is ended.
        self.to = None;
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn listen(child: &mut Child) -> Receiver<Value> {
    let (sender, receiver) = mpsc::channel();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        while stdout.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
            let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
            if message.is_ok_and(|message| sender.send(message).is_err()) {
                return;
            }
            bytes.clear();
        }
    });
    receiver
}

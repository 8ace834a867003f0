//! Chromium without a window, driven by its DevTools protocol over pipes.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::clock::{bar, ms, wait_until};
use testkit::guard::Guard;
use testkit::sandbox::Sandbox;
use testkit::{Outcome, ensure, process};

/// Where Debian's package has it.
const PROGRAM: &str = "/usr/bin/chromium";

/// It reads commands at descriptor 3 and writes answers to 4.
const SCRIPT: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A browser with a page; ends when dropped.
pub(super) struct Chromium {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    page: String,
    /// What the page has logged: violations of its policy, errors of its script, what it could not load.
    pub(super) complaints: Vec<String>,
    _sandbox: Sandbox,
    _guard: Guard,
}

/// Whether it is installed.
pub(super) fn is_installed() -> bool {
    fs::exists(PROGRAM).unwrap_or(false)
}

impl Chromium {
    pub(super) fn start() -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let profile = sandbox.file("profile");
        let flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        let quiet = [
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-breakpad",
            "--no-proxy-server",
        ];
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "sh", PROGRAM, "--remote-debugging-pipe"]).args(flags).args(quiet);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        command.env("TMPDIR", sandbox.path()).env("HOME", &profile);
        command.env("XDG_CONFIG_HOME", &profile).env("XDG_CACHE_HOME", &profile);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let guard = Guard::over(child.id())?;
        let commands = child.stdin.take().ok_or("no stdin")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|length| length > 0) {
                let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
                if message.is_ok_and(|message| sender.send(message).is_err()) {
                    return;
                }
                bytes.clear();
            }
        });
        let (page, complaints) = (String::new(), Vec::new());
        let mut chromium =
            Self { child, commands, messages, last: 0, page, complaints, _sandbox: sandbox, _guard: guard };
        chromium.open()?;
        Ok(chromium)
    }

    fn open(&mut self) -> Outcome {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        self.page = self.call("Target.attachToTarget", attach)?["sessionId"].as_str().ok_or("no session")?.to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({}))?;
        }
        Ok(())
    }

    /// Calls a method of the protocol, of the page once there is one.
    pub(super) fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if !self.page.is_empty() {
            command["sessionId"] = json!(self.page);
        }
        self.commands.write_all(format!("{command}\0").as_bytes())?;
        loop {
            let message = self.messages.recv_timeout(bar(Duration::from_secs(20)));
            let message = message.map_err(|error| format!("{method}: {error}"))?;
            if message["id"] == self.last {
                ensure!(message["error"].is_null(), "{method}: {message}");
                return Ok(message["result"].clone());
            }
            if ["Log.entryAdded", "Runtime.exceptionThrown"].iter().any(|event| message["method"] == *event) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }

    /// The value of an expression of JavaScript in the page.
    pub(super) fn value(&mut self, expression: &str) -> Outcome<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params)?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].clone())
    }

    /// Opens a page as a phone shows it.
    pub(super) fn visit(&mut self, url: &str) -> Outcome {
        let phone = json!({"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": true});
        self.call("Emulation.setDeviceMetricsOverride", phone)?;
        let answer = self.call("Page.navigate", json!({"url": url}))?;
        ensure!(answer["errorText"].is_null(), "{url}: {answer}");
        self.wait(
            "the page is loaded",
            &format!("location.href === {} && document.readyState === 'complete'", json!(url)),
        )
    }

    /// Waits until an expression is true.
    pub(super) fn wait(&mut self, what: &str, expression: &str) -> Outcome {
        // Between two pages there is none.
        let mut seen = String::new();
        let waited = wait_until(what, bar(ms(15_000)), || match self.value(expression) {
            Ok(Value::Bool(is_so)) => is_so,
            other => {
                seen = format!("{other:?}");
                false
            }
        });
        if let Err(error) = waited {
            let page = self.value("document.body.innerText").unwrap_or_default();
            return Err(format!("{error}; {seen} {page}; {:?}", self.complaints).into());
        }
        Ok(())
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).unwrap_or_default();
        let _ = process::end_all(|| process::of_group(group));
        let _ = self.child.wait();
    }
}

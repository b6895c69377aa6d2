//! A real Chromium, driven over WebDriver.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::webdriver::{Locator, Session};

/// How long a page may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A chromedriver of our own. It ends when it is dropped, and with it its browsers.
struct Driver {
    process: Child,
    address: String,
    profile: TempDir,
}

impl Driver {
    async fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={}", free.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("chromedriver can't be started ({error}); run ./test, which installs it")
        });
        let driver = Self {
            process,
            address: format!("http://{free}"),
            profile: tempfile::tempdir().unwrap(),
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(free).await.is_err() {
            assert!(
                Instant::now() < deadline,
                "chromedriver does not listen; run ./test, which installs what it needs"
            );
            sleep(Duration::from_millis(20)).await;
        }
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The whole process group: the browser is a child of the driver.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// A browser with a fresh profile.
pub struct Browser {
    pub tab: Session,
    _driver: Driver,
}

impl Browser {
    pub async fn start() -> Self {
        Self::with_preferences(json!({})).await
    }

    pub async fn without_scripts() -> Self {
        Self::with_preferences(json!({ "profile.managed_default_content_settings.javascript": 2 }))
            .await
    }

    async fn with_preferences(preferences: Value) -> Self {
        let driver = Driver::start().await;
        let mut args: Vec<String> = [
            "--headless=new",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(Into::into)
        .into();
        args.push(format!("--user-data-dir={}", driver.profile.path().display()));
        // Chromium's own sandbox refuses to run as root.
        if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
            args.push("--no-sandbox".into());
        }
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let tab = Session::open(&driver.address, &wanted).await;
        Self { tab, _driver: driver }
    }

    async fn tools(&self, command: &'static str, parameters: Value) {
        let command = json!({ "cmd": command, "params": parameters });
        self.tab.post("/goog/cdp/execute", command).await;
    }

    /// What pages have written to the console since they were asked last.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.tab.post("/se/log", json!({ "type": "browser" })).await;
        lines
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    pub async fn of_width(&self, width: u32) {
        let metrics =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.tools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub async fn open(&self, url: &str) {
        self.tab.goto(url).await;
    }

    /// Waits for the page with this heading.
    pub async fn sees(&self, heading: &str) {
        let heading = format!("//h1[normalize-space(.)='{heading}']");
        self.tab.wait_for(Locator::XPath(&heading)).await;
    }

    pub async fn click(&self, css: &str) {
        self.tab.find(css).await.click().await;
    }

    pub async fn text(&self, css: &str) -> String {
        self.tab.find(css).await.text().await
    }

    /// Fails where the page can be scrolled sideways, or has a barrier that axe-core knows of, in
    /// light or in dark.
    pub async fn assert_open_to_all(&self, what: &str) {
        let wider =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(
            self.tab.execute(wider, json!([])).await,
            0,
            "{what}: pixels of it are out of sight"
        );
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/axe/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{}: {e}; run ./test, which installs it", path.display()));
        for scheme in ["light", "dark"] {
            let feature =
                json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.tools("Emulation.setEmulatedMedia", feature).await;
            self.tab.execute(&axe, json!([])).await;
            let run = "const done = arguments[arguments.length - 1]; \
                       axe.run().then(found => done([found.passes.length > 0, found.violations]), error => done([false, String(error)]));";
            let found = self.tab.execute_async(run).await;
            assert_eq!(found, json!([true, []]), "{what}, {scheme}: {found:#}");
        }
    }
}

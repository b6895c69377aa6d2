//! Valid configurations, and the messages for invalid ones.

use super::*;

const SMALLEST: &str = r#"
    issuer = "https://auth.bank.example"
    listen = "127.0.0.1:8080"
    store = "sqlite:/var/lib/counterfoil/counterfoil.db"
    keys = "/var/lib/counterfoil/keys"
    endings_log = "/var/backups/counterfoil/endings.log"
    [[provider]]
    id = "examplebank"
    name = "Example Bank"
    sign_in = "password"
    accounts = "directory"
"#;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    Config::parse(
        text,
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn the_smallest_file_and_the_environment() {
    let config = parse(SMALLEST, &[]).unwrap();
    assert_eq!(config.settings.lifetimes.id_token, 86_400);
    assert_eq!(config.store.to_string(), "/var/lib/counterfoil/counterfoil.db");
    let environment = [
        ("COUNTERFOIL_LISTEN", "127.0.0.1:9"),
        ("COUNTERFOIL_LIFETIMES_ID_TOKEN", "1h"),
        ("COUNTERFOIL_ERRORS_DIALECT", "rfc"),
        ("COUNTERFOIL_STORE", "postgres://counterfoil:secret@db.bank.example/tokens"),
    ];
    let config = parse(SMALLEST, &environment).unwrap();
    assert_eq!(config.listen.port(), 9);
    assert_eq!((config.settings.lifetimes.id_token, config.settings.dialect), (3600, Dialect::Rfc));
    assert_eq!(config.store.to_string(), "postgres://db.bank.example:5432/tokens");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let environment = [
        ("COUNTERFOIL_LISTEN", ""),
        ("COUNTERFOIL_ENDINGS_LOG", ""),
        ("COUNTERFOIL_COLOUR", ""),
        ("COUNTERFOIL_TLS_KEY", ""),
    ];
    let config = parse(SMALLEST, &environment).unwrap();
    assert_eq!(
        (config.listen.port(), config.endings_log.is_some(), config.tls),
        (8080, true, None)
    );
    let error =
        parse(&SMALLEST.replace("issuer =", "#"), &[("COUNTERFOIL_ISSUER", "")]).unwrap_err();
    assert!(error.contains("`issuer` is missing"), "{error}");
}

#[test]
fn a_file_may_begin_with_a_mark() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counterfoil.toml");
    std::fs::write(&path, format!("\u{feff}{SMALLEST}")).unwrap();
    assert_eq!(Config::load(&path).unwrap().listen.port(), 8080);
    std::fs::write(&path, b"\xff\xfei\0").unwrap();
    assert!(Config::load(&path).unwrap_err().contains("UTF-16"));
}

#[test]
fn lifetimes_are_told_as_what_they_are() {
    for (text, words) in [
        ("-5m", "`lifetimes.id_token`: `-5m` is negative"),
        ("0s", "`lifetimes.id_token`: `0s` is less than a second"),
        ("300", "`lifetimes.id_token`: `300` has no unit"),
        ("5x", "`lifetimes.id_token`: `5x` has the unit `x`"),
        ("25h", "`lifetimes.id_token` must be at most 24h"),
    ] {
        let error =
            parse(&format!("{SMALLEST}\n[lifetimes]\nid_token = \"{text}\""), &[]).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_corpus_of_the_fuzz_target_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/configuration");
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    files.iter().for_each(|file| fuzzed::holds(&std::fs::read(file).unwrap()));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let error = parse(&SMALLEST.replace("listen =", "lisen ="), &[]).unwrap_err();
    assert!(error.contains("line 3") && error.contains("lisen"), "{error}");
    for line in [
        r#"store = "postgres://u:pass\word@h/d""#,
        r#"stroe = "postgres://u:password@h/d""#,
        r#"store = "postgres://u:password@h/d"#,
    ] {
        let error = parse(
            &SMALLEST.replace("store = \"sqlite:/var/lib/counterfoil/counterfoil.db\"", line),
            &[],
        )
        .unwrap_err();
        assert!(error.contains("line 4") && !error.contains("word@"), "{error}");
    }
    let error = parse(SMALLEST, &[("COUNTERFOIL_COLOUR", "red")]).unwrap_err();
    assert!(
        error.contains("COUNTERFOIL_COLOUR") && error.contains("COUNTERFOIL_LIFETIMES_ID_TOKEN"),
        "{error}"
    );
    for (from, to, word) in [
        ("https://auth.bank.example", "http://auth.bank.example", "https"),
        ("127.0.0.1:8080", "8080", "address"),
        ("sqlite:/var", "mysql://db/var", "`store`: the store must be written as"),
        (
            "sqlite:/var",
            "postgres:///var",
            "`store`: the store's postgres:// address names no host",
        ),
        ("id = \"examplebank\"", "id = \"a b\"", "provider id"),
        (
            "Example Bank",
            "Example\\u202eBank",
            "the name of the provider `examplebank`: it holds U+202E",
        ),
        ("sign_in = \"password\"", "sign_in = \"magic\"", "magic"),
        ("issuer =", "#", "issuer"),
    ] {
        let error = parse(&SMALLEST.replace(from, to), &[]).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    let error = parse(&format!("{SMALLEST}\n[lifetimes]\ngrant = \"2000d\""), &[]).unwrap_err();
    assert!(error.contains("365d"), "{error}");
}

use super::*;

#[test]
fn an_empty_file_is_the_default_and_every_key_comes_back() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    let printed = Config::default().to_toml().unwrap();
    assert_eq!(Config::parse(&printed).unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_named() {
    for text in ["colour = 1", "[spool]\ncolour = 1", "[collector.tls]\ncolour = 1"] {
        let error = format!("{:#}", Config::parse(text).unwrap_err());
        assert!(error.contains("colour"), "{error}");
    }
}

#[test]
fn a_wrong_value_is_named() {
    let error = |text: &str| {
        let config = Config::parse(&format!("capture.files = [\"x\"]\n{text}")).unwrap();
        format!("{:#}", config.check().unwrap_err())
    };
    assert!(error("[spool]\nsegment = \"1KiB\"").starts_with("spool.segment"));
    assert!(error("[collector]\nurl = \"http://192.0.2.1:7\"").starts_with("collector.url"));
    assert!(error("[status]\nlisten = \"0.0.0.0:1\"").starts_with("status.listen"));
    assert!(error("[profiles]\nhome = [\"x\"]").starts_with("profiles.home"));
    assert!(error("id = \"x\"").starts_with("id"));
    assert!(error("[position]\nlatitude = 91\nlongitude = 0").starts_with("position"));
    assert!(
        Config::default().check().is_err(),
        "there must be something to observe"
    );
}

/// The description of the configuration lists every key.
#[test]
fn the_document_names_every_key() {
    let document = include_str!("../../../docs/config.md");
    let mut config = Config::default();
    config.capture.netflow = Some(SocketAddr::from(([127, 0, 0, 1], 2055)));
    config.capture.watch = Some("logs".into());
    config.position = Some(PositionConfig {
        latitude: 42.7,
        longitude: 23.3,
        error_km: 5.0,
    });
    config.collector.tls = Some(TlsConfig {
        ca: "a".into(),
        certificate: "b".into(),
        key: "c".into(),
    });
    let printed = config.to_toml().unwrap();
    let keys = printed
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, _)| key);
    for key in keys {
        assert!(
            document.contains(&format!("`{key}`")),
            "docs/config.md does not name `{key}`"
        );
    }
}

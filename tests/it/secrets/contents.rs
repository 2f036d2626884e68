//! What is read in a file: odd encodings, seams, escapes, archives and connection strings.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{findings, parsed, token, write, xtask};

#[test]
fn odd_files_are_scanned_or_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = token();
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(format!("\nt={token}\n").encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    write(folder.path(), "utf16.txt", utf16);
    write(folder.path(), "bom.txt", format!("\u{feff}{token}\n"));
    write(folder.path(), "broken.txt", [b"\xFF\xC3 t=".as_slice(), token.as_bytes(), b"\n"].concat());
    write(folder.path(), "binary.bin", [b"\0\0\0".as_slice(), token.as_bytes()].concat());
    write(folder.path(), "empty.txt", "");
    let far = format!("{}{token} end", "a=b ".repeat(3 << 20));
    write(folder.path(), "long.txt", &far);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(".", folder.path().join("circle")).expect("a link");
        std::os::unix::fs::symlink("/nowhere", folder.path().join("dangling")).expect("a link");
    }
    let output = xtask(folder.path()).args([".", "--format", "json"]).output().expect("xtask starts");
    let (code, mut found) = parsed(&output);
    found.sort_by_key(|finding| finding["path"].as_str().map(str::to_owned));
    let places: Vec<(String, u64, u64)> = found
        .iter()
        .map(|f| {
            let path = f["path"].as_str().unwrap_or_default().trim_start_matches("./").to_owned();
            (path, f["line"].as_u64().unwrap_or(0), f["column"].as_u64().unwrap_or(0))
        })
        .collect();
    let expected = [
        ("bom.txt".to_owned(), 1, 1),
        ("broken.txt".to_owned(), 1, 6),
        ("long.txt".to_owned(), 1, far.len() as u64 - 4 - 40 + 1),
        ("utf16.txt".to_owned(), 2, 3),
    ];
    assert_eq!((code, places), (1, expected.to_vec()));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["summary"]["skipped_binary"], 1);
}

#[test]
fn secrets_on_the_seam_of_two_pieces_are_found_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for shift in [0_usize, 20, 65_536, 65_550] {
        let before = (2 << 20) - shift;
        let text = format!("{}\n{}\n{}", "x ".repeat(before / 2), token(), "y\n".repeat(1 << 20));
        write(folder.path(), "seam.txt", text);
        let (_, found) = findings(folder.path(), &["seam.txt"]);
        assert_eq!(found.len(), 1, "{shift}");
        assert_eq!(found[0]["line"], 2, "{shift}");
    }
}

#[test]
fn encoded_secrets_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let hex = token().bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    write(folder.path(), "hex.txt", format!("data: {hex}\n"));
    let (_, found) = findings(folder.path(), &["hex.txt"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["rule"], &found[0]["line"]), (&Value::from("github-token"), &Value::from(1)));
}

#[test]
fn percent_and_unicode_escapes_are_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let percent = token().bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let unicode = token().bytes().fold(String::new(), |text, byte| format!("{text}\\u00{byte:02x}"));
    for text in [percent, unicode] {
        write(folder.path(), "a.txt", format!("first\nx = {text}\n"));
        let (_, found) = findings(folder.path(), &["a.txt"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["rule"], &found[0]["line"]), (&Value::from("github-token"), &Value::from(2)));
    }
}

/// A zip and a tar.gz, made by Python's own modules.
const PACK: &str = "
import io, sys, tarfile, zipfile
text = sys.stdin.read().encode()
inner = io.BytesIO()
with tarfile.open(fileobj=inner, mode='w:gz') as tar:
    entry = tarfile.TarInfo('etc/app.env'); entry.size = len(text); tar.addfile(entry, io.BytesIO(text))
with zipfile.ZipFile('outer.zip', 'w', zipfile.ZIP_DEFLATED) as zip:
    zip.writestr('plain.env', text); zip.writestr('in/inner.tgz', inner.getvalue()); zip.writestr('broken.zip', 'no zip')
";

#[test]
fn archives_are_unfolded_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pack = Command::new("python3")
        .args(["-c", PACK])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let text = format!("API_TOKEN={}\n", token());
    pack.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("written");
    assert!(pack.wait().expect("it ends").success());

    assert_eq!(findings(folder.path(), &["outer.zip"]).0, 0);
    let output = xtask(folder.path())
        .args(["outer.zip", "--archives", "--format", "json"])
        .output()
        .expect("xtask starts");
    let (code, found) = parsed(&output);
    let paths: Vec<&str> = found.iter().filter_map(|finding| finding["path"].as_str()).collect();
    assert_eq!((code, paths), (1, vec!["outer.zip!in/inner.tgz!etc/app.env", "outer.zip!plain.env"]));
    // What could not be unfolded is named, not passed over.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("outer.zip!broken.zip"), "{said}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["summary"]["skipped_unreadable"], 1);
}

#[test]
fn an_id_is_told_with_its_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = ["AKIA", "Z7Q2", "M4XK", "5T3W", "LB6N"].concat();
    let secret = ["k7Fq2Zx9Lm", "4Tn8WpR3vB", "5cHy6Jd1Gs", "0Qe/+aUoXi"].concat();
    write(folder.path(), "a.env", format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n"));
    let (_, found) = findings(folder.path(), &["a.env"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let message = found[0]["message"].as_str().expect("a message");
    assert_eq!((&found[0]["rule"], &found[0]["line"]), (&Value::from("aws-secret-key"), &Value::from(2)));
    assert!(message.contains("AWS access key ID") && message.contains("1 line above"), "{message}");
    let human = xtask(folder.path()).arg("a.env").output().expect("xtask starts").stdout;
    assert!(!String::from_utf8_lossy(&human).contains(&id[4..]), "the id is not shown either");

    // Alone it is a separate finding.
    write(folder.path(), "a.env", format!("AWS_ACCESS_KEY_ID={id}\n"));
    let (_, found) = findings(folder.path(), &["a.env"]);
    assert_eq!((found.len(), &found[0]["rule"]), (1, &Value::from("aws-access-key")));

    let drawn = &secret[..36].replace(['/', '+'], "7");
    write(folder.path(), "b.yaml", format!("client_id: shop-7\n# for the web\nclient_secret: {drawn}\n"));
    let (_, found) = findings(folder.path(), &["b.yaml"]);
    let message = found[0]["message"].as_str().expect("a message");
    assert!(message.contains("the client_id that goes with it is 2 lines above"), "{message}");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_connection_string_in_code_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = ["Tra", "vel", "ler9"].concat();
    let code = format!("var c = \"Server=db1;User Id=app;Password={password};Encrypt=true\";\n");
    write(folder.path(), "a.cs", code);
    write(folder.path(), "b.cs", "var c = \"Server=db1;User Id=app;Password=\" + password + \";\";\n");
    let (_, found) = findings(folder.path(), &["a.cs", "b.cs"]);
    assert_eq!((found.len(), &found[0]["rule"]), (1, &Value::from("generic-connection-string")), "{found:?}");
}

//! Where secrets are written, each place with a value drawn for it: what has to be found, and what has not.

use super::{Engine, Place};
use crate::secrets::rules::RuleSet;

/// Whether anything is reported for a text; `#` and `{k}` are a person's passwords, `{s}` a simple one, `%` a random
/// token, `{u}` a UUID and `{h}` a digest.
fn reported(engine: &Engine, path: &str, text: &str) -> bool {
    let password = ["kaf", "fee", ".ro", "ma64"].concat();
    let token = ["q7Rk2Zt9", "Wm4Lx8Vb", "3Np6s1Hd", "5Jf0Gc2K"].concat();
    let values = [
        ("#", password),
        ("%", token),
        ("{k}", ["Kaf", "fee+", "Roma", "64"].concat()),
        ("{s}", ["son", "ne", "88", "57"].concat()),
        ("{u}", ["7e1e818a", "-2bc5-4042", "-9b5d-", "8bf2465e1d81"].concat()),
        ("{h}", ["3674fc866846", "d4835ea498", "5c023b0484"].concat()),
    ];
    let text = values.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value));
    engine.scan(Place { path, commit: None }, text.as_bytes()).iter().any(|hit| !hit.silent)
}

#[test]
fn secrets_are_found_in_their_places() {
    let engine = Engine::new(RuleSet::built_in().expect("our rules")).expect("they build");
    for (path, text) in [
        ("a.py", "EMAIL_HOST_PASSWORD = '#'"),
        ("a.py", "CACHE_PASSWORD = '#'"),
        ("a.py", "page_access_token = '%'"),
        ("a.py", "passwort = '#'"),
        ("a.env", "SENHA_BANCO=#"),
        ("a.yml", "mot_de_passe: #"),
        ("a.ini", "kennwort = #"),
        ("a.yml", "contrase\u{f1}a: '#'"),
        ("a.txt", "\u{5bc6}\u{7801}\u{ff1a}{k}"),
        ("a.py", "if request.headers['X-Token'] != '%':"),
        ("a.py", "def api_token():\n    return '%'"),
        ("A.java", "public String getPassword() { return \"#\"; }"),
        ("A.java", "env.put(Context.SECURITY_CREDENTIALS, \"{k}\");"),
        ("A.java", "props.put(SslConfigs.SSL_KEY_PASSWORD_CONFIG, \"#\");"),
        ("A.java", "transport.connect(\"smtp.acme.io\", \"svc\", \"#\");"),
        ("a.ts", "await page.type('input[name=password]', '#');"),
        ("a.ts", "await page.getByLabel('Password').fill('#');"),
        ("a.py", "driver.find_element(By.ID, 'password').send_keys('#')"),
        ("a.jsx", "const [adminPass] = useState(\"#\");"),
        ("a.swift", "request.setValue(\"Bearer %\", forHTTPHeaderField: name)"),
        ("a.rs", ".bearer_auth(\"%\")"),
        ("A.cs", "new SymmetricSecurityKey(Encoding.UTF8.GetBytes(\"%\"))"),
        ("a.json", "{\"adminPassword\": {\"value\": \"#\"}}"),
        ("a.xml", "<Password><Value>#</Value></Password>"),
        ("a.html", "<td>Password</td><td>#</td>"),
        ("a.rst", ":Password: ``#``"),
        ("a.md", "log in with the password `#` first"),
        ("a.txt", "the db password is {s}, thanks"),
        ("a.adoc", "Unseal key: %"),
        ("a.sql", "identified with mysql_native_password by '#'"),
        ("a.conf", "rightpsk=\"%\""),
        ("a.cfg", "rootpw --plaintext #"),
        ("a.cfg", "d-i passwd/user-password password {k}"),
        ("a.sh", "zip -P {k} out.zip a"),
        ("a.php", "$conf['mdp_admin'] = '#';"),
        ("a.php", "$this->clave_api = '%';"),
        ("a.kt", "val geheim = '%'"),
        ("a.md", "Le mot de passe du compte `app` est #, merci."),
        ("a.txt", "dein Passwort lautet #, bitte"),
        ("a.txt", "has\u{142}o do bazy: #"),
        ("a.py", "# TODO: the old pw was #"),
        ("a.lua", "red:auth('#')"),
        ("a.js", "new Sequelize('shop', 'app', '#', { dialect: 'mysql' })"),
        ("a.sql", "select pgp_sym_decrypt(iban, '#') from t"),
        ("a.sql", "select * from postgresql('pg:5432', 'lake', 'orders', 'app', '#')"),
        ("a.py", "conn = ('SERVER=db1;'\n 'DATABASE=shop;UID=app;PWD=#;Encrypt=yes')"),
        ("a.json", "{\"password\": {\"type\": \"SecureString\", \"value\": \"#\"}}"),
        ("a.rs", "#[arg(long, env = \"FEED_TOKEN\", default_value = \"%\")]"),
        ("a.toml", "unleash_api_token = '*:production.{h}'"),
        ("a.sh", "lftp -u feed,{k} sftp://in.acme.io"),
        ("a.cmd", "schtasks /create /tn etl /ru ACME\\svc /rp {k}"),
        ("haproxy.cfg", "    stats auth ops:{k}"),
        ("vm.args", "-setcookie %"),
        ("a.sh", "vault operator unseal %"),
        ("a.sh", "7z a -p{k} out.7z a"),
        ("a.sh", "echo -e \"{k}\\n{k}\" | passwd ops"),
        ("a.sh", "openssl passwd -1 '{k}'"),
        ("a.ps1", "net user svc {k} /add"),
        ("sasl_passwd", "[smtp.acme.io]:587 svc:#"),
        ("a.env", "API_TOKEN=12|%"),
        ("a.env", "FLEETIO_TOKEN={u}"),
        ("app.log", "level=info api_key={u} topic=auth"),
        ("a.sh", "key={u}"),
        ("a.py", "client.connect(\"db1\", \"svc\", token=\"#\")"),
        ("a.env", "ACME_KEY={h}"),
        ("a.http", "Authorization: Basic svc:{k}"),
    ] {
        assert!(reported(&engine, path, text), "{path}: {text}");
    }
}

#[test]
fn look_alikes_in_the_same_places_are_not_reported() {
    let engine = Engine::new(RuleSet::built_in().expect("our rules")).expect("they build");
    let digest = ["9f8e2b7a61c04d3e", "5f12a7b8c9d0e1f2"].concat();
    for (path, text) in [
        ("a.ldif", "pwdPolicySubentry: cn=expirein10,ou=policies,dc=acme,dc=com"),
        ("a.toml", "acme-oauth2-sdk = \"com.acme:oauth2-oidc-sdk:11.38.2\""),
        ("a.toml", "r2dbc = { module = 'org.postgresql:r2dbc-postgresql', version.ref = 'r2dbc' }"),
        ("a.py", "cache_key = '%'"),
        ("a.py", "next_page_token = '%'"),
        ("a.html", "<input name=\"authenticity_token\" value=\"%\">"),
        ("a.html", "<input name=\"__RequestVerificationToken\" value=\"%\">"),
        (
            "a.py",
            "user.password = 'argon2$argon2id$v=19$m=102400,t=2,p=8$QrLAIfROEGgBFGdj$atKO7J69r2CW7lccqdfRtG'",
        ),
        ("a.py", "user.password = 'pbkdf2_sha256$600000$ao8ruXpQEVr0radw$SHUjiM5jqumOWIQQEbGlV5bK6lw='"),
        ("a.yml", "password: 'sha1:aae8550c0a44:{h}9507d45e'"),
        ("a.py", "password = 'correct horse battery staple'"),
        ("a.json", "{\"key\": \"@\", \"iv\": \"@\", \"msg\": \"\", \"ct\": \"\"}"),
        ("a.yml", "description: 'SHA-256 of the token, e.g. @@'"),
        (
            "a.json",
            "{\"plan_token\": \"plan_12qrjlme3uk06h\", \"price_key\": \"price_1G09xk3UjGZhNJgRq9EJf05k\"}",
        ),
        ("a.json", "{\"request_token\": \"{u}\"}"),
        ("a.csv", "customer_key\n@\n"),
        ("a.py", "session_token = '{u}'"),
        ("a.ts", "await page.getByLabel('Password').fill(password);"),
        ("a.ts", "t('login.password', 'Your password')"),
        ("a.py", "signal.connect('clicked', 'window', 'on_button12')"),
        ("A.java", "assertEquals(EXPECTED_TOKEN, \"token\");"),
        ("a.py", "def password():\n    return settings.password"),
        ("a.html", "<td>Password</td><td>at least 8 characters</td>"),
        ("a.txt", "the password is required by 2024-01-01"),
        ("a.sh", "gzip -P out"),
        ("a.txt", "the password was changed on 2024-01-01"),
        ("a.md", "le mot de passe est obligatoire"),
        ("a.py", "clave = 'MX-0019'"),
        ("a.py", "client.auth(user, token)"),
        ("a.rs", "{\"PASSWORD\": \"secret\",\n \"EXT_AUTHN_DUO_METHOD\": \"x\"}"),
        ("a.yml", "client_secret: shop-orders-client-main"),
        ("a.py", "verify_key = \"ed25519:5mHzavZTmGWxFwGHteRa7+OhvMunLJLex6139+JFS+E=\""),
        ("a.rs", "#[arg(long, env = \"FEED_TOKEN\", default_value_t)]"),
        ("a.sh", "vault login -method=oidc"),
        ("a.sh", "curl -u feed,other https://acme.io"),
        ("a.md", "The internet user survey2024 was long"),
        ("passwd", "root:x:0:0:root:/root:/bin/bash"),
        ("a.py", "path = 'lib/pattern12.txt'"),
        ("Dockerfile", "ARG GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D"),
        ("a.yml", "password: form.password12"),
        ("a.yml", "haslo_label: Haslo"),
        ("app.log", "offset=19844 key={u} topic=auth.token.revoked partition=3"),
        ("a.py", "posthog_project_api_key: str = \"phc_%\""),
        ("detected.json", "{\"hashed_secret\": \"@5f12a7b8\", \"line_number\": 7}"),
        ("a.drawio", "<mxCell value=\"stripe box\" style=\"html=1;\" parent=\"c1hw4CG8A9AbUNuDJ0R9-1\">"),
        ("stripe.svg", "<title>stripe</title><path d=\"M14 10H3V12H14V10M14 6H3V8H14V6\" />"),
        ("go.mod", "\tgithub.com/Azure/go-ansiterm v0.0.0-20250102033503-faa5f7b0171c // indirect"),
        ("a.qmd", "the front page ([24b795a](https://github.com/acme/shop/commit/@5f12a7b8))"),
        ("a.py", "credentials = {\"drivername\": \"postgresql+psycopg2\", \"username\": \"loader\"}"),
        (
            "a.py",
            "AwsCredentials(region_name=\"us-east-2\", assume_role_arn=\"arn:aws:iam::123456789012:role/MyRole\")",
        ),
        (
            "a.py",
            "con = ibis.snowflake.connect(user=\"u\", password=\"password\", account=\"safpqpq-sq55555\")",
        ),
        ("a.py", "c = ConnectionStringCredentials(\"snowflake://user1:pass1@host1/db1?keep_alive=true\")"),
        ("a.toml", "shop.credentials=\"md:shop_data_3?dbinstance_inactivity_ttl=0s\""),
        ("a.py", "AWS_ALLOWED = \"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_\""),
        ("a.py", "AZURE_STORAGE_ACCOUNT_KEY = \"QWERTYUIOPASDFGHJKLZXCVBNM1234567890\""),
        ("a.gradle", "environment 'SECRET_PASSWORD', \"cGFzc3dvcmQ=\""),
        ("a.py", "run([\"api_key=aGVsbG8gd29ybGQ=\"])"),
        ("a.py", "token = \"xoxb-your-bot-token-here\""),
        (
            "a.md",
            "the APP password [here](https://acme.io/x?hl=en#:~:text=An%20app%20password%20is%20a,2%2DStep%20Verification)",
        ),
        ("a.go", "ts, err := decodeFromKeyString(\"82@@@@@@\")"),
        (
            "a.toml",
            "private_key = \"-----BEGIN PRIVATE KEY-----\\nMIIEuwIBADANBgkqhkiG9w0BAQEFAASCBKUwggShAgEAAoIBAQCNEN0bL39HmD+S\\n...\\n-----END PRIVATE KEY-----\"",
        ),
        ("a.go", "config := `{\"auth_token\":\"xoxb-rotated-token\"}`"),
        (
            "a.py",
            "hook = 'https://hooks.slack.com/services/11111111111/22222222222/333333333333333333333333'",
        ),
        ("a.json", "{\"gitbook\": \"https://files.gitbook.io/a b.jpg?alt=media&token={u}\"}"),
        ("a.json", "{\"contrasena\": \"Contra\\u00f1a\", \"login\": \"x\"}"),
    ] {
        let text = text.replace('@', &digest);
        assert!(!reported(&engine, path, &text), "{path}: {text}");
    }
}

//! Passwords that are arguments without a name: `sshpass -p …`, `new NetworkCredential("svc", "…")`.

use std::ops::Range;

use super::super::assess::{self, Shape};
use super::super::assignment::{self, Tie, line_end, line_start};
use super::{calls, may_name_secret, words};

/// Commands that take a password behind a flag, and whether it may be grown together with the flag.
const COMMANDS: &[(&str, &[u8], bool)] = &[
    ("sshpass", b"-p", true),
    ("docker login", b"-p", false),
    ("podman login", b"-p", false),
    ("registry login", b"-p", false),
    ("az login", b"-p", false),
    ("oc login", b"-p", false),
    ("twine upload", b"-p", false),
    ("mysql", b"-p", true),
    ("redis-cli", b"-a", false),
    ("sqlcmd", b"-P", false),
    ("ldapsearch", b"-w", false),
    ("beeline", b"-p", false),
    ("bcp ", b"-P", false),
    ("openssl enc", b"-k", false),
    ("openssl passwd", b"-1", false),
    ("openssl passwd", b"-5", false),
    ("openssl passwd", b"-6", false),
    ("zip ", b"-P", false),
    ("7z a", b"-p", true),
    ("7za a", b"-p", true),
    ("unrar x", b"-p", true),
    ("kadmin", b"-pw", false),
    ("schtasks", b"/rp", false),
    ("rootpw ", b"--plaintext", false),
    ("secret set", b"--body", false),
    ("secret set", b"--value", false),
    ("secret set", b"-b", false),
    ("secret create", b"--value", false),
    ("secrets put", b"--string-value", false),
    ("put-secret", b"--string-value", false),
    ("create-secret", b"--secret-string", false),
    ("put-secret-value", b"--secret-string", false),
    ("ssm put-parameter", b"--value", false),
];

/// Words right behind which a password or a key is the next one, whatever the tool.
const NEXT_WORDS: &[&str] = &["-setcookie ", "operator unseal ", "vault login "];

/// Flags of tools that take `user,password` or `user%password`, and what comes before them on the line.
const PAIRS: &[(&str, &str, u8)] = &[
    (" -u ", "lftp", b','),
    (" -U ", "smbclient", b'%'),
    (" -U ", "rpcclient", b'%'),
    (" auth ", "stats", b':'),
];

/// Flags for a password in any command that has one for the user before it: `ipmitool -H h -U admin -P …`.
const FLAGS: &[&str] = &[" -p ", " -w "];

/// Commands that read a password from their standard input, to which `echo` writes it on the same line.
const READERS: &[&str] = &[
    "--password-stdin",
    "sudo -s",
    "passwd --stdin",
    "| passwd",
    "kinit ",
    "--data-file=-",
    "--secret-string file:///dev/stdin",
    CHPASSWD,
];

/// Reads `user:password`.
const CHPASSWD: &str = "chpasswd";

/// Tools of Oracle and the scheme of its addresses, behind which `user/password@database` may follow.
const ORACLE: &[&str] = &["sqlplus ", "sqlldr ", "expdp ", "impdp ", "oracle:thin:", "oracle:oci:"];

/// `kubectl create secret generic db --from-literal=name=value`.
const LITERAL: &str = "from-literal=";

/// Tools that take a password as their last word: `htpasswd -b file user password`, `net use z: /user:svc password`.
const LAST_WORDS: &[(&str, &str)] = &[
    ("htpasswd -b", ""),
    ("htpasswd -nb", ""),
    ("htpasswd -cb", ""),
    ("htpasswd -bb", ""),
    ("/user:", "net use"),
    ("net user ", ""),
];

/// The end of the address of a database behind a password in Go: `user:password@tcp(host)/db`.
const NETWORKS: &[&str] = &["@tcp(", "@unix("];

/// What an expect script types, which is a password if it waited for the word.
const SENDS: &[&str] = &["send \"", "send '", "send -- \"", "sendline(\"", "sendline('"];

/// How far before that the question for a password may be, in bytes.
const ASKED_MOST: usize = 200;

/// The literals at which a password may appear without a name.
pub(crate) fn literals() -> impl Iterator<Item = &'static str> {
    COMMANDS
        .iter()
        .map(|(command, _, _)| *command)
        .chain(READERS.iter().copied())
        .chain(ORACLE.iter().copied())
        .chain(SENDS.iter().copied())
        .chain(LAST_WORDS.iter().map(|(word, _)| *word))
        .chain(NETWORKS.iter().copied())
        .chain(FLAGS.iter().copied())
        .chain(NEXT_WORDS.iter().copied())
        .chain(PAIRS.iter().map(|(flag, _, _)| *flag))
        .chain(std::iter::once(LITERAL))
        .chain(calls::literals())
}

/// The password among the arguments of the command or call at `at`.
pub(crate) fn in_arguments(bytes: &[u8], at: &Range<usize>) -> Option<Range<usize>> {
    let literal = &bytes[at.clone()];
    // Parts of words are the most frequent: what is behind them decides, and nothing else begins with them.
    if let Some(first) = calls::stem(literal) {
        return calls::of_stem(bytes, at, first);
    }
    let one_of =
        |literals: &[&str]| literals.iter().any(|text| text.as_bytes().eq_ignore_ascii_case(literal));
    if one_of(SENDS) {
        return sent(bytes, at);
    }
    if one_of(FLAGS) {
        return beside_user_flag(bytes, at);
    }
    if one_of(NEXT_WORDS) {
        return next_word(bytes, at.end);
    }
    if let Some(found) = PAIRS.iter().find_map(|pair| of_pair(bytes, at, pair)) {
        return Some(found);
    }
    if one_of(&[LITERAL]) {
        return of_literal(bytes, at.end);
    }
    if one_of(NETWORKS) {
        return before_network(bytes, at.start);
    }
    if let Some((_, command)) =
        LAST_WORDS.iter().find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(literal))
    {
        return last_word(bytes, at, command.as_bytes());
    }
    if one_of(ORACLE) {
        return before_database(bytes, at.end);
    }
    if one_of(READERS) {
        let echoed = echoed(bytes, at.start, literal.eq_ignore_ascii_case(CHPASSWD.as_bytes()));
        return echoed;
    }
    if let Some(found) = calls::argument(bytes, at) {
        return Some(found);
    }
    COMMANDS
        .iter()
        .filter(|(command, _, _)| command.as_bytes().eq_ignore_ascii_case(&bytes[at.clone()]))
        .find_map(|(_, flag, attached)| behind_flag(bytes, at.end, flag, *attached))
}

/// The word at `at`.
fn next_word(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let (value, _) = assignment::value_at(bytes, at, Tie::Beside)?;
    let text = &bytes[value.clone()];
    let shape = Shape::of(text);
    (plain(text) && (assess::random(text, &shape) || assess::chosen_in_code(text))).then_some(value)
}

/// The password of the pair behind a flag: `lftp -u feed,…`.
fn of_pair(
    bytes: &[u8],
    at: &Range<usize>,
    (flag, tool, between): &(&str, &str, u8),
) -> Option<Range<usize>> {
    if !flag.as_bytes().eq(&bytes[at.clone()]) {
        return None;
    }
    memchr::memmem::find(&bytes[line_start(bytes, at.start)..at.start], tool.as_bytes())?;
    let start = at.end + usize::from(matches!(bytes.get(at.end), Some(b'"' | b'\'')));
    let word = bytes[start..line_end(bytes, start)]
        .iter()
        .take_while(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`'))
        .count();
    let value = start + memchr::memchr(*between, &bytes[start..start + word])? + 1..start + word;
    let text = &bytes[value.clone()];
    (plain(text) && assess::chosen(text, &Shape::of(text))).then_some(value)
}

/// The value of a flag that is at `at`, if the command has a user before it.
fn beside_user_flag(bytes: &[u8], at: &Range<usize>) -> Option<Range<usize>> {
    let before = bytes[line_start(bytes, at.start)..at.start].to_ascii_lowercase();
    let user = [&b" -u "[..], b" --user ", b" --username ", b" -l ", b" --login "];
    if !user.iter().any(|flag| memchr::memmem::find(&before, flag).is_some()) {
        return None;
    }
    let (value, _) = assignment::value_at(bytes, at.end, Tie::Beside)?;
    let text = &bytes[value.clone()];
    (plain(text) && calls::password(text)).then_some(value)
}

fn behind_flag(bytes: &[u8], from: usize, flag: &[u8], attached: bool) -> Option<Range<usize>> {
    let line = &bytes[from..line_end(bytes, from)];
    memchr::memmem::find_iter(line, flag).find_map(|found| {
        let end = from + found + flag.len();
        let before = *bytes[..from + found].last()?;
        // `["sshpass", "-p", "…"]`: the next string is the value.
        let listed = matches!(before, b'"' | b'\'') && bytes[end..].starts_with(&[before, b',']);
        if !listed && !before.is_ascii_whitespace() {
            return None;
        }
        let end = if listed { end + 2 } else { end };
        let apart = bytes.get(end).is_some_and(u8::is_ascii_whitespace);
        if !apart && !attached {
            return None;
        }
        // A back quote ends the command in a document, or its output is the value.
        if bytes.get(end) == Some(&b'`') {
            return None;
        }
        let (value, _) = assignment::value_at(bytes, end, Tie::Beside)?;
        let text = &bytes[value.clone()];
        // Parameters of Systems Manager are settings unless they are encrypted.
        let stored = flag != b"--value"
            || !bytes[from - 1..from].eq(b"r")
            || memchr::memmem::find(line, b"SecureString").is_some();
        let plain = stored
            && plain(text)
            // `-port`, `-param`: words grown together with the flag are other flags.
            && (apart || text.iter().any(|b| !b.is_ascii_lowercase()));
        plain.then_some(value)
    })
}

/// Written out as an argument, and not filled in or a sample.
fn plain(text: &[u8]) -> bool {
    text.len() >= 6
        && text[0] != b'-'
        && !assess::template(text)
        && !assess::placeholder(text)
        && !assess::masked(text)
        && !assess::sample(text)
        && !assess::other_kind(text)
        && !Shape::of(text).dull()
}

/// The argument of the `echo` that writes to the command at `at`.
fn echoed(bytes: &[u8], at: usize, of_user: bool) -> Option<Range<usize>> {
    let start = line_start(bytes, at);
    // The bar may be a part of the literal.
    let line = &bytes[start..at + usize::from(bytes[at] == b'|')];
    let pipe = memchr::memrchr(b'|', line)?;
    let echo = memchr::memmem::rfind(&line[..pipe], b"echo ")? + b"echo ".len();
    let flags = line[echo..].iter().take_while(|b| matches!(b, b' ' | b'-' | b'n' | b'e')).count();
    let flags = line[echo..echo + flags].iter().rposition(|b| *b == b' ').map_or(0, |blank| blank + 1);
    let (mut value, quoted) = assignment::value_at(bytes, start + echo + flags, Tie::Beside)?;
    // `echo -e "x\nx" | passwd`: it is asked for twice.
    if let Some(line) = memchr::memmem::find(&bytes[value.clone()], b"\\n") {
        value.end = value.start + line;
    }
    if of_user {
        value.start += memchr::memchr(b':', &bytes[value.clone()])? + 1;
    }
    let text = &bytes[value.clone()];
    let shape = Shape::of(text);
    // Words without quotes are a message: one value with a digit or sign is a password.
    let password = quoted && assess::passphrase(text, false) || assess::chosen(text, &shape);
    (value.end <= start + pipe && plain(text) && password).then_some(value)
}

/// What a script types after it waited for the question for a password.
fn sent(bytes: &[u8], at: &Range<usize>) -> Option<Range<usize>> {
    let before = &bytes[at.start.saturating_sub(ASKED_MOST)..at.start];
    let asks =
        [&b"assword"[..], b"assphrase"].iter().any(|word| memchr::memmem::find(before, word).is_some());
    if !asks {
        return None;
    }
    let quote = bytes[at.end - 1];
    let length = memchr::memchr2(quote, b'\n', &bytes[at.end..line_end(bytes, at.end)])?;
    let text = &bytes[at.end..at.end + length];
    let text =
        [&b"\\r\\n"[..], b"\\r", b"\\n"].iter().find_map(|end| text.strip_suffix(*end)).unwrap_or(text);
    calls::password(text).then_some(at.end..at.end + text.len())
}

/// The value of `name=value` from `at` on, whatever the name.
fn of_literal(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let equals = memchr::memchr(b'=', &bytes[at..line_end(bytes, at)])?;
    let (value, _) = assignment::value_at(bytes, at + equals + 1, Tie::Beside)?;
    let text = &bytes[value.clone()];
    let shape = Shape::of(text);
    // A user name is not one.
    let named = may_name_secret(&words(&bytes[at..at + equals]));
    (named && plain(text) && (assess::chosen(text, &shape) || assess::random(text, &shape))).then_some(value)
}

/// The last word of the command at `at`, if there are enough before it.
fn last_word(bytes: &[u8], at: &Range<usize>, command: &[u8]) -> Option<Range<usize>> {
    let line = &bytes[at.end..line_end(bytes, at.end)];
    let before = &bytes[line_start(bytes, at.start)..at.start];
    let ends = line.iter().position(|b| matches!(b, b'|' | b'>' | b';' | b'&' | b'`')).unwrap_or(line.len());
    // `net user name password /add`: options are behind it.
    let options = bytes[at.clone()].eq_ignore_ascii_case(b"net user ");
    let ends = memchr::memmem::find(&line[..ends], b" /").filter(|_| options).unwrap_or(ends);
    let words: Vec<&[u8]> =
        line[..ends].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let attached = line.first().is_some_and(|b| !b.is_ascii_whitespace());
    let least = if command.is_empty() || attached { 2 } else { 1 };
    let inside = before.last().is_some_and(u8::is_ascii_alphanumeric);
    if memchr::memmem::find(before, command).is_none() && !command.is_empty() || words.len() < least || inside
    {
        return None;
    }
    let password = words.last()?;
    let start = at.end + line[..ends].trim_ascii_end().len() - password.len();
    let quoted =
        password.len() > 2 && matches!(password[0], b'"' | b'\'') && password.last() == password.first();
    // `exec('net use z: … password')`: the quote ends the string that holds the command.
    let enclosed = !quoted && matches!(password.last(), Some(b'"' | b'\''));
    let value = start + usize::from(quoted)..start + password.len() - usize::from(quoted || enclosed);
    let text = &bytes[value.clone()];
    (plain(text) && assess::chosen(text, &Shape::of(text))).then_some(value)
}

/// The password of `user:password@tcp(host)/db`, in front of the network at `at`.
fn before_network(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let line = &bytes[line_start(bytes, at)..at];
    let string = line
        .iter()
        .rposition(|b| matches!(b, b'"' | b'\'' | b'`' | b'=' | b' '))
        .map_or(0, |quote| quote + 1);
    let colon = memchr::memchr(b':', &line[string..])?;
    let value = at - (line.len() - string - colon - 1)..at;
    let text = &bytes[value.clone()];
    let good =
        text.len() >= 4 && !assess::template(text) && !assess::placeholder(text) && !assess::sample(text);
    (good && text != &line[string..string + colon]).then_some(value)
}

/// The password of `user/password@database`.
fn before_database(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let line = &bytes[at..line_end(bytes, at)];
    let flags = line.iter().take_while(|b| matches!(b, b' ' | b'-' | b'S' | b'L' | b'"' | b'\'')).count();
    let user =
        line[flags..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
    let start = flags + user + 1;
    if user == 0 || line.get(flags + user) != Some(&b'/') {
        return None;
    }
    let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'@' | b'"' | b'\'' | b'`' | b'<' | b'>');
    let length = line[start..].iter().position(ends)?;
    let value = at + start..at + start + length;
    let text = &bytes[value.clone()];
    (line.get(start + length) == Some(&b'@') && plain(text) && assess::chosen(text, &Shape::of(text)))
        .then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let lower = text.to_ascii_lowercase();
        let at = |literal: &str| lower.find(literal).map(|start| start..start + literal.len());
        let found = literals().filter_map(at).find_map(|at| in_arguments(text.as_bytes(), &at))?;
        Some(text[found].to_owned())
    }

    #[test]
    fn passwords_of_commands_and_calls() {
        let password = ["Harb", "or48", "!t"].concat();
        for text in [
            "sshpass -p '#' ssh deploy@host1",
            "sshpass -p# scp a host1:",
            "docker login registry.io -u shop -p #",
            "mysql -h db1 -u shop -p'#' shop",
            "redis-cli -h cache1 -a #",
            "new NetworkCredential(\"svc\", \"#\")",
            "requests.get(url, auth=('svc', '#'))",
            "DriverManager.getConnection(url, user, \"#\")",
            "server.login('svc', '#')",
            "subprocess.run([\"sshpass\", \"-p\", \"#\", \"ssh\", \"host1\"])",
            "beeline -u jdbc:hive2://h -n svc -p #",
            "bcp t in f -S h -U sa -P '#'",
            "echo '#' | docker login -u shop --password-stdin",
            "echo -n # | sudo -S ls",
            "RUN echo \"root:#\" | chpasswd",
            "expect \"password:\"\nsend \"#\\r\"",
            "expect \"Password: \"\nsend -- \"#\\r\"",
            "child.expect('Password:')\nchild.sendline('#')",
            "sqlplus -S loader/#@db1/shop @load.sql",
            "jdbc:oracle:thin:loader/#@db1:1521/shop",
            "kubectl create secret generic db --from-literal=foo=#",
            "gh secret set DB_PASSWORD --body \"#\"",
            "az keyvault secret set --vault-name v --name n --value '#'",
            "databricks secrets put-secret s k --string-value #",
            "http.basic_auth 'svc', '#'",
            "htpasswd -b /etc/nginx/users shop #",
            "htpasswd -nb shop '#' > users",
            "net use Z: \\\\files\\share /user:acme\\svc #",
            "smbclient //nas/exp -U 'ACME\\feed%#' -c 'put a.csv'",
            "EXEC xp_cmdshell 'net use Z: \\\\files\\share /user:acme\\svc #';",
            "dsn := \"loader:#@tcp(db1:3306)/shop\"",
            "client.basic_auth(\"svc\", Some(\"#\"))",
            "jwt.sign(payload, '#', { expiresIn: 60 })",
            "new mysqli(\"db1\", \"shop\", \"#\", \"shop\")",
            "DBI->connect(\"dbi:Pg:dbname=shop\", \"loader\", \"#\", { RaiseError => 1 })",
            "oracledb.connect('loader', '#', 'db1:1521/shop')",
            "adapter.connect('db1', 'loader', '#', 'db1:1521/shop')",
            "keyStore.load(stream, \"#\".toCharArray());",
        ] {
            assert_eq!(found(&text.replace('#', &password)), Some(password.clone()), "{text}");
        }
        for text in [
            "sshpass -p \"$PASSWORD\" ssh host1",
            "mysql -port 3306 -h db1",
            "mysql -h db1 -p shop",
            "docker login -u shop -p ${TOKEN}",
            "mysql -uroot -prootroot",
            "auth=('user', 'password')",
            "echo $TOKEN | docker login --password-stdin",
            "echo ${{ secrets.TOKEN }} | docker login --password-stdin",
            "cat token.txt | docker login --password-stdin",
            "docker login --password-stdin",
            "a flag (`sshpass -p`), written to a command (`echo`)",
            "echo done && kinit svc1",
            "server.login(user, password)",
            "client.login('svc', get('harbor48!'))",
            "adapter.connect('loader', password, 'db-stg4:1521/Shop4')",
            "adapter.connect('db1', 'loader', 'db-stg4.acme.io')",
            "expect \"ready\"\nsend \"harbor48!\\r\"",
            "expect \"password:\"\nsend \"$password\\r\"",
            "sqlplus / as sysdba",
            "htpasswd -b users shop",
            "net use Z: \\\\files\\share /user:svc",
            "dsn := \"%s:%s@tcp(%s)/%s\"",
            "dsn := \"root:root@tcp(db1:3306)/shop\"",
            "sqlplus loader/$PASSWORD@db1",
            "--from-literal=username=shop48x",
            "--from-literal=password=$PASSWORD",
            "jwt.sign(payload, process.env.KEY, 'harbor48!')",
            "jwt.verify(token, publicKey)",
            "name.toCharArray()",
            "echo 'root:x' | chpasswd -e",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
